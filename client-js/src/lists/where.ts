/**
 * Queries of one table, built from its contract: properties by name, values always bound, defaults where nothing is stored.
 *
 *     from<Annotation>(store, 'annotation').where((w) => w.eq('locked', false).moreThan('x', 3)).orderBy('name').limit(20).read()
 */
import type { ChangeInfo, Store, SubscribeOptions, Tree, Unsubscribe, Value } from '../api.js';
import { quoted } from '../capture/sql.js';
import { sameCell } from '../capture/capture.js';
import type { Branch, Leaf, Table } from '../contract/model.js';
import { put, showBranch, showLeaf, type Fields } from '../contract/show.js';
import { cellOf } from '../contract/store.js';
import { StoreError, invalid } from '../errors.js';
import { deskOf } from '../store/desk.js';
import { query } from '../store/queries.js';

/** The properties of a row that are values, nested ones with dots: `text.font.size`. */
export type Field<T> = T extends object
  ? { [K in keyof T & string]-?: NonNullable<T[K]> extends readonly unknown[] | string | number | boolean | bigint ? K : NonNullable<T[K]> extends object ? K | `${K}.${Field<NonNullable<T[K]>>}` : K }[keyof T & string]
  : string;

type At<T, F> = F extends keyof T ? NonNullable<T[F]> : F extends `${infer K}.${infer R}` ? (K extends keyof T ? At<NonNullable<T[K]>, R> : Tree) : Tree;

/** A query that is being built; each word returns it again. */
export class From<T = Fields> {
  private condition: Part = { sql: 'TRUE', params: [] };
  private order: Part[] = [];
  private groups: string[] = [];
  private most: Part = { sql: '', params: [] };
  private fields: string[] | undefined;

  constructor(
    private readonly store: Store,
    private readonly name: string,
  ) {
    this.table();
  }

  /** Only these properties, each under its name (`text.font.size`). */
  select<F extends Field<T>>(...fields: F[]): From<{ [K in F]: At<T, K> }> {
    fields.forEach((field) => this.leaf(field));
    this.fields = fields;
    return this as never;
  }

  /** Rows for which the conditions hold, all of them; said again, those too. */
  where(build: (where: Where<T>) => unknown): this {
    const part = conditionOf<T>((field) => this.leaf(field), build, ' AND ');
    this.condition = { sql: `${this.condition.sql} AND ${part.sql}`, params: [...this.condition.params, ...part.params] };
    return this;
  }

  /** Sorts by a property; said again, by that one next. Without it: the order of the list, then the key. */
  orderBy(field: Field<T>, direction: 'ASC' | 'DESC' = 'ASC'): this {
    if (direction !== 'ASC' && direction !== 'DESC') throw invalid('the direction is ASC or DESC');
    const { sql, params } = column(this.leaf(field));
    this.order.push({ sql: `${sql} ${direction}`, params });
    return this;
  }

  /** One row for each value of these properties, with the number of its rows as `count`. */
  groupBy<F extends Field<T>>(...fields: F[]): From<{ [K in F]: At<T, K> } & { count: number }> {
    this.select(...fields);
    this.groups = fields;
    return this as never;
  }

  /** At most so many rows, after the first `offset` of them. */
  limit(count: number, offset = 0): this {
    if (![count, offset].every((one) => Number.isSafeInteger(one) && one >= 0)) throw invalid('a limit and an offset are whole numbers from 0 on');
    this.most = { sql: ' LIMIT ? OFFSET ?', params: [count, offset] };
    return this;
  }

  /** The query as it goes to SQLite; `store.query` and `store.subscribe` take it too. */
  get query(): { sql: string; params: Value[] } {
    const table = this.table();
    const shown = this.fields?.map((field) => ({ field, ...column(this.leaf(field)) }));
    const columns = shown?.map(({ field, sql }) => `${sql} AS ${quoted(field)}`) ?? table.columns.map((name) => quoted(name));
    if (this.groups.length > 0) columns.push('count(*) AS count');
    const group = this.groups.length > 0 ? ` GROUP BY ${this.groups.map((_, at) => at + 1).join(', ')}` : '';
    const natural = this.groups.length > 0 ? [] : [...(table.order === undefined ? [] : [table.order]), ...table.key].map(quoted);
    const order = this.order.length > 0 ? this.order.map((one) => one.sql) : natural;
    const sorted = order.length > 0 ? ` ORDER BY ${order.join(', ')}` : '';
    return {
      sql: `SELECT ${columns.join(', ')} FROM ${quoted(table.name)} WHERE ${this.condition.sql}${group}${sorted}${this.most.sql}`,
      params: [...(shown ?? []).flatMap((one) => one.params), ...this.condition.params, ...this.order.flatMap((one) => one.params), ...this.most.params],
    };
  }

