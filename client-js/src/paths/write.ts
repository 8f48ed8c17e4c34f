/** Writes trees as row operations: as few as the difference needs, each property a column of its own. */
import type { Key, Tree, Value } from '../api.js';
import { sameCell } from '../capture/capture.js';
import { keyText, row } from '../capture/wire.js';
import { SINGLETON, type Branch, type List, type Table } from '../contract/model.js';
import { rowsSql } from '../contract/sql.js';
import { isObject, pointerTo, spread, storeLeaf, type Mode, type Writing } from '../contract/store.js';
import { StoreError, invalid, notFound } from '../errors.js';
import type { Operation } from '../core/types.js';
import { arrange } from './order.js';
import { orderIn, place, valueAt } from './standing.js';
import { readRow, type Source } from './read.js';
import type { LeafPlace, Place } from './place.js';

/** Where writes go, and what they look at on the way. */
export interface Target {
  db: Source;
  apply(operation: Operation): void;
  /** A key for a row whose list has hidden ones. */
  newId(): string;
  /** The last order text of lists that rows were just added to; forgotten at any other write. */
  lastOrders: Map<string, string | null>;
}

export function setPlace(to: Target, place: Place, value: Tree): void {
  if (place.kind === 'list') return replaceList(to, place.table, place.parent, listed(value, place.path));
  if (place.kind === 'leaf') return setLeaf(to, place, value);
  if (place.kind === 'row') return setRow(to, place.table, place.key, value);
  const writing = spreadAt(place.table, place.key, place.node, value, 'merge', pointerOf(place.node.prefix));
  update(to, place.table, place.key, writing);
}

export function deletePlace(to: Target, place: Place): void {
  if (place.kind !== 'row') return setPlace(to, place, null);
  if (place.table.singleton) throw invalid(`${place.path}: a singleton is never deleted; set it to null to reset it`);
  to.apply(['d', place.table.name, place.key]);
}

/** Makes a row at the end of its list and returns its key. */
export function insertRow(to: Target, table: Table, parent: Key, value: Tree, order?: string): Key {
  const key = [...parent, ...ownKey(to, table, value)];
  const writing = spreadAt(table, key, table.root, withoutId(table, value), 'replace', '');
  insert(to, table, key, writing, order);
  return key;
}

function setLeaf(to: Target, place: LeafPlace, value: Tree): void {
  const { table, key, node } = place;
  const cell = located(table, key, () => storeLeaf(node, value, pointerOf(node.column)));
  const at = table.key.indexOf(node.column);
  if (at < 0) to.apply(['u', table.name, key, row([[node.column, cell]])]);
  else if (!sameCell(cell, key[at]!)) throw keyChange(table, key, node.column);
}

function setRow(to: Target, table: Table, key: Key, value: Tree): void {
  const there = readRow(to.db, table, key) !== undefined;
  const writing = spreadAt(table, key, table.root, withoutId(table, value), there ? 'merge' : 'replace', '');
  if (there) return update(to, table, key, writing);
  if (value === null) throw notFound(`${table.name} has no row ${JSON.stringify(shown(key))}`);
  insert(to, table, key, writing);
}

function update(to: Target, table: Table, key: Key, writing: Writing): void {
  dropKey(table, key, writing);
  // Also where no cell changes: whoever writes to a row that is gone must hear it.
  if (writing.cells.size > 0) to.apply(['u', table.name, key, row(writing.cells)]);
  else if (writing.lists.length > 0 && readRow(to.db, table, key) === undefined)
    throw notFound(`${table.name} has no row ${JSON.stringify(shown(key))}`);
  for (const [list, items] of writing.lists) replaceList(to, list.table, key, items);
}

function insert(to: Target, table: Table, key: Key, writing: Writing, order?: string): void {
  dropKey(table, key, writing);
  if (table.order !== undefined) place(to, table, key, writing, order);
  const cells = [...writing.cells].filter(([, cell]) => cell !== null);
  to.apply(['i', table.name, key, row(cells)]);
  for (const [list, items] of writing.lists) insertItems(to, list, key, items);
}

/** Where all items say their place themselves, that is their order; else they stand as they are listed. */
function insertItems(to: Target, { table }: List, parent: Key, items: Tree[]): void {
  const given = items.map((item) => orderIn(table, item));
  const orders = table.order === undefined || !given.includes(null) ? given : arrange(given);
  for (const [at, item] of items.entries()) insertRow(to, table, parent, item, orders[at] ?? undefined);
}

interface Existing { key: Key; row: Value[]; order: string | null }

