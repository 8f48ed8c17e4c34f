/**
 * What the client asks of a SQLite in the page: the same few words for every engine, all synchronous.
 *
 * An engine promises: int64 without loss, text with U+0000 whole, blobs as bytes; triggers stored in the file never
 * run, TEMP ones do; recursive triggers are on. Text with a lone surrogate is refused, because engines differ there.
 */
import type { Value } from '../api.js';

/** An integral REAL in a column that would also take an INTEGER (type ANY). In a REAL column a plain number says it. */
export class Real {
  constructor(readonly value: number) {}
}

/** One cell without any loss: a Value, or the one thing JavaScript's numbers cannot say. */
export type Cell = Value | Real;

export interface ColumnRead {
  table: string;
  /** Empty: only whether rows come or go (`count(*)`). */
  column: string;
}

export interface Db {
  /** Runs several statements without parameters; forgets prepared ones, so use it for set-up and schema only. */
  exec(sql: string): void;
  /** Runs one statement and says how many rows it changed. */
  run(sql: string, params?: readonly Cell[]): number;
  all(sql: string, params?: readonly Cell[]): Value[][];
  get(sql: string, params?: readonly Cell[]): Value[] | undefined;
  /** The names of a query's columns. */
  columns(sql: string): string[];
  /** The columns that a query reads, found when it is prepared; absent without `caps.authorizer`. */
  reads?(sql: string): ColumnRead[];
  /** While on, triggers stored in the file are there to be altered or exported; they must not be on during writes. */
  storedTriggers(on: boolean): void;
  /** The file as it is now, not to be called in an open transaction. */
  export(): Uint8Array;
  close(): void;
}

export interface Capabilities {
  authorizer: boolean;
  bigint: 'native' | 'text';
  fts5: boolean;
}

export interface Engine {
  readonly name: 'sqlite-wasm' | 'sqljs';
  readonly caps: Capabilities;
  /** Opens a database file held in memory, or an empty one. The bytes are copied. */
  open(bytes?: Uint8Array): Db;
}

export interface EngineOptions {
  /** Where the engine's .wasm lies, where a bundler does not know. */
  wasmUrl?: string;
}
