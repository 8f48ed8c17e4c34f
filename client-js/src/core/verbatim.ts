/**
 * Applies commits of the server verbatim: each change must hit one row and find the old values that it states.
 *
 * The caller holds the transaction, with foreign keys off and capture off: cascades and the work of triggers are
 * changes of the commit themselves.
 */
import { keyText } from '../capture/wire.js';
import type { Cell, Db } from '../engine/types.js';
import { Real } from '../engine/types.js';
import { Diverged } from './errors.js';
import { deleteSql, holdsSql, insertSql, once, properties, updateSql } from './statements.js';
import type { Change, Key, Row, TableInfo } from './types.js';

export function applyConfirmed(db: Db, tables: ReadonlyMap<string, TableInfo>, version: number, changes: readonly Change[]): void {
  for (const change of changes) {
    const table = tables.get(change[1]);
    if (table === undefined) throw new Diverged(version, `there is no table ${change[1]}`);
    const rows = applyOne(db, table, version, change);
    if (rows !== 1) throw new Diverged(version, `${place(change)} is not as it was on the server before ${change[0]}`);
  }
}

function applyOne(db: Db, table: TableInfo, version: number, change: Change): number {
  try {
    const [op, , key] = change;
    if (op === 'i') return insert(db, table, key, change[3]);
    return op === 'u' ? update(db, table, key, change[3], change[4]) : remove(db, table, key, change[4]);
  } catch (error) {
    throw new Diverged(version, `${place(change)}: ${String(error)}`, { cause: error });
  }
}

function insert(db: Db, table: TableInfo, key: Key, now: Row): number {
  return db.run(insertSql(table), [...key, ...properties(table).map((column) => now[column] ?? null)]);
}

function update(db: Db, table: TableInfo, key: Key, now: Row, old: Row): number {
  const columns = Object.keys(now);
  const [where, expected] = holding(table, columns, old);
  return db.run(updateSql(table, columns) + where, [...columns.map((column) => now[column]!), ...key, ...expected]);
}

function remove(db: Db, table: TableInfo, key: Key, old: Row): number {
  const [where, expected] = holding(table, properties(table), old);
  return db.run(deleteSql(table) + where, [...key, ...expected]);
}

/** A cell that `old` leaves out was NULL. */
function holding(table: TableInfo, columns: readonly string[], old: Row): [where: string, expected: Cell[]] {
  const where = once(table, `h${columns.join('\0')}`, () => columns.map((column) => ` AND ${holdsSql(table, column)}`).join(''));
  const expected = columns.flatMap((column) => {
    const cell = old[column] ?? null;
    return table.types.get(column) === 'ANY' ? [cell, typeName(cell)] : [cell];
  });
  return [where, expected];
}

function typeName(cell: Cell): string {
  if (cell === null) return 'null';
  if (typeof cell === 'string') return 'text';
  if (cell instanceof Real) return 'real';
  if (typeof cell === 'bigint') return 'integer';
  if (typeof cell === 'number') return Number.isSafeInteger(cell) ? 'integer' : 'real';
  return 'blob';
}

function place(change: Change): string {
  return `${change[1]} ${keyText(change[2])}`;
}
