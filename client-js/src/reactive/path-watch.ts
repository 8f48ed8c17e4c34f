/** Watches of a property, an object or a row: few cells, so they are read again whole. */
import type { Tree } from '../api.js';
import type { Branch, List, Table } from '../contract/model.js';
import { freeze } from '../contract/show.js';
import type { Key } from '../api.js';
import type { BranchPlace, LeafPlace, RowPlace } from '../paths/place.js';
import { readPlace, type Source } from '../paths/read.js';
import { merge } from './difference.js';
import type { Scope, Seen, Watch } from './watch.js';

export class PathWatch implements Watch {
  readonly scopes: readonly Scope[];
  value: Tree | undefined;

  constructor(
    db: Source,
    readonly id: string,
    private readonly place: LeafPlace | BranchPlace | RowPlace,
  ) {
    this.scopes = scopesOf(place);
    this.value = readPlace(db, place);
  }

  inherit(before: PathWatch): void {
    this.value = before.value;
  }

  look(db: Source): Seen | undefined {
    const paths: string[] = [];
    const now = merge(this.place.node, this.value, readPlace(db, this.place), this.place.path, paths);
    if (now === this.value) return undefined;
    this.value = now === undefined ? now : freeze(now);
    return { value: this.value, paths };
  }
}

function scopesOf(place: LeafPlace | BranchPlace | RowPlace): Scope[] {
  const { table, key } = place;
  const lists = place.kind === 'leaf' ? [] : place.node.lists;
  return [{ table: table.name, prefix: key, columns: columnsOf(place) }, ...lists.flatMap((list) => below(list, key))];
}

function columnsOf(place: LeafPlace | BranchPlace | RowPlace): string[] | undefined {
  if (place.kind === 'row') return undefined;
  const own = place.kind === 'leaf' ? [place.node] : place.node.leaves;
  // Whether an object is there decides if the defaults in it count.
  return [...new Set([...own, ...place.sparse.flatMap((branch: Branch) => branch.leaves)].map((leaf) => leaf.column))];
}

/** Everything in a nested list and in the lists of its rows. */
export function below(list: List, prefix: Key): Scope[] {
  return wholeTable(list.table, prefix);
}

export function wholeTable(table: Table, prefix: Key): Scope[] {
  return [{ table: table.name, prefix, columns: undefined }, ...table.children.flatMap((list) => wholeTable(list.table, prefix))];
}
