/** The layers: what annotations, routes and areas take from them. */
import type { Store, Tree } from 'sharelite';
import type { LayerLook } from './looks';

export interface LayerRow extends LayerLook { id: string; title: string }
const NONE: LayerLook = { color: '#2f7ed8', opacity: 1, visible: true };

export class LayerTable {
  rows: LayerRow[] = [];
  private readonly looks = new Map<string, LayerLook>();
  private readonly ranks = new Map<string, number>();
  private readonly watchers = new Set<() => void>();
  private readonly stop: () => void;

  constructor(private readonly store: Store) {
    this.stop = store.subscribe('layer', () => this.read());
    this.read();
  }

  close(): void { this.stop(); }

  /** 0: the uppermost; -1: no layer. */
  rank(id: Tree | undefined): number { return this.ranks.get(String(id ?? '')) ?? -1; }

  look(id: Tree | undefined): LayerLook { return this.looks.get(String(id ?? '')) ?? NONE; }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => { this.watchers.delete(watcher); };
  }

  private read(): void {
    this.rows = ((this.store.peek('layer') ?? []) as Tree[]).map((row) => row as unknown as LayerRow);
    this.looks.clear();
    this.ranks.clear();
    for (const [at, row] of this.rows.entries()) { this.looks.set(row.id, row); this.ranks.set(row.id, at); }
    for (const watcher of [...this.watchers]) watcher();
  }
}
