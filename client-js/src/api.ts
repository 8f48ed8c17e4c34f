/**
 * The public face of the client: what an editor calls, and nothing of how it is done.
 *
 * A path names a place in the document:
 *   `annotation`                   a table (list)
 *   `annotation/a1`                one row of it, with its nested lists
 *   `annotation/a1/text/font/size` one property (`text.font.size` in one segment says the same)
 *   `annotation/a1/points`         a nested list;  `annotation/a1/points/p7/x` a property in it
 *   `scene` , `scene/title`        a singleton and one of its properties (singletons have no key segment)
 * Key segments are percent-encoded (encodeURIComponent); the parts of a composite key are joined with `,`.
 */

/** One cell as SQLite holds it. A bigint only where a number would lose digits. */
export type Value = null | number | bigint | string | Uint8Array;
/**
 * A tree as the editor sees it: nested objects and arrays, defaults resolved, booleans as booleans, bytes as base64 text.
 * Trees that are read are frozen. Items of a list without a key of their own carry the row's `_id`.
 */
export type Tree = null | boolean | number | bigint | string | Uint8Array | Tree[] | { [property: string]: Tree };
/** The key of a row: one cell for each column of its table's key, in the contract's order. */
export type Key = Value[];
/** Ends what it was given for; a second call does nothing. */
export type Unsubscribe = () => void;

/** Where a change came from, so that nobody answers his own echo. */
export type Origin = 'local' | 'remote' | 'rebase' | 'undo' | 'draft' | 'load';
/** Comes with every call to a subscriber: whose change it is and what it touched. */
export interface ChangeInfo {
  origin: Origin;
  /** The tag that the writer gave to the mutation. */
  tag?: string;
  /** The user and version of the commit, where it is confirmed. */
  by?: string;
  version?: number;
  /** The properties, rows or lists below the subscribed path that changed, as paths. */
  paths: string[];
}

/** When a subscriber is called. */
export interface SubscribeOptions {
  /**
   * `now`: at once, before the call that made the change returns. `frame`: once in an animation frame, with the newest
   * value and source and the paths of everything since; nothing if in the end nothing differs. Default `now`.
   */
  when?: 'now' | 'frame';
}

/** One thing that is wrong with what was written, and where. */
export interface Fault {
  message: string;
  table?: string;
  key?: unknown[];
  /** A JSON pointer into the row. */
  pointer?: string;
  /** The same place as a path; absent where the contract has no such place. */
  path?: string;
  /** In a draft: what the server would refuse it with. */
  code?: string;
}
/** Why a mutation was refused: the server's code, a sentence for a person, and each fault at its place. */
export interface Refusal { code: string; message: string; errors: Fault[] }
/** Names a mutation for ever, so that sending it again is always safe. */
export type MutationId = [client: string, counter: number];
/** The one answer to a mutation. */
export type Outcome =
  | { kind: 'committed' | 'settled'; id: MutationId; version: number; /** Rows that were gone, and left out as `missing` said. */ skipped?: string[] }
  | { kind: 'refused'; id: MutationId; version: number; refusal: Refusal };

/** `offline`: it tries again by itself; `closed`: it does not (the store was closed, or the server said to go). */
export type Connection = 'connecting' | 'online' | 'offline' | 'closed';
/** How a store stands to its server, and as whom. */
export interface Status {
  connection: Connection;
  /** The confirmed version of the project. */
  version: number;
  /** Mutations not yet answered. */
  pending: number;
  /** Why the store is not online, in words for a person; the code is the server's. */
  problem?: { code: string; message: string };
  client: string;
  user?: string;
  role?: 'reader' | 'editor' | 'owner';
  engine: string;
}

/** How a mutation is sent. */
export interface WriteOptions {
  tag?: string;
  /** What to do with an update of a row that somebody else deleted. Default `refuse`. */
  missing?: 'refuse' | 'skip';
  expect?: Expectation[];
}
/** What must hold at the server for a mutation to be accepted, or it is refused with `conflict`: cells that are as stated, a row that is not there, a row that nobody has touched since a version. */
export type Expectation =
  | { kind: '='; table: string; key: Key; cells: Record<string, Value> }
  | { kind: 'absent'; table: string; key: Key }
  | { kind: 'since'; table: string; key: Key; version: number };

