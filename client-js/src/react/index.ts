/**
 * React on a store: each hook reads one place, and draws again only when it really changed, whoever changed it.
 *
 *     <StoreProvider store={store}><Panel /></StoreProvider>
 *
 *     function Size({ id }) {
 *       const [size, setSize] = useValue(`annotation/${id}/icon/size`);
 *       return <input type="range" value={size} onChange={(event) => setSize(+event.target.value)} />;
 *     }
 *
 * Writers write into the draft of the nearest `DraftProvider`, or else right into the store.
 */
import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore, type ReactElement, type ReactNode } from 'react';
import type { Draft, DraftOptions, Presence, Sent, Status, Store, Tree, Undo, Value, WriteOptions } from '../api.js';
import {
  contractSource, draftSource, historyOf, pathSource, peersSource, querySource, statusSource, undoSource,
  type DraftState, type Rows, type Source, type UndoState,
} from '../bindings/source.js';

const StoreContext = createContext<Store | undefined>(undefined);
const DraftContext = createContext<Draft | undefined>(undefined);

/** The store of all hooks below it. */
export function StoreProvider({ store, children }: { store: Store; children?: ReactNode }): ReactElement {
  return createElement(StoreContext.Provider, { value: store }, children);
}

/** What is written below goes into this draft; undefined: right into the store. */
export function DraftProvider({ draft, children }: { draft: Draft | undefined; children?: ReactNode }): ReactElement {
  return createElement(DraftContext.Provider, { value: draft }, children);
}

/** The store of the nearest `StoreProvider`. Throws where there is none. */
export function useStore(): Store {
  const store = useContext(StoreContext);
  if (store === undefined) throw new Error('there is no store here: put <StoreProvider store={store}> around it');
  return store;
}

/** The draft of the nearest `DraftProvider` and what a panel shows of it. */
export function useOpenDraft(): DraftState & { draft: Draft | undefined } {
  const draft = useContext(DraftContext);
  const state = useSource(() => draftSource(draft), [draft]);
  return useMemo(() => ({ ...state, draft }), [state, draft]);
}

/** Sets a place; gives what was sent, or undefined where it went into a draft. */
export type SetValue = (value: Tree, options?: WriteOptions) => Sent | undefined;

/** The property (or any tree) at a path, and how to set it. Undefined: nothing is there. */
export function useValue<T = Tree>(path: string): [value: T | undefined, set: SetValue] {
  const store = useStore();
  const draft = useContext(DraftContext);
  const value = useSource(() => pathSource(store, path), [store, path]);
  const set = useCallback<SetValue>(
    (next, options) => (draft === undefined ? store.set(path, next, options) : void draft.set(path, next)),
    [store, draft, path],
  );
  return [value as T | undefined, set];
}

/** A row with its nested lists, defaults resolved; undefined if there is none. */
export function useRow<T = { [property: string]: Tree }>(path: string): T | undefined {
  const store = useStore();
  return useSource(() => pathSource(store, path), [store, path]) as T | undefined;
}

/** The rows of a table or of a nested list, in their order. Rows that did not change are the same objects. */
export function useList<T = { [property: string]: Tree }>(path: string): readonly T[] {
  return (useRow<T[]>(path) ?? NONE) as readonly T[];
}

/** The rows of a SQL query, run again only when a row and column that it reads has changed. */
export function useQuery<T = Record<string, Value>>(sql: string, params: Value[] = []): readonly T[] {
  const store = useStore();
  const values = useStable(params);
  return useSource<Rows>(() => querySource(store, sql, values), [store, sql, values]) as unknown as readonly T[];
}

/** How the store stands to its server: online, version, what is not answered yet. */
export function useStatus(): Status {
  const store = useStore();
  return useSource(() => statusSource(store), [store]);
}

/** Who else is here, by client id, and how to say what oneself points at. */
export function usePresence<T extends Tree = Tree>(): [peers: ReadonlyMap<string, { user?: string; state: T }>, set: (state: T) => void] {
  const store = useStore();
  const peers = useSource<Presence['peers']>(() => peersSource(store), [store]);
  const set = useCallback((state: T) => store.presence.set(state), [store]);
  return [peers as ReadonlyMap<string, { user?: string; state: T }>, set];
}

/** The contract, for forms; another one after an upgrade. */
export function useContract(): Store['contract'] {
  const store = useStore();
  return useSource(() => contractSource(store), [store]);
}

/** A draft of a part of the page, what a panel shows of it, and how to begin and end it. */
export interface Editing extends DraftState {
  /** undefined until it is begun, and after it was saved or cancelled: give it to a `DraftProvider`. */
  draft: Draft | undefined;
  /** Makes the draft, or gives the one that is open. */
  begin: () => Draft;
  /** Sends what changed; the refused draft stays here, and `draft.reopen()` goes on with it. */
  save: (options?: WriteOptions) => Sent | undefined;
  /** Puts everything back as it was. */
  cancel: () => void;
}

/**
 * A draft that belongs to a part of the page: a dialog, a panel. It is cancelled when the part goes; one with a name stays,
 * and is found again, also after a reload of the page.
 */
export function useDraft(scope?: string | readonly string[], { name }: DraftOptions = {}): Editing {
  const store = useStore();
  const where = typeof scope === 'string' ? scope : scope?.join('\n');
  const [draft, setDraft] = useState(() => (name === undefined ? undefined : store.drafts.find((one) => one.name === name)));
  const state = useSource(() => draftSource(draft), [draft]);
  const latest = useRef(draft);
  latest.current = draft;
  useEffect(() => () => {
    if (name === undefined) latest.current?.cancel();
  }, [store, where, name]);
  const begin = useCallback((): Draft => {
    if (latest.current?.open) return latest.current;
    latest.current = store.draft(where?.split('\n'), name === undefined ? {} : { name });
    setDraft(latest.current);
    return latest.current;
  }, [store, where, name]);
  const leave = (): void => setDraft((latest.current = undefined));
  const open = draft?.open || state.state === 'refused' ? draft : undefined;
  return {
    ...state,
    draft: open,
    begin,
    save: (options) => {
      const sent = latest.current?.save(options);
      if (sent === undefined) leave();
      return sent;
    },
    cancel: () => {
      latest.current?.cancel();
      leave();
    },
  };
}

/**
 * The history of this person, shared by the page: what can be undone and redone, and how. It follows what is done from the
 * first time that somebody asks, so ask in a part that is there from the beginning.
 */
export function useUndo(): UndoState & Pick<Undo, 'undo' | 'redo'> & { history: Undo } {
  const history = historyOf(useStore());
  const state = useSource(() => undoSource(history), [history]);
  return useMemo(() => ({ ...state, history, undo: () => history.undo(), redo: () => history.redo() }), [state, history]);
}

const NONE: readonly never[] = Object.freeze([]);

function useSource<T>(make: () => Source<T>, on: unknown[]): T {
  const { follow, get } = useMemo(make, on);
  return useSyncExternalStore(follow, get, get);
}

/** The same array as long as its values are. */
function useStable(values: Value[]): Value[] {
  const text = values.map((value) => `${typeof value} ${String(value)}`).join('\0');
  return useMemo(() => values, [text]);
}