  /** The rows, now; whole ones as trees without their nested lists. */
  read(): T[] {
    const { sql, params } = this.query;
    return query(deskOf(this.store).loaded.db, sql, params).map((row) => this.shown(row));
  }

  /** The first row, now; undefined if there is none. */
  readOne(): T | undefined {
    return this.read()[0];
  }

  /** StoreLite's word for `read`. */
  do(): T[] {
    return this.read();
  }

  /** Calls back with the rows at once, and whenever they differ. */
  subscribe(callback: (rows: T[], info: ChangeInfo) => void, options?: SubscribeOptions): Unsubscribe {
    return this.store.subscribe(this.query, (rows, info) => callback(rows.map((row) => this.shown(row)), info), options);
  }

  private shown(row: Record<string, Value>): T {
    const { root, columns } = this.table();
    if (this.fields === undefined) return showBranch(root, columns.map((name) => row[name] ?? null), () => undefined) as T;
    const fields: Fields = {};
    for (const field of this.fields) {
      const leaf = this.leaf(field);
      // The query has put the default in already, where it counts.
      const value = row[field] === null ? (leaf.required && leaf.nullable ? null : undefined) : showLeaf(leaf, row[field]);
      if (value !== undefined) put(fields, field, value);
    }
    if (this.groups.length > 0) fields.count = row.count as number;
    return Object.freeze(fields) as T;
  }

  private table(): Table {
    const table = deskOf(this.store).loaded.contract.tables.get(this.name);
    if (table === undefined) throw new StoreError('not_found', `the contract has no table ${this.name}`);
    return table;
  }

  private leaf(field: string): Property {
    const leaf = this.table().root.leaves.find((one) => one.column === field);
    if (leaf === undefined) throw new StoreError('not_found', `${this.name} has no property ${field} that is a value`);
    return { ...leaf, around: sparseOf(this.table().root, field) };
  }
}

/** A table of the contract (nested lists by their full name, `annotation.points`). Throws StoreError if there is none. */
export function from<T = Fields>(store: Store, table: string): From<T> {
  return new From<T>(store, table);
}

interface Part { sql: string; params: Value[] }
/** `around`: the innermost object around it that may be absent; where it is, the default does not count. */
type Property = Leaf & { around: Branch | undefined };

function sparseOf(root: Branch, column: string): Branch | undefined {
  let branch: Branch = root;
  let sparse: Branch | undefined;
  for (const name of column.split('.').slice(0, -1)) {
    const inner = branch.properties.get(name);
    if (inner?.kind !== 'branch') break;
    branch = inner;
    if (branch.sparse) sparse = branch;
  }
  return sparse;
}

/** A property as it reads: the default where nothing is stored. */
function column(leaf: Property): Part {
  const name = quoted(leaf.column);
  if (leaf.default === undefined) return { sql: name, params: [] };
  const value = `coalesce(${name}, ?)`;
  const params = [cellOf(leaf, leaf.default, '')];
  if (leaf.around === undefined) return { sql: value, params };
  const present = leaf.around.leaves.map((one) => `${quoted(one.column)} IS NOT NULL`).join(' OR ');
  return { sql: `CASE WHEN ${present} THEN ${value} END`, params };
}

/** Conditions on the properties of a row. Values are bound, never written into the text. */
export class Where<T = Fields> {
  readonly parts: Part[] = [];

  constructor(private readonly leaf: (field: string) => Property) {}

  /** Equal, in value and type; a property that is not stored is its default. */
  eq<F extends Field<T>>(field: F, value: At<T, F>): this {
    const leaf = this.leaf(field);
    const cell = cellOf(leaf, value as Tree, '');
    // Written so that an index serves: what is equal to the default is not stored.
    if (leaf.default === undefined || !sameCell(cell, cellOf(leaf, leaf.default, ''))) return this.add({ sql: `${quoted(leaf.column)} = ?`, params: [cell] });
    return this.compare(leaf, '=', cell);
  }

