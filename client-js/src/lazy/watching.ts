/** What is known of an image, by path and by query, and who wants to hear when it differs. */
import type { ChangeInfo, Tree, Value } from '../api.js';
import { freeze } from '../contract/show.js';
import { report } from '../errors.js';
import type { Place } from '../paths/place.js';
import { merge, mergeList, sameTree } from '../reactive/difference.js';
import { Callbacks } from '../store/callbacks.js';
import type { Image } from './image.js';

/** What is shown now, the same object where nothing differs; and the paths of what differs. */
export interface Compared<T> {
  value: T;
  paths: string[];
}

export class Known<T> {
  value: T | undefined;
  known = false;
  readonly watchers = new Callbacks<[value: T, info: ChangeInfo]>();
  private reading = false;

  constructor(
    private readonly read: () => Promise<T>,
    private readonly compare: (before: T | undefined, now: T) => Compared<T>,
    /** The one that questions are about at present. */
    private readonly image: () => Image,
  ) {}

  /** Reads it, if nobody has yet; whoever watches hears of it. */
  need(): void {
    if (this.known || this.reading) return;
    this.reading = true;
    this.again().catch(report).finally(() => (this.reading = false));
  }

  /** Reads it (again) and tells what differs. Rejects with StoreError. */
  async again(): Promise<T> {
    const { hash } = this.image();
    const now = await this.read();
    // By now another image may be shown.
    return hash === this.image().hash ? this.learn(now) : now;
  }

  private learn(now: T): T {
    const first = !this.known;
    const { value, paths } = this.compare(this.value, freeze(now as Tree) as T);
    this.known = true;
    const same = value === this.value;
    this.value = value;
    if (first ? value !== undefined : !same) this.watchers.emit(value, { origin: 'load', version: this.image().version, paths });
    return value;
  }
}

export function comparePlace(place: Place): (before: Tree | undefined, now: Tree | undefined) => Compared<Tree | undefined> {
  return (before, now) => {
    const paths: string[] = [];
    if (before === undefined || now === undefined) return { value: now, paths: before === now ? [] : [place.path] };
    const value = place.kind === 'list' ? mergeList(place.table, before as Tree[], now as Tree[], place.path, paths) : merge(place.node, before, now, place.path, paths);
    return { value: value && freeze(value), paths };
  };
}

export type Rows = Record<string, Value>[];

export function compareRows(before: Rows | undefined, now: Rows): Compared<Rows> {
  return { value: before !== undefined && sameTree(before as Tree, now as Tree) ? before : now, paths: [] };
}
