/** Reads trees out of the database: one statement for each table that the tree spans, however many rows it has. */
import type { Key, Tree, Value } from '../api.js';
import { keyText } from '../capture/wire.js';
import type { Branch, List, Table } from '../contract/model.js';
import { isBlank, put, showBranch, showLeaf, type Fields } from '../contract/show.js';
import { cellSql, rowsSql } from '../contract/sql.js';
import type { BranchPlace, LeafPlace, Place } from './place.js';

/** What reading needs of a database. */
export interface Source {
  all(sql: string, params?: Value[]): Value[][];
  get(sql: string, params?: Value[]): Value[] | undefined;
}

/** A row of a list: its own key as a path says it, where it stands, and its tree. */
export interface Item {
  key: Key;
  tree: Tree;
}

export function readPlace(db: Source, place: Place): Tree | undefined {
  if (place.kind === 'leaf') return readLeaf(db, place);
  if (place.kind === 'branch') return readBranch(db, place);
  if (place.kind === 'row') return readItems(db, place.table, place.key)[0]?.tree;
  if (place.parent.length > 0 && readRow(db, place.table.parent!, place.parent) === undefined) return undefined;
  return Object.freeze(readItems(db, place.table, place.parent).map((item) => item.tree)) as Tree;
}

function readLeaf(db: Source, place: LeafPlace): Tree | undefined {
  const found = db.get(cellSql(place.table, place.node), place.key);
  if (found === undefined) return undefined;
  const cell = found[0]!;
  if (cell === null && place.sparse.length > 0 && isAbsent(db, place, place.sparse)) return undefined;
  return showLeaf(place.node, cell);
}

/** The innermost one decides: where it is present, those around it are. */
function isAbsent(db: Source, place: { table: Table; key: Key }, sparse: Branch[]): boolean {
  const row = readRow(db, place.table, place.key);
  return row === undefined || isBlank(sparse.at(-1)!, row);
}

export function readRow(db: Source, table: Table, key: Key): Value[] | undefined {
  return db.get(rowsSql(table, table.key.length), key);
}

function readBranch(db: Source, place: BranchPlace): Tree | undefined {
  const row = readRow(db, place.table, place.key);
  if (row === undefined || place.sparse.some((branch) => isBlank(branch, row))) return undefined;
  return showBranch(place.node, row, (list) => readItems(db, list.table, place.key).map((item) => item.tree));
}

/** The rows whose key begins with `prefix`, as trees, each parent's list in its order. */
export function readItems(db: Source, table: Table, prefix: Key): Item[] {
  const rows = db.all(rowsSql(table, prefix.length), prefix);
  if (rows.length === 0) return [];
  const nested = new Map(table.children.map((list) => [list, byParent(readItems(db, list.table, prefix), table.key.length)]));
  return rows.map((row) => {
    const key = row.slice(0, table.key.length);
    const lists = (list: List): Tree[] => nested.get(list)!.get(keyText(key)) ?? EMPTY;
    return { key, tree: showRow(table, row, lists) };
  });
}

const EMPTY: Tree[] = Object.freeze([]) as unknown as Tree[];

function byParent(items: Item[], length: number): Map<string, Tree[]> {
  const groups = new Map<string, Tree[]>();
  for (const item of items) {
    const parent = keyText(item.key.slice(0, length));
    const group = groups.get(parent);
    if (group === undefined) groups.set(parent, [item.tree]);
    else group.push(item.tree);
  }
  for (const group of groups.values()) Object.freeze(group);
  return groups;
}

/** A row of a list with hidden keys shows them (`_id`, `_key`): nothing else names it in a path. */
function showRow(table: Table, row: Value[], lists: (list: List) => Tree[]): Tree {
  const tree = showBranch(table.root, row, lists) as Fields;
  if (!table.hidden) return tree;
  const shown: Fields = {};
  put(shown, table.own[0]!, row[table.key.length - 1]!);
  return Object.freeze(Object.assign(shown, tree));
}
