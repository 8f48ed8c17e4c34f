/** What is being observed: a watch knows which cells it depends on, what it last showed, and how to look again. */
import type { Key } from '../api.js';
import type { Source } from '../paths/read.js';

/** Cells that a watch depends on: in rows whose key begins with `prefix`. */
export interface Scope {
  table: string;
  prefix: Key;
  /** undefined: every column; empty: only whether rows come and go. */
  columns: readonly string[] | undefined;
}

/** Cells of one row that a step touched; `columns` is `row` where it came or went. */
export interface Hit {
  table: string;
  key: Key;
  columns: ReadonlySet<string> | 'row';
}

/** What a watch shows now, and the paths below it that differ from what it showed before. */
export interface Seen {
  value: unknown;
  paths: string[];
}

export interface Watch {
  /** Equal for subscriptions that can share one watch. */
  readonly id: string;
  readonly scopes: readonly Scope[];
  value: unknown;
  /** Takes over what another watch of the same place last showed. */
  inherit(before: Watch): void;
  /** Looks again; undefined if nothing differs. `hits` undefined: anything may have changed. */
  look(db: Source, hits: readonly Hit[] | undefined): Seen | undefined;
}
