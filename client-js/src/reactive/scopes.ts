/** From touched cells to the watches that depend on them: by table, then key (or the beginning of one), then column. */
import { keyText } from '../capture/wire.js';
import type { Hit, Scope, Watch } from './watch.js';

interface Bucket {
  /** Watches of every column. */
  all: Set<Watch>;
  /** Watches of some columns, under each; under none for those that only ask whether rows come and go. */
  some: Set<Watch>;
  columns: Map<string, Set<Watch>>;
}

/** Buckets of one table, by the length of the prefix, then the prefix. */
type Lengths = Map<number, Map<string, Bucket>>;

export class Scopes {
  private readonly tables = new Map<string, Lengths>();

  add(watch: Watch): void {
    for (const scope of watch.scopes) {
      const bucket = this.bucket(scope);
      if (scope.columns === undefined) bucket.all.add(watch);
      else bucket.some.add(watch);
      for (const column of scope.columns ?? []) setOf(bucket.columns, column).add(watch);
    }
  }

  delete(watch: Watch): void {
    for (const scope of watch.scopes) {
      const bucket = this.bucket(scope);
      bucket.all.delete(watch);
      bucket.some.delete(watch);
      for (const column of scope.columns ?? []) {
        const watches = bucket.columns.get(column);
        watches?.delete(watch);
        if (watches?.size === 0) bucket.columns.delete(column);
      }
      if (bucket.all.size + bucket.some.size === 0) this.drop(scope);
    }
  }

  clear(): void {
    this.tables.clear();
  }

  /** Adds the hit to every watch that depends on one of its cells. */
  collect(hit: Hit, into: Map<Watch, Hit[]>): void {
    const lengths = this.tables.get(hit.table);
    if (lengths === undefined) return;
    for (const [length, buckets] of lengths) {
      const bucket = buckets.get(keyText(hit.key.slice(0, length)));
      if (bucket !== undefined) strike(bucket, hit, into);
    }
  }

  private bucket({ table, prefix }: Scope): Bucket {
    let lengths = this.tables.get(table);
    if (lengths === undefined) this.tables.set(table, (lengths = new Map()));
    let buckets = lengths.get(prefix.length);
    if (buckets === undefined) lengths.set(prefix.length, (buckets = new Map()));
    const id = keyText(prefix);
    let bucket = buckets.get(id);
    if (bucket === undefined) buckets.set(id, (bucket = { all: new Set(), some: new Set(), columns: new Map() }));
    return bucket;
  }

  private drop({ table, prefix }: Scope): void {
    const lengths = this.tables.get(table);
    const buckets = lengths?.get(prefix.length);
    buckets?.delete(keyText(prefix));
    if (buckets?.size === 0) lengths!.delete(prefix.length);
    if (lengths?.size === 0) this.tables.delete(table);
  }
}

function strike(bucket: Bucket, hit: Hit, into: Map<Watch, Hit[]>): void {
  for (const watch of bucket.all) note(watch, hit, into);
  if (hit.columns === 'row') for (const watch of bucket.some) note(watch, hit, into);
  else for (const column of hit.columns) for (const watch of bucket.columns.get(column) ?? []) note(watch, hit, into);
}

function note(watch: Watch, hit: Hit, into: Map<Watch, Hit[]>): void {
  const hits = into.get(watch);
  if (hits === undefined) into.set(watch, [hit]);
  else if (hits.at(-1) !== hit) hits.push(hit);
}

function setOf(columns: Map<string, Set<Watch>>, column: string): Set<Watch> {
  let watches = columns.get(column);
  if (watches === undefined) columns.set(column, (watches = new Set()));
  return watches;
}