/**
 * A mutation on its way: `confirmed` settles with its one answer (a refusal resolves too; it does not throw), or never if
 * the store is closed before. A mutation that changes nothing is not sent: settled at once, with counter 0.
 */
export interface Sent { id: MutationId; confirmed: Promise<Outcome> }

/** Inside `tx`: writes by path or by table; reads see what was written before. */
export interface Tx {
  /** Sets a property, merges a (partial) object into a row, or replaces a nested list. null resets to the default. */
  set(path: string, value: Tree): void;
  /** Makes a row (with nested lists); its key is taken from the value. Returns its path. */
  insert(listPath: string, value: { [property: string]: Tree }): string;
  /** Deletes a row with its nested lists; one that is gone stays gone. Throws StoreError where the path is not a row. */
  delete(path: string): void;
  /** Any SQL; the capture triggers see what it does. */
  sql(sql: string, params?: Value[]): void;
  /** The tree at a path with what was written before; undefined if there is nothing. */
  get(path: string): Tree | undefined;
  /** Rows of one reading statement, values bound; columns as SQLite holds them. */
  query(sql: string, params?: Value[]): Record<string, Value>[];
}

/** A property that the draft has set and that somebody else has changed since; or a row that the draft deletes. */
export interface Conflict {
  path: string;
  /** What is there now, below the draft. */
  theirs: Tree | undefined;
  /** undefined: the draft deletes the row. */
  mine: Tree | undefined;
  /** The user who wrote it, where known. */
  by?: string;
}

/** An edit of a draft that does not fit any more (its row was deleted, the contract has its property no more). */
export interface LostEdit {
  path: string;
  /** undefined: the edit made or deleted the row at the path. */
  value: Tree | undefined;
  /** `not_found`: the row is gone; `exists`: somebody made a row of its key; else what the server would refuse it with. */
  code: string;
  message: string;
}

/** How a draft is made. */
export interface DraftOptions {
  /** Names the draft, to be found among `store.drafts`, also after a reload. */
  name?: string;
}

/**
 * Local changes not yet sent. Every observer here sees them at once, nobody else does (`shareDraft` shows them).
 *
 * It lies above what others do meanwhile and keeps what its writer set: a property that somebody else has changed since is
 * one of `conflicts`; an edit that does not fit any more is one of `lost`, and comes back by itself if it fits again.
 */
export interface Draft {
  /** Where it may write: at and below these paths; empty: everywhere. */
  readonly scope: readonly string[];
  readonly name: string | undefined;
  /** `sending` until the server has answered; a refused one can be opened again. */
  readonly state: 'open' | 'sending' | 'saved' | 'refused' | 'cancelled';
  readonly open: boolean;
  /** The properties that differ from what lies below. */
  readonly changes: string[];
  readonly conflicts: Conflict[];
  readonly lost: LostEdit[];
  /** What would be refused if it were saved now, each with its path and code; of a refused one what the server said. */
  readonly faults: Fault[];
  /** Why the server refused it when it was last saved. */
  readonly refusal: Refusal | undefined;
  /** As `Tx.set`, into the draft. Throws StoreError outside its scope, or if it is not open. */
  set(path: string, value: Tree): void;
  /** Several writes into the draft: all of them, or none if `fn` throws. */
  tx(fn: (t: Tx) => void): void;
  /** Puts what is at and below a path back to what lies below the draft, lost edits included; without a path: all of it. */
  revert(path?: string): void;
  /** Ends the conflicts at and below a path: `theirs` reverts, `mine` keeps what the draft has. */
  resolve(path: string, which: 'mine' | 'theirs'): void;
  /** A draft in this draft: saved it becomes part of this one, cancelled this one is as before. */
  draft(scope?: string | readonly string[], options?: DraftOptions): Draft;
  /** Calls back when anything above may have changed. */
  subscribe(callback: () => void): Unsubscribe;
  /** Puts everything back exactly, drafts in it too. */
  cancel(): void;
  /**
   * Sends one mutation with only what changed; undefined if nothing did. Updates of rows that are gone are skipped unless
   * `missing` says `refuse`. Throws StoreError if it is not valid, or while a draft in it is open; it is still open then.
   */
  save(options?: WriteOptions): Sent | undefined;
  /** After a refusal: opens it again with all that it had. */
  reopen(): void;
}

