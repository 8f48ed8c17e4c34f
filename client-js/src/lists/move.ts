/**
 * Moving rows: within their list, into another one, in a tree. Only the rows that move are written, unless two people
 * have put rows in one place: then as few of their neighbours as it takes.
 */
import type { Key, Store, Tree, Tx, Value } from '../api.js';
import { quoted } from '../capture/sql.js';
import { keyText } from '../capture/wire.js';
import type { Table } from '../contract/model.js';
import { where } from '../contract/sql.js';
import { invalid, notFound } from '../errors.js';
import { arrange, between } from '../paths/order.js';
import { keySegment } from '../paths/key.js';
import type { ListPlace, RowPlace } from '../paths/place.js';
import { deskOf } from '../store/desk.js';

/** Where rows go. Without a word about it they go to the end of the list that they are in. */
export interface Spot {
  /** The path of the row that they are to stand right before or right after. */
  before?: string;
  after?: string;
  /** 0 is the first place, among the rows that stay. */
  at?: number;
  /** A nested list of another row (`layer/l2/items`): the rows and all in them go there under their own keys. */
  list?: string;
  /** In a tree: the path of the row that becomes their parent; null: none, they stand at the top. */
  under?: string | null;
  /** A property whose equal values make a list (`layer` of a shape), and its value there. */
  among?: string;
  value?: Tree;
}

interface Sibling { key: Key; order: string | null }

/**
 * Moves rows of one list, in the given sequence, and returns their paths (new ones where they went into another row's
 * list). Inside of a transaction of the store or of a draft, which refuses a circle in a tree, as the server does. With
 * `missing: 'skip'` the transaction leaves out rows that somebody else has deleted meanwhile.
 */
export function move(store: Store, t: Tx, paths: string | readonly string[], spot: Spot): string[] {
  const { loaded } = deskOf(store);
  const rows = [paths].flat().map((path) => rowAt(loaded.place(path), path));
  const [first] = rows;
  if (first === undefined) return [];
  if (rows.some((row) => row.table !== first.table)) throw invalid('rows of several lists do not move together');
  if (spot.list === undefined) return new Mover(t, first.table, (path) => rowAt(loaded.place(path), path)).move(rows, spot);
  const list = loaded.place(spot.list);
  if (list.kind !== 'list' || list.table !== first.table) throw invalid(`${spot.list} is no list of such rows`);
  const { list: _, ...there } = spot;
  const moved = rows.map((row) => loaded.place(carry(t, row, list)) as RowPlace);
  return new Mover(t, first.table, (path) => rowAt(loaded.place(path), path)).move(moved, there);
}

/** Takes a row, with all in it, into another list of its kind. */
function carry(t: Tx, row: RowPlace, list: ListPlace): string {
  const own = keySegment(row.key.slice(list.parent.length));
  if (keyText(row.key.slice(0, list.parent.length)) === keyText(list.parent)) return row.path;
  const tree = t.get(row.path) as { [property: string]: Tree } | undefined;
  if (tree === undefined) throw notFound(`there is no ${row.path}`);
  t.delete(row.path);
  t.insert(list.path, tree);
  return `${list.path}/${own}`;
}

class Mover {
  constructor(
    private readonly t: Tx,
    private readonly table: Table,
    private readonly row: (path: string) => RowPlace,
  ) {}

  move(rows: readonly RowPlace[], spot: Spot): string[] {
    const column = this.grouping(spot);
    const group = this.group(rows[0]!, spot, column);
    if (column !== undefined) for (const row of rows) this.write(row.key, column, group);
    if (this.table.order !== undefined) this.arrange(rows, spot, column, group);
    else if (spot.before !== undefined || spot.after !== undefined || spot.at !== undefined)
      throw invalid(`${this.table.name} has no order: its contract names none with x-sql.order`);
    return rows.map((row) => row.path);
  }

  /** The column whose equal values make a list within the table. */
  private grouping({ among, under }: Spot): string | undefined {
    const column = among?.replaceAll('/', '.') ?? this.table.tree;
    if (under !== undefined && this.table.tree === undefined) throw invalid(`${this.table.name} is no tree: its contract names no x-sql.tree`);
    if (column !== undefined && !this.table.types.has(column)) throw invalid(`${this.table.name} has no property ${column}`);
    return column;
  }

  private group({ key }: RowPlace, { under, among, value }: Spot, column: string | undefined): Value {
    if (column === undefined) return null;
    if (among !== undefined && value !== undefined) return value as Value;
    if (typeof under === 'string') return this.row(under).key[0]!;
    if (under === null) return null;
    const [found] = this.select([column], where(this.table), key);
    if (found === undefined) throw notFound(`there is no ${this.table.name} ${keyText(key)}`);
    return found[column]!;
  }

  private arrange(rows: readonly RowPlace[], spot: Spot, column: string | undefined, group: Value): void {
    const moving = new Set(rows.map((row) => keyText(row.key)));
    const siblings = this.siblings(rows[0]!.key, column, group).filter((sibling) => !moving.has(keyText(sibling.key)));
    const at = this.position(siblings, spot);
    const texts = between(siblings[at - 1]?.order ?? null, siblings[at]?.order ?? null, rows.length);
    // A neighbour without a text would count as none.
    const clear = (siblings[at - 1]?.order ?? '') !== null && (siblings[at]?.order ?? '') !== null;
    if (texts !== undefined && clear) return rows.forEach((row, i) => this.write(row.key, this.table.order!, texts[i]!));
    const all: Sibling[] = [...siblings.slice(0, at), ...rows.map(({ key }) => ({ key, order: null })), ...siblings.slice(at)];
    for (const [i, order] of arrange(all.map((one) => one.order)).entries())
      if (order !== all[i]!.order) this.write(all[i]!.key, this.table.order!, order);
  }

  private position(siblings: readonly Sibling[], { before, after, at }: Spot): number {
    const beside = before ?? after;
    if (beside === undefined) return Math.min(Math.max(at ?? siblings.length, 0), siblings.length);
    const key = keyText(this.row(beside).key);
    const found = siblings.findIndex((sibling) => keyText(sibling.key) === key);
    if (found < 0) throw invalid(`${beside} does not stand in the list where the rows go`);
    return before === undefined ? found + 1 : found;
  }

  private siblings(key: Key, column: string | undefined, group: Value): Sibling[] {
    const { table } = this;
    const parent = key.slice(0, key.length - table.own.length);
    const within = column === undefined ? '' : ` AND ${quoted(column)} IS ?`;
    const sorted = ` ORDER BY ${[table.order!, ...table.own].map(quoted).join(', ')}`;
    const found = this.select([...table.key, table.order!], `${where(table, parent.length)}${within}${sorted}`, column === undefined ? parent : [...parent, group]);
    return found.map((row) => ({ key: table.key.map((name) => row[name]!), order: row[table.order!] as string | null }));
  }

  private select(columns: readonly string[], rest: string, params: Key): Record<string, Value>[] {
    return this.t.query(`SELECT ${columns.map(quoted).join(', ')} FROM ${quoted(this.table.name)} WHERE ${rest}`, params);
  }

  private write(key: Key, column: string, value: Value): void {
    this.t.sql(`UPDATE ${quoted(this.table.name)} SET ${quoted(column)} = ? WHERE ${where(this.table)}`, [value, ...key]);
  }
}

function rowAt(place: { kind: string }, path: string): RowPlace {
  if (place.kind !== 'row') throw invalid(`${path} is not a row`);
  return place as RowPlace;
}

/** An id for a row, made here: 128 bits of chance in 22 characters that need no escaping in a path. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').slice(0, 22);
}
