/** The watch of a list: only rows that were touched are read again, however long the list is. */
import type { Key, Tree } from '../api.js';
import { keyText } from '../capture/wire.js';
import { keysSql } from '../contract/sql.js';
import { keySegment } from '../paths/key.js';
import type { ListPlace } from '../paths/place.js';
import { readItems, readPlace, type Source } from '../paths/read.js';
import { merge, mergeList } from './difference.js';
import { wholeTable } from './path-watch.js';
import type { Hit, Scope, Seen, Watch } from './watch.js';

/** Above this part of the list, reading it whole costs less than row by row. */
const WHOLE = 1 / 8;

export class ListWatch implements Watch {
  readonly scopes: readonly Scope[];
  value: Tree[] | undefined;
  private positions = new Map<string, number>();

  constructor(
    db: Source,
    readonly id: string,
    private readonly place: ListPlace,
  ) {
    const { table, parent } = place;
    const there: Scope[] = parent.length === 0 ? [] : [{ table: table.parent!.name, prefix: parent, columns: [] }];
    this.scopes = [...wholeTable(table, parent), ...there];
    this.value = readPlace(db, place) as Tree[] | undefined;
    this.number(db, this.value);
  }

  /** Where rows stand is not taken over: it is looked at whole next. */
  inherit(before: ListWatch): void {
    this.value = before.value;
  }

  look(db: Source, hits: readonly Hit[] | undefined): Seen | undefined {
    const rows = hits && this.value ? this.rowsOf(hits) : undefined;
    const paths: string[] = [];
    const now = rows === undefined || rows.size > 16 + this.positions.size * WHOLE
      ? this.lookAtAll(db, paths) : this.lookAt(db, rows, paths);
    if (now === this.value) return undefined;
    this.value = now;
    return { value: now, paths };
  }

  /** The touched rows of this list; undefined if its parent row came or went. */
  private rowsOf(hits: readonly Hit[]): Map<string, { key: Key; moved: boolean }> | undefined {
    const { table } = this.place;
    const rows = new Map<string, { key: Key; moved: boolean }>();
    for (const hit of hits) {
      if (hit.key.length < table.key.length) return undefined;
      const key = hit.key.slice(0, table.key.length);
      const id = keyText(key);
      const moved = hit.table === table.name && (hit.columns === 'row' || (table.order !== undefined && hit.columns.has(table.order)));
      rows.set(id, { key, moved: moved || (rows.get(id)?.moved ?? false) });
    }
    return rows;
  }

  private lookAtAll(db: Source, paths: string[]): Tree[] | undefined {
    const now = readPlace(db, this.place) as Tree[] | undefined;
    if (this.value === undefined && now === undefined) return undefined;
    const merged = this.value === undefined || now === undefined ? now : mergeList(this.place.table, this.value, now, this.place.path, paths);
    if (this.value === undefined || now === undefined) paths.push(this.place.path);
    if (merged !== this.value) this.number(db, merged);
    return merged;
  }

  private lookAt(db: Source, rows: Map<string, { key: Key; moved: boolean }>, paths: string[]): Tree[] {
    const { table, path } = this.place;
    const items = new Map<string, Tree>();
    for (const [id, { key }] of rows) {
      const at = this.positions.get(id);
      const before = at === undefined ? undefined : this.value![at];
      const own = keySegment(key.slice(key.length - table.own.length));
      const now = merge(table.root, before, readItems(db, table, key)[0]?.tree, `${path}/${own}`, paths);
      if (now !== undefined && now !== before) items.set(id, now);
    }
    if ([...rows.values()].some((row) => row.moved)) return this.arrange(db, items, paths);
    if (items.size === 0) return this.value!;
    const list = [...this.value!];
    for (const [id, item] of items) list[this.positions.get(id)!] = item;
    return Object.freeze(list) as Tree[];
  }

  /** Puts the rows into the order that the database has now. */
  private arrange(db: Source, items: Map<string, Tree>, paths: string[]): Tree[] {
    const before = this.positions;
    const differs = paths.length > 0;
    this.number(db, this.value);
    const ids = [...this.positions.keys()];
    const list = ids.map((id) => items.get(id) ?? this.value![before.get(id)!]!);
    const stayed = ids.filter((id) => before.has(id)).map((id) => before.get(id)!);
    const moved = stayed.some((at, index) => index > 0 && at < stayed[index - 1]!);
    if (moved) paths.push(this.place.path);
    return moved || differs ? (Object.freeze(list) as Tree[]) : this.value!;
  }

  private number(db: Source, value: Tree[] | undefined): void {
    this.positions = new Map();
    if (value === undefined) return;
    const keys = db.all(keysSql(this.place.table, this.place.parent.length), this.place.parent);
    for (const [at, key] of keys.entries()) this.positions.set(keyText(key), at);
  }
}
