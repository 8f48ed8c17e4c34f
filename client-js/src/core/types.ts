/** The words of the core: tables, changes, commits and what a step touched. */
import type { Key, MutationId, Value } from '../api.js';
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
  /** Rows that were gone, and left out as the push said. */
  skipped?: [table: string, key: Key][];
  contract?: Record<string, unknown>;
  contract_hash?: string;
  steps?: string[];
}

/** Rows that a step may have changed: by table, by `keyText(key)`, the columns; or `row` where it came or went. */
export type Touched = Map<string, Map<string, Set<string> | 'row'>>;

/** An operation that no longer fitted and was taken out of its draft. */
export interface Dropped {
  draft: DraftId;
  operation: Operation;
  error: Error;
}

/** What one edit did: netted to one change per row, empty if nothing differs. */
export interface Edited {
  changes: Change[];
  touched: Touched;
  /** From drafts that lie above the edit and were re-applied. */
  dropped: Dropped[];
}

/** What a rebase did. */
export interface Rebased {
  touched: Touched;
  /** Tables came, went or changed: look at everything again. */
  schema: boolean;
  /** Pending mutations that do not apply here at present; they stay until the server answers. */
  failing: MutationId[];
  dropped: Dropped[];
}

export type DraftId = number;

export interface PendOptions {
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
  sql(sql: string, params?: readonly Cell[]): Value[][];
}

/** What the core offers to the store. */
export type CoreApi = import('./core.js').Core;
