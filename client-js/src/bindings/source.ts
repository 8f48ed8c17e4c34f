/**
 * What a user interface reads of a store, in the one shape that every framework can follow: a value now, and a call when it
 * is another one. A value that is equal is the same object, so that nobody draws again without a difference.
 */
import type { Conflict, Draft, Fault, LostEdit, Presence, Status, Store, Tree, Undo, Unsubscribe, Value } from '../api.js';
import { undoOf } from '../undo/undo.js';
import { sameTree } from './same.js';

export interface Source<T> {
  /** The same object as long as it is equal. */
  get: () => T;
  /** Calls back after each difference. */
  follow: (told: () => void) => Unsubscribe;
}

export type Rows = Record<string, Value>[];

/** The tree at a path. Throws StoreError, when read, if the contract has no such place. */
export function pathSource(store: Store, path: string): Source<Tree | undefined> {
  return source(() => store.peek(path), (tell) => store.subscribe(path, tell), sameTree);
}

/** The rows of a query. */
export function querySource(store: Store, sql: string, params: Value[]): Source<Rows> {
  let newest: Rows = [];
  const watch = (tell: (rows: Rows) => void): Unsubscribe => store.subscribe({ sql, params }, (rows) => tell((newest = rows)));
  // A query that is subscribed to tells its rows at once.
  return source(() => newest, watch, sameTree);
}

export function statusSource(store: Store): Source<Status> {
  return source(() => store.status, (tell) => store.on('status', tell), sameTree);
}

export function peersSource(store: Store): Source<Presence['peers']> {
  return source(() => store.presence.peers, (tell) => store.presence.subscribe(tell), Object.is);
}

export function contractSource(store: Store): Source<Store['contract']> {
  return source(() => store.contract, (tell) => store.on('contract', () => tell(store.contract)), (a, b) => a.hash === b.hash);
}

/** What of a history a button shows. */
export type UndoState = Pick<Undo, 'canUndo' | 'canRedo' | 'undoTag' | 'redoTag'>;

export function undoSource(undo: Undo): Source<UndoState> {
  const read = (): UndoState => ({ canUndo: undo.canUndo, canRedo: undo.canRedo, undoTag: undo.undoTag, redoTag: undo.redoTag });
  return source(read, (tell) => undo.subscribe(() => tell(read())), sameTree);
}

/** What a panel shows of a draft. */
export interface DraftState {
  state: Draft['state'] | 'none';
  changes: readonly string[];
  conflicts: readonly Conflict[];
  lost: readonly LostEdit[];
  faults: readonly Fault[];
}

export const NO_DRAFT: DraftState = Object.freeze({ state: 'none', changes: [], conflicts: [], lost: [], faults: [] });

export function draftSource(draft: Draft | undefined): Source<DraftState> {
  if (draft === undefined) return { get: () => NO_DRAFT, follow: () => () => undefined };
  const read = (): DraftState => {
    const { state, changes, conflicts, lost, faults } = draft;
    return { state, changes, conflicts, lost, faults };
  };
  return source(read, (tell) => draft.subscribe(() => tell(read())), sameTree);
}

const histories = new WeakMap<Store, Undo>();

/** The one history that all parts of a page share; it follows the store from the first question on. */
export function historyOf(store: Store): Undo {
  const known = histories.get(store) ?? undoOf(store);
  histories.set(store, known);
  return known;
}

/** How long a value that was read is kept up to date for somebody who is about to follow: frameworks draw first. */
const GRACE = 2000;

/** One subscription for all who follow; it begins with the first reading, so that nothing is missed or read twice. */
export function source<T>(read: () => T, watch: (tell: (value: T) => void) => Unsubscribe, same: (a: T, b: T) => boolean): Source<T> {
  const followers = new Set<() => void>();
  let known: { value: T } | undefined;
  let stop: Unsubscribe | undefined;
  let grace: ReturnType<typeof setTimeout> | undefined;
  const tell = (value: T): void => {
    if (known !== undefined && same(known.value, value)) return;
    known = { value };
    for (const follower of [...followers]) follower();
  };
  const start = (): void => {
    if (stop !== undefined) return;
    stop = watch(tell);
    tell(read());
  };
  /** Unless somebody follows by then. Who unmounts and mounts again at once finds the same objects. */
  const endIn = (ms: number): void => {
    clearTimeout(grace);
    grace = setTimeout(() => {
      if (followers.size > 0) return;
      stop?.();
      stop = undefined;
    }, ms);
  };
  return {
    get: () => {
      if (stop === undefined) endIn(GRACE);
      start();
      return known!.value;
    },
    follow: (told) => {
      // The same function may follow twice; each has its own end.
      const follower = (): void => told();
      followers.add(follower);
      start();
      return () => void (followers.delete(follower) && followers.size === 0 && endIn(0));
    },
  };
}