/** Makes the list hold exactly these items: rows are matched by their keys, hidden ones that are not given by position. */
function replaceList(to: Target, table: Table, parent: Key, items: Tree[]): void {
  const rest = existing(to.db, table, parent);
  const keys = items.map((item) => (table.hidden && givenId(table, item) === undefined ? undefined : keyText([...parent, ...ownKey(to, table, item)])));
  const named = keys.filter((key) => key !== undefined);
  if (new Set(named).size < named.length) throw new StoreError('exists', `${table.name}: two items of the list have one key`);
  const matched = keys.map((key) => (key === undefined ? undefined : take(rest, key)));
  for (const [at, key] of keys.entries()) if (key === undefined) matched[at] = takeFirst(rest);
  for (const gone of rest.values()) to.apply(['d', table.name, gone.key]);
  const orders = table.order === undefined ? [] : arrange(items.map((item, at) => orderIn(table, item) ?? matched[at]?.order ?? null));
  for (const [at, item] of items.entries()) {
    const row = matched[at];
    if (row === undefined) insertRow(to, table, parent, item, orders[at]);
    else replaceRow(to, table, row, item, orders[at]);
  }
}

function existing(db: Source, table: Table, parent: Key): Map<string, Existing> {
  const order = table.order === undefined ? undefined : table.columns.indexOf(table.order);
  const rows = db.all(rowsSql(table, parent.length), parent);
  return new Map(rows.map((row) => {
    const key = row.slice(0, table.key.length);
    return [keyText(key), { key, row, order: order === undefined ? null : (row[order] as string | null) }];
  }));
}

function take(rest: Map<string, Existing>, key: string): Existing | undefined {
  const found = rest.get(key);
  rest.delete(key);
  return found;
}

function takeFirst(rest: Map<string, Existing>): Existing | undefined {
  const first = rest.keys().next();
  return first.done ? undefined : take(rest, first.value);
}

function replaceRow(to: Target, table: Table, at: Existing, item: Tree, order: string | undefined): void {
  const writing = spreadAt(table, at.key, table.root, withoutId(table, item), 'replace', '');
  dropKey(table, at.key, writing);
  if (order !== undefined) writing.cells.set(table.order!, order);
  const differing = [...writing.cells].filter(([column, cell]) => !sameCell(cell, at.row[table.columns.indexOf(column)]!));
  if (differing.length > 0) to.apply(['u', table.name, at.key, row(differing)]);
  for (const [list, items] of writing.lists) replaceList(to, list.table, at.key, items);
}

function ownKey(to: Target, table: Table, value: Tree): Key {
  if (table.singleton) return SINGLETON;
  if (!isObject(value)) throw invalid(`an item of ${table.name} must be an object`, { table: table.name, pointer: '' });
  if (table.hidden) return [givenId(table, value) ?? (isText(table) ? to.newId() : parseInt(to.newId().slice(0, 13), 16))];
  return table.own.map((column) => {
    const leaf = table.root.leaves.find((candidate) => candidate.column === column)!;
    const given = valueAt(value, column);
    const pointer = pointerOf(column);
    if (given === undefined || given === null) throw invalid(`${table.name}: the key ${column} is missing`, { table: table.name, pointer });
    const cell = storeLeaf(leaf, given, pointer);
    if (typeof cell === 'string' && cell.includes('\0')) throw invalid(`${table.name}: a key may not contain U+0000`, { table: table.name, pointer });
    return cell;
  });
}

function isText(table: Table): boolean {
  return table.types.get(table.own[0]!) === 'TEXT';
}

/** The hidden key that a row brings along, if it is one. */
function givenId(table: Table, value: Tree): Value | undefined {
  const given = isObject(value) ? value[table.own[0]!] : undefined;
  const fits = isText(table) ? typeof given === 'string' : Number.isSafeInteger(given) || typeof given === 'bigint';
  return fits ? (given as Value) : undefined;
}

function withoutId(table: Table, value: Tree): Tree {
  if (!table.hidden || !isObject(value)) return value;
  const { [table.own[0]!]: _, ...rest } = value;
  return rest;
}

/** The key is said by the path; in the value it may stand again, but not differ. */
function dropKey(table: Table, key: Key, writing: Writing): void {
  for (const [at, column] of table.key.entries()) {
    const cell = writing.cells.get(column) ?? null;
    if (cell !== null && !sameCell(cell, key[at]!)) throw keyChange(table, key, column);
    writing.cells.delete(column);
  }
}

function keyChange(table: Table, key: Key, column: string): StoreError {
  return invalid(`${table.name}: the key ${column} of a row does not change; delete the row and insert another`, {
    table: table.name, key: shown(key), pointer: pointerOf(column),
  });
}

function spreadAt(table: Table, key: Key, branch: Branch, value: Tree, mode: Mode, pointer: string): Writing {
  const writing: Writing = { cells: new Map(), lists: [] };
  located(table, key, () => spread(branch, value, mode, writing, pointer));
  return writing;
}

/** Says in which row a fault is, where only the property is known. */
function located<T>(table: Table, key: Key, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new StoreError(error.code, `${table.name} ${JSON.stringify(shown(key))}: ${error.message}`,
      error.errors.map((fault) => ({ table: table.name, key: shown(key), ...fault })));
  }
}

/** A key as JSON can show it. */
export function shown(key: Key): unknown[] {
  return key.map((part) => (typeof part === 'bigint' || part instanceof Uint8Array ? String(part) : part));
}

function pointerOf(column: string): string {
  return column === '' ? '' : pointerTo(...column.split('.'));
}

function listed(value: Tree, path: string): Tree[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${path} must be a list`);
  return value;
}
