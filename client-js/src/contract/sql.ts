/** The statements that read a table of the contract; built once each. */
import { quoted } from '../capture/sql.js';
import type { Leaf, Table } from './model.js';

/** `"a" = ? AND "b" = ?` for the first columns of the key. */
export function where(table: Table, columns = table.key.length): string {
  if (columns === 0) return 'TRUE';
  return table.key.slice(0, columns).map((column) => `${quoted(column)} = ?`).join(' AND ');
}

/** Whole rows whose key begins with so many given values, each parent's list in its order. */
export function rowsSql(table: Table, given: number): string {
  return kept(ROWS, table, given, () => listSql(table, given, table.columns));
}

/** Only the keys of those rows. */
export function keysSql(table: Table, given: number): string {
  return kept(KEYS, table, given, () => listSql(table, given, table.key));
}

export function cellSql(table: Table, leaf: Leaf): string {
  let sql = CELLS.get(leaf);
  if (sql === undefined) CELLS.set(leaf, (sql = `SELECT ${quoted(leaf.column)} FROM ${quoted(table.name)} WHERE ${where(table)}`));
  return sql;
}

type Made = WeakMap<Table, string[]>;
const ROWS: Made = new WeakMap();
const KEYS: Made = new WeakMap();
const CELLS = new WeakMap<Leaf, string>();

function kept(all: Made, table: Table, given: number, make: () => string): string {
  let made = all.get(table);
  if (made === undefined) all.set(table, (made = []));
  return (made[given] ??= make());
}

function listSql(table: Table, given: number, columns: string[]): string {
  const select = `SELECT ${columns.map(quoted).join(', ')} FROM ${quoted(table.name)} WHERE ${where(table, given)}`;
  if (given === table.key.length) return select;
  const parents = table.key.slice(given, table.key.length - table.own.length).map(quoted);
  const order = table.order === undefined ? [] : [`${quoted(table.order)}`];
  return `${select} ORDER BY ${[...parents, ...order, ...table.own.map(quoted)].join(', ')}`;
}
