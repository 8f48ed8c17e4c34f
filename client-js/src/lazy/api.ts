/** The public face of a viewer: a project that is read from its published file, page by page. */
import type { OpenOptions, Status, Store, Tree, Unsubscribe, Value } from '../api.js';
import type { Image } from './image.js';
import type { Budget, Traffic } from './traffic.js';

export type { Image } from './image.js';
export type { Budget, Traffic } from './traffic.js';

/** Which project or published folder, and how much may be fetched of it. */
export interface ViewerOptions extends Partial<Pick<OpenOptions, 'project' | 'token' | 'wasmUrl'>> {
  /** The server, or one node of a cell; in a page served by it, may be absent. */
  url?: string;
  /**
   * Instead of a server and a project: the address of a folder that `sharelite publish` wrote, on any host of files.
   * Of another origin, its answers have to let the page read Content-Range and ETag (CORS).
   */
  base?: string;
  /** The most that one question may fetch. Default: 8 MiB, 256 requests. */
  budget?: Partial<Budget>;
  /** Most bytes of the file that are kept. Default: 32 MiB. */
  cacheBytes?: number;
  /** A file up to so many bytes is taken whole from a host that ignores Range. Default: 32 MiB. */
  wholeBytes?: number;
  /** Seconds between two looks whether a newer image has been published, while the page is seen; 0: never. Default: 30. */
  lookEvery?: number;
  /** Makes the worker, where a bundler does not find `worker/viewer.js` by itself. */
  worker?: () => Worker;
}

/** Bounds of one question. */
export interface QueryOptions {
  budget?: Partial<Budget>;
  /** Ends the question between two requests, and while it computes. */
  signal?: AbortSignal;
  /** Called with what the answer cost. */
  traffic?: (spent: Traffic) => void;
}

/** How a viewer becomes a live store. */
export interface JoinOptions extends Pick<OpenOptions, 'engine' | 'wasmUrl'> {
  /** The server and the token, where they are not those of the viewer. */
  url?: string;
  /** The token for the server, where it is not the viewer's. */
  token?: OpenOptions['token'];
  /** Bytes that are here, of how many. */
  progress?: (bytes: number, of: number) => void;
}

/**
 * One image of a project, read only. What it answers is always of exactly that image: never older, newer or mixed.
 *
 * Where a question cannot be answered the promise rejects with StoreError: `budget` (it would fetch too much), `retired`
 * and `replaced` (the image is served no longer: `refresh()` goes on with a newer one), `unreachable`, `unavailable`,
 * `truncated` (ask again), `no_ranges`, `unreadable` (the host does not serve parts as it must), `aborted`.
 */
export interface Viewer extends Pick<Store, 'contract'> {
  readonly image: Image;
  /** An image newer than the one that is read, once one is known. */
  readonly newer: Image | undefined;
  readonly status: Status;
  /** What everything has cost so far. */
  readonly traffic: Traffic;
  /** The tree at a path, defaults resolved; undefined if there is nothing. */
  get(path: string, options?: QueryOptions): Promise<Tree | undefined>;
  /**
   * What is known of a path, at once. What is not known yet is undefined and is read: subscribers of the path hear of it.
   */
  peek(path: string): Tree | undefined;
  /** Rows of one reading statement, values bound; columns as SQLite holds them. */
  query(sql: string, params?: Value[], options?: QueryOptions): Promise<Record<string, Value>[]>;
  /**
   * As in a Store; what differs does so because it was read for the first time, or by `refresh`. What cannot be read is
   * reported (`reportError`) and seen in `status`.
   */
  subscribe: Store['subscribe'];
  /** Calls back when the status is another one. */
  on(event: 'status', callback: (status: Status) => void): Unsubscribe;
  /** There is a newer image. */
  on(event: 'newer', callback: (image: Image) => void): Unsubscribe;
  /** After each answer. */
  on(event: 'traffic', callback: (total: Traffic) => void): Unsubscribe;
  /** The image that is read now has another contract. */
  on(event: 'contract', callback: (hash: string) => void): Unsubscribe;
  /** Has the present version published if it is not yet, and goes on with it, keeping what is the same in both; whether there was one. */
  refresh(): Promise<boolean>;
  /** The whole file of the image: what is not here yet is loaded, and all of it checked. */
  export(progress?: JoinOptions['progress']): Promise<Uint8Array>;
  /** Loads the rest and follows the project from exactly this version on. The viewer stays open until it is closed. */
  join(options?: JoinOptions): Promise<Store>;
  /** Ends the worker; questions that are open reject with `closed`. */
  close(): void;
}

/** Opens the newest image. Rejects with StoreError if it cannot be opened. */
export type OpenViewer = (options: ViewerOptions) => Promise<Viewer>;
