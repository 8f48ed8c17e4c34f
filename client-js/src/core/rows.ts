/** Reads rows back as they are, to hold against what was captured of them. */
import { quoted } from '../capture/sql.js';
import { sameCell } from '../capture/capture.js';
import { real, row } from '../capture/wire.js';
import type { Value } from '../api.js';
import type { Db } from '../engine/types.js';
import { idOf, net } from './net.js';
import { properties } from './statements.js';
import type { Cell, Change, Key, Row, TableInfo } from './types.js';

/** The properties of one row, without those that are NULL; undefined if there is no such row. */
export function readRow(db: Db, table: TableInfo, key: Key): Row | undefined {
  const columns = properties(table);
  const cells = columns.flatMap((column) => [`typeof(${quoted(column)})`, quoted(column)]);
  const where = table.key.map((column) => `${quoted(column)}=?`).join(' AND ');
  const found = db.get(`SELECT ${['1', ...cells].join(',')} FROM main.${quoted(table.name)} WHERE ${where}`, key);
  if (found === undefined) return undefined;
  const pairs = columns.map((column, i) => [column, typed(table, column, found[2 * i + 1]!, found[2 * i + 2]!)] as const);
  return row(pairs.filter(([, cell]) => cell !== null));
}

/** Whether changes follow from each other, row by row, and end in the rows as they are. */
export function tellWhatHappened(db: Db, tables: ReadonlyMap<string, TableInfo>, changes: readonly Change[]): boolean {
  return follow(changes) && endIn(db, tables, net(changes));
}

/** No row comes that is there, none changes or goes that is not, and each finds the values that the one before it left. */
function follow(changes: readonly Change[]): boolean {
  const rows = new Map<string, Row | undefined>();
  return changes.every((change) => {
    const id = idOf(change);
    const follows = !rows.has(id) || followsOn(rows.get(id), change);
    rows.set(id, change[0] === 'd' ? undefined : row(Object.entries({ ...rows.get(id), ...change[3] })));
    return follows;
  });
}

function followsOn(known: Row | undefined, [op, , , , old]: Change): boolean {
  if (op === 'i' || known === undefined) return op === 'i' && known === undefined;
  return Object.keys(old).every((column) => !(column in known) || sameCell(known[column]!, old[column]!));
}

function endIn(db: Db, tables: ReadonlyMap<string, TableInfo>, changes: readonly Change[]): boolean {
  return changes.every(([op, name, key, now]) => {
    const found = readRow(db, tables.get(name)!, key);
    if (op === 'd' || found === undefined) return op === 'd' && found === undefined;
    const columns = op === 'i' ? [...new Set([...Object.keys(now), ...Object.keys(found)])] : Object.keys(now);
    return columns.every((column) => sameCell(found[column] ?? null, now[column] ?? null));
  });
}

/** What one change makes of `before` to get `after`. */
export function difference(table: string, key: Key, before: Row | undefined, after: Row | undefined): Change | undefined {
  if (before === undefined) return after && ['i', table, key, after];
  if (after === undefined) return ['d', table, key, null, before];
  const columns = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const changed = columns.filter((column) => !sameCell(before[column] ?? null, after[column] ?? null));
  const pick = (cells: Row): Row => row(changed.map((column) => [column, cells[column] ?? null] as const));
  return changed.length === 0 ? undefined : ['u', table, key, pick(after), pick(before)];
}

function typed(table: TableInfo, column: string, type: Value, value: Value): Cell {
  if (type !== 'real') return value;
  const number = value === 0 ? 0 : (value as number);
  return table.types.get(column) === 'ANY' ? real(number) : number;
}
