/**
 * A contract as the client uses it: which tables there are, and how a row of columns is a tree of properties.
 *
 * The shapes follow the design's section 7; `read.ts` makes them from the JSON Schema document.
 */
import type { Tree, Value } from '../api.js';

export type ColumnType = 'TEXT' | 'INTEGER' | 'REAL' | 'BLOB' | 'ANY';
/** How a stored cell is shown: as it is, 0/1 as a boolean (beside texts, where both may be), canonical JSON text as its value, bytes as base64 text. */
export type Form = 'plain' | 'boolean' | 'json' | 'base64';

/** A property with a column of its own. */
export interface Leaf {
  kind: 'leaf';
  name: string;
  column: string;
  type: ColumnType;
  form: Form;
  /** The scalar JSON types it may hold, null left out; none: any JSON value. */
  kinds: ReadonlySet<string>;
  /** For validation and forms. */
  schema: Record<string, unknown>;
  /** undefined: none. */
  default: Tree | undefined;
  /** Where its cell is in a row read with all columns of the table. */
  index: number;
  required: boolean;
  nullable: boolean;
}

/** An object that is flattened: its properties are columns (and child tables) of its row. */
export interface Branch {
  kind: 'branch';
  name: string;
  /** The column prefix, `text.font`; empty for the row itself. */
  prefix: string;
  schema: Record<string, unknown>;
  properties: Map<string, Node>;
  /** Absent as long as all its leaves are NULL: a leaf is required and has no default. */
  sparse: boolean;
  /** Every leaf at or below it. */
  leaves: Leaf[];
  /** Every list at or below it, those inside of other lists left out. */
  lists: List[];
  /** What it reads as where all its leaves are NULL and it has no lists: built once and shared. */
  blank: Tree | undefined;
}

/** A nested array of objects: a child table. */
export interface List {
  kind: 'list';
  name: string;
  table: Table;
}

export type Node = Leaf | Branch | List;

export interface Table {
  name: string;
  singleton: boolean;
  /** The whole key as stored: the parent's columns first. */
  key: string[];
  /** The part of the key that is the row's own: what a path names. */
  own: string[];
  /** Every column, in the order in which rows are read: the key first. */
  columns: string[];
  types: Map<string, ColumnType>;
  /** The own key is a hidden `_id` (a text) or `_key` (an integer) that the writer chooses. */
  hidden: boolean;
  /** The column that orders the list; undefined: by key. */
  order: string | undefined;
  /** The column that names a parent row of the same table. */
  tree: string | undefined;
  root: Branch;
  parent: Table | undefined;
  /** Nested lists of its rows, at any depth of objects. */
  children: List[];
  minimum: number;
  maximum: number | undefined;
}

export interface Contract {
  hash: string;
  document: Record<string, unknown>;
  tables: Map<string, Table>;
}

/** The key of a singleton's only row. */
export const SINGLETON: Value[] = [1];
