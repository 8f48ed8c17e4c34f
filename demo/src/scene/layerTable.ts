/** The layers: what annotations, routes and areas take from them. */
import type { Store, Tree } from 'sharelite';
import type { LayerLook } from './looks';

export interface LayerRow extends LayerLook { id: string; title: string }
const NONE: LayerLook = { color: '#2f7ed8', opacity: 1, visible: true };

export class LayerTable {
  rows: LayerRow[] = [];
  private readonly looks = new Map<string, LayerLook>();
  private readonly watchers = new Set<() => void>();
  private readonly stop: () => void;

  constructor(private readonly store: Store) {
    this.stop = store.subscribe('layer', () => this.read());
    this.read();
  }

  close(): void { this.stop(); }

  look(id: Tree | undefined): LayerLook { return this.looks.get(String(id ?? '')) ?? NONE; }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => { this.watchers.delete(watcher); };
  }

  private read(): void {
    this.rows = ((this.store.peek('layer') ?? []) as Tree[]).map((row) => row as unknown as LayerRow);
    this.looks.clear();
    for (const row of this.rows) this.looks.set(row.id, row);
    for (const watcher of [...this.watchers]) watcher();
  }
}
