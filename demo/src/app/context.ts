/** What every part of the page may use. */
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { Status, Store, Tree, Undo, Value } from 'sharelite';
import type { Viewer } from 'sharelite/viewer';
import type { Cell } from '../cell';
import type { Editing } from '../scene/editing';
import type { People } from '../scene/people';
import type { Theme } from '../scene/theme';
import type { World } from '../scene/world';
import type { Selection } from './selection';

/** What a panel needs, in the main window or in one of its own. */
export interface Desk {
  store: Store;
  editing: Editing;
  selection: Selection;
  /** Absent where one only looks. */
  history?: Undo;
  /** As the address of the page names the project. */
  address: string;
  /** Where the scene is only looked at. */
  viewer?: Viewer;
  say: (message: string, kind?: 'info' | 'problem') => void;
}

/** The main window: with the world. */
export interface Studio extends Desk {
  people: People;
  world: World;
  theme: Cell<Theme>;
  project: string;
  /** The viewer has become a live store. */
  joined: (store: Store) => void;
}

const DeskContext = createContext<Desk | Studio | undefined>(undefined);
export const DeskProvider = DeskContext.Provider;

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error('outside of DeskProvider');
  return desk;
}

export function useStudio(): Studio {
  const desk = useDesk();
  if (!('world' in desk)) throw new Error('this needs the main window');
  return desk as Studio;
}

/** One property, followed: renders again when it really changed. */
export function useProperty(path: string): Tree | undefined {
  const { store } = useDesk();
  const watched = useMemo(() => {
    let value = store.peek(path);
    return {
      read: () => value,
      watch: (changed: () => void) => {
        const stop = store.subscribe(path, (now) => { value = now; changed(); });
        value = store.peek(path);
        return stop;
      },
    };
  }, [store, path]);
  return useSyncExternalStore(watched.watch, watched.read);
}

/** Whether one only looks. */
export function useReadOnly(): boolean {
  return useStatus().role === 'reader';
}

/** The contract's hash: forms are made again when the project follows another one. */
export function useContract(): string {
  const { store } = useDesk();
  return useSyncExternalStore((changed) => store.on('contract', changed), () => store.contract.hash);
}

export type Rows = Record<string, Value>[];

export function useQuery(sql: string, params: Value[]): Rows {
  const { store } = useDesk();
  const [rows, setRows] = useState<Rows>([]);
  const key = JSON.stringify(params);
  useEffect(() => store.subscribe({ sql, params: JSON.parse(key) as Value[] }, (found) => setRows(found)), [store, sql, key]);
  return rows;
}

export function useStatus(): Status {
  const { store } = useDesk();
  const [status, setStatus] = useState(store.status);
  useEffect(() => {
    setStatus(store.status);
    return store.on('status', setStatus);
  }, [store]);
  return status;
}
