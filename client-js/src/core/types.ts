/** The words of the core: tables, changes, commits and what a step touched. */
import type { Key, MutationId } from '../api.js';
import type { Cell } from '../engine/types.js';

export type { Cell } from '../engine/types.js';
export type { Key, MutationId } from '../api.js';

export type ColumnType = 'TEXT' | 'INTEGER' | 'REAL' | 'BLOB' | 'ANY';

/** A table as `pragma table_xinfo` shows it; generated columns are left out. */
export interface TableInfo {
  name: string;
  /** Key columns, in the order of the key. */
  key: readonly string[];
  /** All stored columns in table order, key columns included. */
  columns: readonly string[];
  types: ReadonlyMap<string, ColumnType>;
}

/** Cells by column. Made by `row()`: without a prototype, so that a column called `__proto__` is just a column. */
export interface Row {
  [column: string]: Cell;
}

/** What really happened to one row. `i` and `d` leave out NULLs and key columns. */
export type Change =
  | ['i', string, Key, Row]
  | ['u', string, Key, Row, Row]
  | ['d', string, Key, null, Row];

/**
 * What somebody asks for. Every Change is one too: its old values are not looked at. `i` fails if the key is there,
 * `u` if it is not, `d` of a row that is gone has no effect, `s` inserts or updates only these columns.
 */
export type Operation =
  | Change
  | ['u', string, Key, Row]
  | ['d', string, Key]
  | ['s', string, Key, Row];

/** A decoded commit of the server. `contract`, `contract_hash` and `steps` only in a schema commit. */
export interface Commit {
  v: number;
  kind: 'edit' | 'sql' | 'call' | 'schema' | 'rollback' | 'merge' | 'import';
  changes: Change[];
  at?: number;
  by?: string;
  id?: MutationId;
  tag?: string;
  contract?: Record<string, unknown>;
  contract_hash?: string;
  steps?: string[];
}

/** Rows that a step may have changed: by table, by `keyText(key)`, the columns; or `row` where it came or went. */
export type Touched = Map<string, Map<string, Set<string> | 'row'>>;

/** What one edit did: netted to one change per row, empty if nothing differs. */
export interface Edited {
  changes: Change[];
  touched: Touched;
}

/** What a rebase did. */
export interface Rebased {
  touched: Touched;
  /** Tables came, went or changed: look at everything again. */
  schema: boolean;
  /** Pending mutations that do not apply here at present; they stay until the server answers. */
  failing: MutationId[];
  /** Operations that no longer fit and were taken out of their draft. */
  dropped: { draft: DraftId; operation: Operation; error: Error }[];
}

export type DraftId = number;

export interface PendingMeta {
  /** What to do with an update of a row that is gone; `refuse` unless told. */
  missing?: 'refuse' | 'skip';
}

/** Looks at what an edit did while it can still be undone; if it throws, nothing of the edit stays (a draft stays open). */
export type Check = (edited: Edited) => void;

/** Inside an edit: the only ways to write, so that capture is in place before the first write. */
export interface Writer {
  /** One row operation, with the server's meaning; throws `CannotApply`. */
  apply(operation: Operation): void;
  /** Several that may collide with each other on the way (unique swaps) but not at the end. */
  applyAll(operations: readonly Operation[]): void;
  /** Any one statement; returns its rows. */
  sql(sql: string, params?: readonly Cell[]): import('../api.js').Value[][];
}

/**
 * Confirmed rows below, pending mutations above them, drafts on top: one database in an always-open transaction.
 * Synchronous; no I/O, no clock, no randomness.
 */
export interface CoreApi {
  readonly version: number;
  readonly epoch: string;
  readonly tables: ReadonlyMap<string, TableInfo>;
  readonly pending: readonly MutationId[];
  /** Runs `fn` above pending and below the drafts; if it throws, nothing of it stays. Follow with `pend` if it changed anything. */
  edit(fn: (writer: Writer) => void, check?: Check): Edited;
  /** Remembers the last edit (or saved draft) for re-application until it is answered. */
  pend(id: MutationId, operations: readonly Operation[], meta?: PendingMeta): void;
  /** Commits contiguous after `version` (earlier ones are skipped), and ids that were settled or refused. Throws `Diverged`. */
  receive(commits: readonly Commit[], answered?: readonly MutationId[]): Rebased;
  openDraft(): DraftId;
  /** Edits in a draft; drafts opened later lie above it. */
  editDraft(draft: DraftId, fn: (writer: Writer) => void): Edited;
  /** What the draft would send now: one change per row, only properties that differ from what lies below. */
  draftChanges(draft: DraftId): Change[];
  /** Takes the draft away; everything is exactly as if it had never been. */
  cancelDraft(draft: DraftId): Rebased;
  /** Makes the draft part of the state above pending and returns what to push; `pend` must follow if it is not empty. */
  saveDraft(draft: DraftId, check?: Check): Edited;
  /** Takes over pending mutations and drafts of a core whose database was replaced (reset, resync). */
  adopt(previous: CoreApi): Rebased;
  /** The confirmed rows as a database file. */
  exportConfirmed(): Uint8Array;
  close(): void;
}
