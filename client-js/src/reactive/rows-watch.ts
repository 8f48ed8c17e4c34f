/** The watch of a list of very many rows: says which were touched, keeps none and reads none. */
import type { ListPlace } from '../paths/place.js';
import type { Source } from '../paths/read.js';
import { keySegment } from '../paths/key.js';
import { wholeTable } from './path-watch.js';
import type { Hit, Scope, Seen, Watch } from './watch.js';

export class RowsWatch implements Watch {
  readonly scopes: readonly Scope[];
  readonly value = undefined;

  constructor(
    readonly id: string,
    private readonly place: ListPlace,
  ) {
    this.scopes = wholeTable(place.table, place.parent);
  }

  /** There is nothing to take over: after a reload any row may differ. */
  inherit(): void {}

  look(_db: Source, hits: readonly Hit[] | undefined): Seen {
    const paths = hits === undefined ? [this.place.path] : [...new Set(hits.map((hit) => this.pathOf(hit)))];
    return { value: undefined, paths };
  }

  private pathOf({ key }: Hit): string {
    const { parent, table, path } = this.place;
    return `${path}/${keySegment(key.slice(parent.length, parent.length + table.own.length))}`;
  }
}
