/** Several things selected at once: hundreds of annotations that are edited, dragged and removed together. */
import type { Place } from '../geo';
import { wrapDegrees } from '../geo';
import { Cell } from '../cell';
import { rowOf, tableOf } from './paths';

export const MOST = 1000;

export class Group {
  /** The rows, the primary one (the one that the panel shows) among them; empty: at most one thing is selected. */
  readonly rows = new Cell<readonly string[]>([]);

  constructor(private readonly selected: Cell<string | undefined>) {
    selected.watch((path) => { if (!path || !this.has(path)) this.rows.set([]); });
  }

  has(path: string): boolean { return this.rows.get().includes(path); }

  /** What is selected, one or many. */
  all(): readonly string[] {
    const rows = this.rows.get(), one = this.selected.get();
    return rows.length > 0 ? rows : one ? [one] : [];
  }

  set(paths: readonly string[]): void {
    const rows = paths.slice(0, MOST);
    this.rows.set(rows.length > 1 ? rows : []);
    if (!rows.includes(this.selected.get() ?? '')) this.selected.set(rows.at(-1));
  }

  /** Takes one more, or leaves it out. Only annotations are selected together. */
  toggle(path: string): void {
    const before = this.all().filter((row) => tableOf(row) === 'annotation');
    this.set(before.includes(path) ? before.filter((row) => row !== path) : [...before, path]);
  }

  /** The same property of everything that is selected with the row. */
  spread(path: string): string[] {
    const row = rowOf(path);
    return this.has(row) ? this.rows.get().map((other) => other + path.slice(row.length)) : [path];
  }
}

/** A drag of several things keeps them as they lie to each other. */
export class GroupDrag {
  private readonly places: readonly { path: string; place: Place }[];
  private readonly from: Place;

  constructor(grabbed: string, paths: readonly string[], placeOf: (path: string) => Place | undefined) {
    this.places = paths.flatMap((path) => { const place = placeOf(path); return place ? [{ path, place: { ...place } }] : []; });
    this.from = this.places.find(({ path }) => path === grabbed)!.place;
  }

  to(place: Place): [path: string, value: { lon: number; lat: number }][] {
    const east = wrapDegrees(place.lon - this.from.lon), north = place.lat - this.from.lat;
    return this.places.map(({ path, place: { lon, lat } }) => [`${path}/position`, moved(lon + east, lat + north)]);
  }
}

export function moved(lon: number, lat: number): { lon: number; lat: number } {
  return { lon: fine(wrapDegrees(lon)), lat: fine(Math.max(-89, Math.min(89, lat))) };
}

/** About a metre. */
export const fine = (degrees: number): number => Math.round(degrees * 1e5) / 1e5;
