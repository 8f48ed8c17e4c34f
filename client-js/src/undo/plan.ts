/**
 * What of a step can be taken back now: only what is still as the step left it. What somebody else has changed since,
 * or hung upon it, stays, and is told with its reason.
 */
import type { Expectation, Value } from '../api.js';
import { sameCell } from '../capture/capture.js';
import { row } from '../capture/wire.js';
import { idOf } from '../core/net.js';
import { properties } from '../core/statements.js';
import type { Change, Key, Operation, Row, TableInfo } from '../core/types.js';

/**
 * `changed`: somebody has written to it since; `gone`: its row was deleted; `there`: a row of its key is there again;
 * `used`: other rows hang on it; `unknown`: the contract has it no more; `refused`: the contract or the server forbids it.
 */
export type Why = 'changed' | 'gone' | 'there' | 'used' | 'unknown' | 'refused';

export interface Stays { change: Change; why: Why }

export interface Plan {
  operations: Operation[];
  /** What the server must find, so that nobody is overwritten whose commit is still on its way. */
  expect: Expectation[];
  stays: Stays[];
}

/** The rows as they are: confirmed ones with what is pending, without drafts. */
export interface Rows {
  tables: ReadonlyMap<string, TableInfo>;
  row(table: string, key: Key): Row | undefined;
  users(table: string, key: Key, row: Row): [table: string, key: Key][];
  /** The confirmed version, and what of one's own lies above it. */
  version: number;
  pending: readonly unknown[];
}

/** `except`: rows (by `idOf`) that are left as they are. */
export function plan(changes: readonly Change[], rows: Rows, except: ReadonlySet<string>): Plan {
  const made: Plan = { operations: [], expect: [], stays: [] };
  const deleted = new Set(changes.filter((change) => change[0] === 'd' && !except.has(idOf(change))).map(idOf));
  for (const change of changes) {
    if (except.has(idOf(change))) made.stays.push({ change, why: 'refused' });
    else if (!rows.tables.has(change[1])) made.stays.push({ change, why: 'unknown' });
    else if (change[0] === 'u') planUpdate(made, rows, change);
    else if (change[0] === 'i') planInsert(made, rows, change);
    else planDelete(made, rows, change, deleted);
  }
  return made;
}

function planUpdate(made: Plan, rows: Rows, change: Extract<Change, ['u', ...unknown[]]>): void {
  const [, table, key, back, left] = change;
  const { types } = rows.tables.get(table)!;
  const present = rows.row(table, key);
  const because = (columns: string[], why: Why): void => {
    if (columns.length > 0) made.stays.push({ change: ['u', table, key, pick(back, columns), pick(left, columns)], why });
  };
  const columns = Object.keys(back);
  const known = columns.filter((column) => types.has(column));
  because(columns.filter((column) => !types.has(column)), 'unknown');
  if (present === undefined) return because(known, 'gone');
  const mine = known.filter((column) => sameCell(present[column] ?? null, left[column] ?? null));
  because(known.filter((column) => !mine.includes(column)), 'changed');
  if (mine.length === 0) return;
  made.operations.push(['u', table, key, pick(back, mine)]);
  made.expect.push(holds(table, key, pick(left, mine)));
}

function planInsert(made: Plan, rows: Rows, change: Extract<Change, ['i', ...unknown[]]>): void {
  const [, table, key, back] = change;
  if (rows.row(table, key) !== undefined) return void made.stays.push({ change, why: 'there' });
  const { types } = rows.tables.get(table)!;
  made.operations.push(['i', table, key, pick(back, Object.keys(back).filter((column) => types.has(column)))]);
}

/** A row that was made goes only if it is as it was made, and nothing of others would go with it. */
function planDelete(made: Plan, rows: Rows, change: Extract<Change, ['d', ...unknown[]]>, deleted: Set<string>): void {
  const [, table, key, , left] = change;
  const present = rows.row(table, key);
  if (present === undefined) return void made.stays.push({ change, why: 'gone' });
  const { types } = rows.tables.get(table)!;
  const columns = [...new Set([...Object.keys(present), ...Object.keys(left)])].filter((column) => types.has(column));
  const mine = columns.every((column) => sameCell(present[column] ?? null, left[column] ?? null));
  const used = (): boolean => rows.users(table, key, present).some((user) => !deleted.has(idOf(['d', ...user, null, {}])));
  if (!mine || used()) {
    deleted.delete(idOf(change));
    return void made.stays.push({ change, why: mine ? 'used' : 'changed' });
  }
  made.operations.push(['d', table, key]);
  made.expect.push(untouched(rows, table, key, left));
}

/** Also what is NULL must still be so. While nothing of one's own is on its way, that is said in fewer words. */
function untouched({ tables, version, pending }: Rows, table: string, key: Key, left: Row): Expectation {
  if (pending.length === 0) return { kind: 'since', table, key, version };
  return holds(table, key, pick(left, properties(tables.get(table)!)));
}

function holds(table: string, key: Key, cells: Row): Expectation {
  // An expectation that is made here may hold a Real, which is encoded like every other cell.
  return { kind: '=', table, key, cells: cells as Record<string, Value> };
}

function pick(cells: Row, columns: readonly string[]): Row {
  return row(columns.map((column) => [column, cells[column] ?? null] as const));
}
