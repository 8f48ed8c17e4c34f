/** Subscriptions by path and by query: what is shared, and how each is watched. */
import type { ChangeInfo, SubscribeOptions, Tree, Unsubscribe, Value } from '../api.js';
import { encodeKey } from '../capture/wire.js';
import type { Db } from '../engine/types.js';
import { StoreError, invalid } from '../errors.js';
import type { Place } from '../paths/place.js';
import { GoneWatch } from './gone-watch.js';
import { ListWatch } from './list-watch.js';
import { PathWatch } from './path-watch.js';
import { QueryWatch, type Rows } from './query-watch.js';
import { RowsWatch } from './rows-watch.js';
import { Frames } from './frames.js';
import { Reactive, guarded, type About, type Callback } from './reactive.js';
import type { Hit, Watch } from './watch.js';

/** What is watched at present; it changes when the project is loaded again. */
export interface Observable {
  readonly db: Db;
  place(path: string): Place;
}

export type When = SubscribeOptions['when'];
export type QueryCallback = (rows: Rows, info: ChangeInfo) => void;
export type RowsCallback = (value: undefined, info: ChangeInfo) => void;
export type PathCallback = (value: Tree | undefined, info: ChangeInfo) => void;

export class Subscriptions {
  private readonly reactive = new Reactive();
  /** How to watch each id anew. */
  private readonly makers = new Map<string, () => Watch>();

  private readonly frames: Frames;

  /** `frame` calls back when the next frame is drawn. */
  constructor(
    private observable: () => Observable,
    frame: (fn: () => void) => unknown,
  ) {
    this.frames = new Frames(frame);
  }

  /** Throws if the contract has no such place. */
  path(path: string, callback: PathCallback, when?: When): Unsubscribe {
    const id = `path ${this.observable().place(path).path}`;
    return this.subscribe(id, () => this.watchPath(id, path), callback as Callback, when, () => undefined);
  }

  /** Calls back at once, too. Throws StoreError if the engine cannot read the query. */
  query(sql: string, params: Value[], callback: QueryCallback, when?: When): Unsubscribe {
    const id = `query ${JSON.stringify([sql, encodeKey(params)])}`;
    const make = (): Watch => new QueryWatch(this.observable().db, id, sql, params);
    return this.subscribe(id, make, callback as Callback, when, (rows) => callback(rows as Rows, { origin: 'load', paths: [] }));
  }

  /** Tells touched rows of a list. Throws if the contract has no such list. */
  rows(path: string, callback: RowsCallback, when?: When): Unsubscribe {
    const place = this.observable().place(path);
    if (place.kind !== 'list') throw invalid(`${path} is not a list`);
    const id = `rows ${place.path}`;
    return this.subscribe(id, () => this.watchRows(id, path), callback as Callback, when);
  }

  /** What is shown at a path now, if somebody watches it. */
  shown(path: string): { value: Tree | undefined } | undefined {
    return this.reactive.shown(`path ${path}`) as { value: Tree | undefined } | undefined;
  }

  notify(hits: Iterable<Hit>, about: About): void {
    this.reactive.notify(this.observable().db, hits, about);
  }

  renew(about: About): void {
    this.reactive.renew(this.observable().db, (id) => this.makers.get(id)?.(), about);
  }

  clear(): void {
    this.reactive.clear();
    this.frames.clear();
    this.makers.clear();
  }

  /** `first` is called with what is shown at present; without it there is nothing that could be shown. */
  private subscribe(id: string, make: () => Watch, callback: Callback, when?: When, first?: (value: unknown) => void): Unsubscribe {
    const paced = when === 'frame' ? this.frames.paced(callback as never, guarded) : undefined;
    const began = first && ((value: unknown): void => {
      first(value);
      paced?.first(value);
    });
    const leave = this.reactive.subscribe(id, make, (paced?.later as Callback | undefined) ?? callback, began);
    this.makers.set(id, make);
    return () => {
      leave();
      paced?.end();
      if (!this.reactive.observes(id)) this.makers.delete(id);
    };
  }

  private watchPath(id: string, path: string): Watch {
    const { db } = this.observable();
    return this.watch(id, path, (place) => (place.kind === 'list' ? new ListWatch(db, id, place) : new PathWatch(db, id, place)));
  }

  private watchRows(id: string, path: string): Watch {
    return this.watch(id, path, (place) => (place.kind === 'list' ? new RowsWatch(id, place) : new GoneWatch(id)));
  }

  private watch(id: string, path: string, make: (place: Place) => Watch): Watch {
    try {
      return make(this.observable().place(path));
    } catch (error) {
      if (error instanceof StoreError) return new GoneWatch(id);
      throw error;
    }
  }
}