/** A place that an undo or redo left as it is, and why. */
export interface Left {
  path: string;
  /**
   * `changed`: somebody has written to it since; `gone`: its row was deleted; `there`: a row of its key is there again;
   * `used`: rows of others hang on it; `unknown`: the contract has it no more; `refused`: the contract or the server
   * forbids it.
   */
  why: 'changed' | 'gone' | 'there' | 'used' | 'unknown' | 'refused';
  /** For a person, where there is more to say. */
  message?: string;
}

/** What an undo or redo did. */
export interface Undone {
  /** Whether anything was taken back. */
  done: boolean;
  /** The tag of the step; undefined if it had none, or if there was no step. */
  tag?: string;
  /** What was taken back. */
  paths: string[];
  left: Left[];
  sent?: Sent;
}

/**
 * Undo and redo of what was done through this store (`undoOf`). A step is one mutation, or all that follow each other
 * with one tag: a drag. What others did later is never taken back; undoing far and redoing back changes nothing.
 */
export interface Undo {
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  /** The tags of the steps that would be undone and redone next. */
  readonly undoTag: string | undefined;
  readonly redoTag: string | undefined;
  /** Takes back the last step, as one mutation with the step's tag. Throws StoreError if one may not write here. */
  undo(): Undone;
  /** Puts back what was undone last, as one mutation. Throws StoreError if one may not write here. */
  redo(): Undone;
  /** Ends the step: what follows is another one, whatever its tag. */
  mark(): void;
  /** Until the returned function is called, everything is one step. */
  group(): () => void;
  /** Calls back when something above has changed, with what an undo could not do after all (the server decides later). */
  subscribe(callback: (late: Left[]) => void): Unsubscribe;
  /** Forgets every step. */
  clear(): void;
  /** Stops following the store; what is kept stays kept. */
  close(): void;
}

/** Where and how drafts are kept. */
export interface KeepOptions {
  /** Where drafts are kept; null: nowhere. Default: the page's sessionStorage, if it has one. */
  shelf?: Shelf | null;
  /** Names them where one page has several stores of one project. */
  name?: string;
  /** The most characters that are kept. Default 1,000,000. */
  most?: number;
}

/** Drafts that outlive a reload of the page (`keepDrafts`). */
export interface KeptDrafts {
  /** Those that were brought back; they are among `store.drafts` too, with their names and scopes. */
  readonly drafts: readonly Draft[];
  /** Something did not fit when they were last kept. */
  readonly full: boolean;
  /** Keeps no more; what is kept stays kept. */
  stop(): void;
}

/** The drafts that others share, seen here (`showDrafts`). Observers hear of them with origin `remote` and no version. */
export interface SharedDrafts {
  /** By client id: what is being changed there. */
  readonly paths: ReadonlyMap<string, string[]>;
  /** Calls back when somebody shares something else. */
  subscribe(callback: () => void): Unsubscribe;
  /** Takes them all away. */
  stop(): void;
}

/** The part of the page's `Storage` that is used; texts by name. */
export type Shelf = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** How much a history remembers, and where. */
export interface UndoOptions {
  /** The most steps that are remembered. Default 200. */
  depth?: number;
  /** Writes of one tag that follow each other sooner than this many milliseconds are one step. Default 1000. */
  pause?: number;
  /** Where the steps are kept over a reload of the page; null: nowhere. Default: the page's sessionStorage, if it has one. */
  shelf?: Shelf | null;
  /** Names the steps where one page has several stores of one project. */
  name?: string;
}

/** Who else has the project open, and what each of them says of himself. Never stored. */
export interface Presence {
  /** Says to all others where one is: any small JSON value; the newest one goes out, a few times a second. At most 4 KiB of JSON unless the server was told otherwise. */
  set(state: Tree): void;
  /** Peers by client id, without oneself. */
  readonly peers: ReadonlyMap<string, { user?: string; state: Tree }>;
  /** Calls back with all peers when one of them comes, goes or says something else. */
  subscribe(callback: (peers: Presence['peers']) => void): Unsubscribe;
}

