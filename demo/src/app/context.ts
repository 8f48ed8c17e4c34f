/** What every part of the page may use. */
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { Status, Store, Tree, Value } from 'sharelite';
import type { Viewer } from 'sharelite/viewer';
import type { Cell } from '../cell';
import type { Editing } from '../scene/editing';
import type { People } from '../scene/people';
import type { Theme } from '../scene/theme';
import type { World } from '../scene/world';

export interface Studio {
  store: Store;
  editing: Editing;
  people: People;
  world: World;
  theme: Cell<Theme>;
  project: string;
  /** As the address of the page names the project. */
  address: string;
  /** Where the scene is only looked at. */
  viewer?: Viewer;
  /** The viewer has become a live store. */
  joined: (store: Store) => void;
  say: (message: string, kind?: 'info' | 'problem') => void;
}

const StudioContext = createContext<Studio | undefined>(undefined);
export const StudioProvider = StudioContext.Provider;

export function useStudio(): Studio {
  const studio = useContext(StudioContext);
  if (!studio) throw new Error('outside of StudioProvider');
  return studio;
}

/** One property, followed: renders again when it really changed. */
export function useProperty(path: string): Tree | undefined {
  const { store } = useStudio();
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
  const { store } = useStudio();
  return useSyncExternalStore((changed) => store.on('contract', changed), () => store.contract.hash);
}

export type Rows = Record<string, Value>[];

export function useQuery(sql: string, params: Value[]): Rows {
  const { store } = useStudio();
  const [rows, setRows] = useState<Rows>([]);
  const key = JSON.stringify(params);
  useEffect(() => store.subscribe({ sql, params: JSON.parse(key) as Value[] }, (found) => setRows(found)), [store, sql, key]);
  return rows;
}

export function useStatus(): Status {
  const { store } = useStudio();
  const [status, setStatus] = useState(store.status);
  useEffect(() => {
    setStatus(store.status);
    return store.on('status', setStatus);
  }, [store]);
  return status;
}
