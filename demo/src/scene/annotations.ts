/**
 * The annotations as the view keeps them: their places in flat arrays, everything else sparse.
 *
 * Loaded by two queries (the columns that nearly every row has; whole rows only of those that differ elsewhere), then
 * kept up from the paths that changed.
 */
import type { Store, Tree, Value } from 'sharelite';
import { fieldsAt, type FieldNode } from 'sharelite/forms';
import { flatten, leavesOf } from './fields';
import type { Read } from './looks';

const COMMON = ['name', 'country', 'population', 'layer', 'position.lon', 'position.lat', 'icon.size', 'icon.scale.enabled', 'icon.outline.visible'] as const;
const quoted = (column: string): string => `"${column}"`;

type Cells = Record<string, Tree | undefined>;

export class Annotations {
  readonly index = new Map<string, number>();
  ids: string[] = [];
  lon: number[] = [];
  lat: number[] = [];
  /** Indexes, the most important first. */
  order: number[] = [];
  private readonly fields: Map<string, FieldNode>;
  private readonly booleans: Set<string>;
  private readonly rows: (Cells | undefined)[] = [];
  private readonly free: number[] = [];
  private sorted = false;

  constructor(private readonly store: Store) {
    this.fields = new Map(leavesOf(fieldsAt(store.contract.document, 'annotation')));
    this.booleans = new Set([...this.fields].filter(([, { kind }]) => kind === 'boolean').map(([name]) => name));
  }

  get count(): number { return this.ids.length; }

  /** All of them; the indexes of those that are there no longer. */
  async load(): Promise<number[]> {
    const before = new Map(this.index);
    const rest = [...this.fields.keys()].filter((name) => name !== 'id' && !(COMMON as readonly string[]).includes(name));
    const common = this.store.query(`SELECT id, ${COMMON.map(quoted).join(', ')} FROM annotation`);
    const special = this.store.query(`SELECT * FROM annotation WHERE coalesce(${rest.map(quoted).join(', ')}) IS NOT NULL`);
    for (const row of await common) {
      before.delete(row.id as string);
      this.put(row.id as string, this.typed(row));
    }
    for (const row of await special) this.put(row.id as string, this.typed(row));
    for (const [id, index] of before) this.remove(id, index);
    this.sort();
    return [...before.values()];
  }

  /** Reads a row again; undefined if it is gone (its index is then free). */
  refresh(id: string): { index: number; gone: boolean } | undefined {
    const tree = this.store.peek(`annotation/${encodeURIComponent(id)}`);
    const index = this.index.get(id);
    if (tree === undefined || tree === null) {
      if (index === undefined) return undefined;
      this.remove(id, index);
      return { index, gone: true };
    }
    return { index: this.put(id, flatten(tree)), gone: false };
  }

  read(index: number): Read {
    const cells = this.rows[index] ?? {};
    return (name) => cells[name] ?? this.fields.get(name)?.default;
  }

  text(index: number, name: string): string { return String(this.read(index)(name) ?? ''); }

  importance(): number[] {
    if (!this.sorted) this.sort();
    return this.order;
  }

  private put(id: string, cells: Cells): number {
    let index = this.index.get(id);
    if (index === undefined) {
      index = this.free.pop() ?? this.ids.length;
      this.index.set(id, index);
      this.sorted = false;
    }
    const before = this.rows[index];
    if (before?.population !== cells.population || before?.['visibility.priority'] !== cells['visibility.priority']) this.sorted = false;
    this.ids[index] = id;
    this.rows[index] = cells;
    this.lon[index] = Number(cells['position.lon'] ?? 0);
    this.lat[index] = Number(cells['position.lat'] ?? 0);
    return index;
  }

  private remove(id: string, index: number): void {
    this.index.delete(id);
    this.rows[index] = undefined;
    this.ids[index] = '';
    this.free.push(index);
    this.sorted = false;
  }

  private sort(): void {
    const weight = this.rows.map((cells) => (Number(cells?.['visibility.priority'] ?? 0) + 100) * 1e9 + Number(cells?.population ?? 0));
    this.order = [...this.index.values()].sort((a, b) => weight[b]! - weight[a]!);
    this.sorted = true;
  }

  /** Stored cells as properties: NULL is absent, 0 and 1 of a boolean are false and true. */
  private typed(row: Readonly<Record<string, Value>>): Cells {
    const cells: Cells = {};
    for (const name in row) {
      const value = row[name];
      if (value !== null) cells[name] = this.booleans.has(name) ? value === 1 : value;
    }
    return cells;
  }
}