/** A project as an editor has it: the whole database here, live, and one way to write. */
export interface Store {
  /** The id of the project. */
  readonly project: string;
  readonly status: Status;
  readonly presence: Presence;
  /** The contract's JSON Schema document, for forms. */
  readonly contract: { hash: string; document: Record<string, unknown> };
  /** The tree at a path, defaults resolved; undefined if there is nothing. */
  get(path: string): Promise<Tree | undefined>;
  /** The same, at once. */
  peek(path: string): Tree | undefined;
  /** Rows of one reading statement, values bound; columns as SQLite holds them. Rejects with StoreError if it would write. */
  query(sql: string, params?: Value[]): Promise<Record<string, Value>[]>;
  /** Calls back when something at or below the path really changed, never for a write that changed nothing. */
  subscribe(path: string, callback: (value: Tree | undefined, info: ChangeInfo) => void, options?: SubscribeOptions): Unsubscribe;
  /** Calls back with the rows at once and after each change of a row and column that the query depends on. */
  subscribe(query: { sql: string; params?: Value[] }, callback: (rows: Record<string, Value>[], info: ChangeInfo) => void, options?: SubscribeOptions): Unsubscribe;
  /**
   * Calls back with the paths of the rows of a list that were touched, and reads none of them: for a view that keeps very
   * many rows in a form of its own. A row may be told although it is as it was (after a rebase); the path of the list
   * itself means that any of them may differ.
   */
  subscribe(list: { rows: string }, callback: (value: undefined, info: ChangeInfo) => void, options?: SubscribeOptions): Unsubscribe;
  /** One mutation. Applied here at once, sent, rebased until answered. Throws if it cannot be applied here. */
  tx(fn: (t: Tx) => void, options?: WriteOptions): Sent;
  /** `tx` with one `set`. */
  set(path: string, value: Tree, options?: WriteOptions): Sent;
  /** A named server function. Nothing is applied here until its commit comes. */
  call(name: string, args: Record<string, unknown>): Sent;
  /** A draft of everything, or of what is at and below some paths. */
  draft(scope?: string | readonly string[], options?: DraftOptions): Draft;
  /** The drafts that are open, in the order in which they lie upon each other. */
  readonly drafts: readonly Draft[];
  /** Sends something short-lived to all others who are online; not stored, not sent later. */
  signal(topic: string, data: unknown): void;
  /** Calls back with each signal of a topic, and the client id it is from. */
  onSignal(topic: string, callback: (data: unknown, from: string) => void): Unsubscribe;
  /** Calls back when the status is another one. */
  on(event: 'status', callback: (status: Status) => void): Unsubscribe;
  /** Calls back with each refusal, whoever waits for `confirmed`. */
  on(event: 'refused', callback: (outcome: Extract<Outcome, { kind: 'refused' }>) => void): Unsubscribe;
  /** The project follows another version of its contract; `contract` holds it already. */
  on(event: 'contract', callback: (hash: string) => void): Unsubscribe;
  /** The confirmed state as a database file. */
  export(): Promise<Uint8Array>;
  /** Leaves the project. What was not answered is not sent any more, and `confirmed` of it never settles. */
  close(): void;
}

/** Which project, where, and with which engine. */
export interface OpenOptions {
  /** The server, e.g. `http://127.0.0.1:8080`, or the nodes of a cell, of which one that answers is used; in a page served by it, may be absent. */
  url?: string | readonly string[];
  /** Project id, or `name:My project` for the one with that name (made from `contract` if absent and allowed). */
  project: string;
  /** What the project is made from if there is none of that name: the name of a contract of the server, or a document. */
  contract?: string | Record<string, unknown>;
  /** Who one is, for the server (a JWT or an API key); a function is asked anew for each connection. */
  token?: string | (() => string | Promise<string>);
  engine?: 'sqlite-wasm' | 'sqljs';
  /** Where the engine's .wasm lies, where a bundler does not know. */
  wasmUrl?: string;
}

/** Loads a project and keeps it live. Rejects with StoreError if it cannot be loaded. */
export type OpenStore = (options: OpenOptions) => Promise<Store>;
