/** The watch of a query: run again when a column it depends on has changed; shown again when its rows differ. */
import type { Value } from '../api.js';
import type { Db } from '../engine/types.js';
import { sameCell } from '../capture/capture.js';
import { dependsOn } from './depends.js';
import type { Scope, Seen, Watch } from './watch.js';

export type Rows = Record<string, Value>[];

export class QueryWatch implements Watch {
  readonly scopes: readonly Scope[];
  value: Rows;
  private cells: Value[][];
  private readonly names: string[];

  constructor(
    private readonly db: Db,
    readonly id: string,
    private readonly sql: string,
    private readonly params: Value[],
  ) {
    this.scopes = dependsOn(db, sql, params);
    this.names = db.columns(sql);
    this.cells = db.all(sql, params);
    this.value = rowsOf(this.names, this.cells);
  }

  inherit(before: QueryWatch): void {
    this.cells = before.cells;
    this.value = before.value;
  }

  look(): Seen | undefined {
    const cells = this.db.all(this.sql, this.params);
    if (sameRows(this.cells, cells)) return undefined;
    this.cells = cells;
    this.value = rowsOf(this.names, cells);
    return { value: this.value, paths: [] };
  }
}

function sameRows(a: Value[][], b: Value[][]): boolean {
  return a.length === b.length && a.every((row, at) => row.every((cell, column) => sameCell(cell, b[at]![column]!)));
}

export function rowsOf(names: readonly string[], cells: Value[][]): Rows {
  return cells.map((row) => Object.freeze(Object.fromEntries(names.map((name, at) => [name, row[at]!]))));
}