  /** There, and not equal. */
  notEq<F extends Field<T>>(field: F, value: At<T, F>): this {
    return this.compare(this.leaf(field), '<>', cellOf(this.leaf(field), value as Tree, ''));
  }

  /** Nothing is there, and there is no default. */
  isNull(field: Field<T>): this {
    return this.test(field, 'IS NULL');
  }

  /** Something is there, or a default counts. */
  notNull(field: Field<T>): this {
    return this.test(field, 'IS NOT NULL');
  }

  /** Greater than; texts by their code points. */
  moreThan<F extends Field<T>>(field: F, value: At<T, F>): this {
    return this.compare(this.leaf(field), '>', cellOf(this.leaf(field), value as Tree, ''));
  }

  /** Greater than or equal. */
  moreThanOrEq<F extends Field<T>>(field: F, value: At<T, F>): this {
    return this.compare(this.leaf(field), '>=', cellOf(this.leaf(field), value as Tree, ''));
  }

  /** Less than. */
  lessThan<F extends Field<T>>(field: F, value: At<T, F>): this {
    return this.compare(this.leaf(field), '<', cellOf(this.leaf(field), value as Tree, ''));
  }

  /** Less than or equal. */
  lessThanOrEq<F extends Field<T>>(field: F, value: At<T, F>): this {
    return this.compare(this.leaf(field), '<=', cellOf(this.leaf(field), value as Tree, ''));
  }

  /** From the least to the most, both included. */
  betweenAnd<F extends Field<T>>(field: F, least: At<T, F>, most: At<T, F>): this {
    return this.moreThanOrEq(field, least).lessThanOrEq(field, most);
  }

  /** `%` stands for anything, `_` for one character; `contains` takes them as they are. */
  like(field: Field<T>, pattern: string): this {
    const { sql, params } = column(this.leaf(field));
    return this.add({ sql: `${sql} LIKE ?`, params: [...params, pattern] });
  }

  /** The text stands somewhere in it, large and small letters told apart. */
  contains(field: Field<T>, text: string): this {
    const { sql, params } = column(this.leaf(field));
    return this.add({ sql: `instr(${sql}, ?) > 0`, params: [...params, text] });
  }

  /** Equal to one of these; of none: no row. */
  in<F extends Field<T>>(field: F, values: readonly At<T, F>[]): this {
    return this.among(field, values as readonly Tree[], 'IN');
  }

  /** There, and equal to none of these. */
  notIn<F extends Field<T>>(field: F, values: readonly At<T, F>[]): this {
    return this.among(field, values as readonly Tree[], 'NOT IN');
  }

  /** All of these. */
  andX(build: (where: Where<T>) => unknown): this {
    return this.add(conditionOf(this.leaf, build, ' AND '));
  }

  /** Any of these. */
  orX(build: (where: Where<T>) => unknown): this {
    return this.add(conditionOf(this.leaf, build, ' OR '));
  }

  private compare(leaf: Property, operator: string, cell: Value): this {
    const { sql, params } = column(leaf);
    return this.add({ sql: `${sql} ${operator} ?`, params: [...params, cell] });
  }

  private test(field: string, sql: string): this {
    const part = column(this.leaf(field));
    return this.add({ sql: `${part.sql} ${sql}`, params: part.params });
  }

  private among(field: string, values: readonly Tree[], operator: string): this {
    const leaf = this.leaf(field);
    const { sql, params } = column(leaf);
    const cells = values.map((value) => cellOf(leaf, value, ''));
    return this.add({ sql: `${sql} ${operator} (${cells.map(() => '?').join(', ')})`, params: [...params, ...cells] });
  }

  private add(part: Part): this {
    this.parts.push(part);
    return this;
  }
}

function conditionOf<T>(leaf: (field: string) => Property, build: (where: Where<T>) => unknown, joined: ' AND ' | ' OR '): Part {
  const where = new Where<T>(leaf);
  build(where);
  if (where.parts.length === 0) return { sql: joined === ' OR ' ? 'FALSE' : 'TRUE', params: [] };
  return { sql: `(${where.parts.map((part) => part.sql).join(joined)})`, params: where.parts.flatMap((part) => part.params) };
}
