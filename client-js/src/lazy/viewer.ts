/** The viewer: what a page holds. It asks the worker, keeps what it was told, and looks whether there is a newer image. */
import type { ChangeInfo, Status, Store, Tree, Unsubscribe, Value } from '../api.js';
import { encodeKey } from '../capture/wire.js';
import { readContract } from '../contract/read.js';
import { StoreError, invalid, report } from '../errors.js';
import { Paths } from '../paths/place.js';
import type { QueryCallback, PathCallback, RowsCallback } from '../reactive/subscriptions.js';
import { Callbacks } from '../store/callbacks.js';
import type { Opened, Opening } from '../worker/messages.js';
import type { JoinOptions, QueryOptions, Viewer } from './api.js';
import { Asking, type Desk } from './asking.js';
import type { Calls } from './calls.js';
import type { Image } from './image.js';
import type { Source } from './source.js';
import type { Budget, Traffic } from './traffic.js';
import { comparePlace, compareRows, Known, type Rows } from './watching.js';

type Query = { sql: string; params?: Value[] };
type Anything = Known<Tree | undefined> | Known<Rows>;

/** What is not watched is kept up to so many paths. */
const KEPT = 20_000;
const LOST = new Set(['retired', 'replaced', 'gone']);

export class LazyViewer implements Viewer {
  newer: Image | undefined;
  traffic: Traffic = { bytes: 0, requests: 0 };
  contract!: Store['contract'];
  private paths!: Paths;
  private told: Pick<Status, 'connection' | 'problem'> = { connection: 'connecting' };
  private readonly places = new Map<string, Known<Tree | undefined>>();
  private readonly queries = new Map<string, Known<Rows>>();
  private readonly lists = new Map<string, Callbacks<[undefined, ChangeInfo]>>();
  private readonly onStatus = new Callbacks<[Status]>();
  private readonly onNewer = new Callbacks<[Image]>();
  private readonly onTraffic = new Callbacks<[Traffic]>();
  private readonly onContract = new Callbacks<[string]>();
  private readonly asking: Asking;
  private moving: Promise<boolean> | undefined;
  /** The image that is read is served no longer. */
  private lost = false;
  /** Set by `open.ts`: ends the looking for newer images. */
  stopLooking: () => void = () => undefined;

  constructor(
    public image: Image,
    private readonly calls: Calls,
    private readonly source: Source,
    world: Pick<Desk, 'timers' | 'sign'>,
    budget: Budget,
    private readonly live: (file: Uint8Array, image: Image, options: JoinOptions) => Promise<Store>,
  ) {
    const desk: Desk = { ...world, readdress: () => this.readdress(), answered: () => this.answered(), failed: (error) => this.failed(error) };
    this.asking = new Asking(calls, desk, budget);
  }

  /** Opens the image in the worker; before anything else. */
  async open(how: Omit<Opening, 'op' | 'image'>): Promise<void> {
    this.opened(await this.asking.persist(() => this.calls.ask<'open'>({ op: 'open', image: this.image, ...how })));
  }

  get status(): Status {
    return { ...this.told, version: this.image.version, pending: 0, client: '', role: 'reader', engine: 'sqlite-wasm' };
  }

  async get(path: string, options?: QueryOptions): Promise<Tree | undefined> {
    const place = this.place(path);
    if (place.known) return place.value;
    if (options === undefined) return place.again();
    return this.read(path, options);
  }

  peek(path: string): Tree | undefined {
    const place = this.place(path);
    place.need();
    return place.value;
  }

  query(sql: string, params: Value[] = [], options?: QueryOptions): Promise<Rows> {
    this.mustBeOpen();
    return this.asking.ask<'query'>((extra) => ({ op: 'query', sql, params, ...extra }), options).then((rows) => rows.map((row) => Object.freeze(row)));
  }

  subscribe(path: string, callback: PathCallback): Unsubscribe;
  subscribe(query: Query, callback: QueryCallback): Unsubscribe;
  subscribe(list: { rows: string }, callback: RowsCallback): Unsubscribe;
  subscribe(what: string | Query | { rows: string }, callback: PathCallback | QueryCallback | RowsCallback): Unsubscribe {
    if (typeof what === 'string') return this.watch(this.place(what), callback as PathCallback);
    if ('rows' in what) return this.watchList(what.rows, callback as RowsCallback);
    const { sql, params = [] } = what;
    return this.watchRows(this.rows(sql, params), callback as QueryCallback);
  }

  on(event: 'status', callback: (status: Status) => void): Unsubscribe;
  on(event: 'newer', callback: (image: Image) => void): Unsubscribe;
  on(event: 'traffic', callback: (total: Traffic) => void): Unsubscribe;
  on(event: 'contract', callback: (hash: string) => void): Unsubscribe;
  on(event: 'status' | 'newer' | 'traffic' | 'contract', callback: (argument: never) => void): Unsubscribe {
    if (event === 'status') return this.onStatus.add(callback as (status: Status) => void);
    if (event === 'newer') return this.onNewer.add(callback as (image: Image) => void);
    if (event === 'traffic') return this.onTraffic.add(callback as (total: Traffic) => void);
    return this.onContract.add(callback as (hash: string) => void);
  }

  refresh(): Promise<boolean> {
    this.mustBeOpen();
    return (this.moving ??= this.move().finally(() => (this.moving = undefined)));
  }

  async export(progress: JoinOptions['progress'] = () => undefined): Promise<Uint8Array> {
    this.mustBeOpen();
    const { size } = this.image;
    return this.asking.persist(() => this.calls.ask<'file'>({ op: 'file' }, { progress: (bytes) => progress(bytes, size) }));
  }

  async join(options: JoinOptions = {}): Promise<Store> {
    const { image } = this;
    return this.live(await this.export(options.progress), image, options);
  }

  close(): void {
    if (this.closed) return;
    this.stopLooking();
    this.state('closed');
    this.calls.end(new StoreError('closed', 'the viewer is closed'));
    for (const callbacks of [this.onStatus, this.onNewer, this.onTraffic, this.onContract]) callbacks.clear();
    for (const known of [...this.places.values(), ...this.queries.values()]) known.watchers.clear();
    this.lists.clear();
  }

  get closed(): boolean {
    return this.told.connection === 'closed';
  }

  /** Looks whether there is a newer image, and tells. What goes wrong is seen in `status`. */
  async look(): Promise<void> {
    try {
      this.announced(await this.source.newest(false));
      this.answered();
    } catch (error) {
      if (!(error instanceof StoreError)) return report(error);
      this.state('offline', error);
    }
  }

  counted(total: Traffic): void {
    this.traffic = total;
    this.onTraffic.emit(total);
  }

  private announced(image: Image): void {
    const known = this.newer ?? this.image;
    if (this.closed || image.hash === known.hash || image.version <= known.version) return;
    this.newer = image;
    this.onNewer.emit(image);
  }

  private async move(): Promise<boolean> {
    const before = this.image;
    const image = await this.asking.persist(() => this.source.newest(true));
    // A copy of the announcement that is older than what is shown is no news, unless nothing else is left.
    if (image.hash === before.hash || (image.version <= before.version && !this.lost)) return false;
    const changed = await this.source.changed(before, image);
    this.mustBeOpen();
    // From here on questions are answered from the other image.
    this.image = image;
    try {
      this.opened(await this.asking.persist(() => this.calls.ask<'move'>({ op: 'move', image, ...(changed === undefined ? {} : { changed }) })));
    } catch (error) {
      this.image = before;
      throw error;
    }
    this.lost = false;
    this.newer = undefined;
    this.told = { connection: 'online' };
    this.onStatus.emit(this.status);
    await this.lookAgain();
    return true;
  }

  private async lookAgain(): Promise<void> {
    const again = (kept: Map<string, Anything>): Promise<unknown>[] =>
      [...kept].flatMap(([id, known]) => (known.watchers.size > 0 ? [known.again()] : (kept.delete(id), [])));
    for (const [path, callbacks] of this.lists) callbacks.emit(undefined, { origin: 'load', version: this.image.version, paths: [path] });
    for (const result of await Promise.allSettled([...again(this.places), ...again(this.queries)])) if (result.status === 'rejected') report(result.reason);
  }

  private opened({ hash, document }: Opened): void {
    const before = this.contract?.hash;
    if (before === hash) return;
    this.contract = { hash, document };
    this.paths = new Paths(readContract(document, hash));
    if (before !== undefined) this.onContract.emit(hash);
  }

  private async readdress(): Promise<boolean> {
    const newest = await this.source.newest(false);
    const url = new URL(this.image.url);
    // The signature is over the project: it opens older images, too.
    url.search = new URL(newest.url).search;
    if (url.href === this.image.url) return false;
    this.image = { ...this.image, url: url.href };
    await this.calls.ask<'address'>({ op: 'address', url: url.href });
    return true;
  }

  private answered(): void {
    if (!this.lost) this.state('online');
  }

  private failed(error: StoreError): void {
    if (LOST.has(error.code) && !this.lost) {
      this.lost = true;
      void this.look();
    }
    if (LOST.has(error.code) || UNREACHABLE.has(error.code)) this.state('offline', error);
  }

  private state(connection: Status['connection'], problem?: StoreError): void {
    if (this.closed || (connection === this.told.connection && problem?.code === this.told.problem?.code)) return;
    this.told = { connection, ...(problem === undefined ? {} : { problem: { code: problem.code, message: problem.message } }) };
    this.onStatus.emit(this.status);
  }

  private place(path: string): Known<Tree | undefined> {
    this.mustBeOpen();
    const place = this.paths.place(path);
    return this.kept(this.places, place.path, () => new Known(() => this.read(path), comparePlace(place), () => this.image));
  }

  private rows(sql: string, params: Value[]): Known<Rows> {
    return this.kept(this.queries, JSON.stringify([sql, encodeKey(params)]), () => new Known(() => this.query(sql, params), compareRows, () => this.image));
  }

  private kept<K extends Anything>(all: Map<string, K>, id: string, make: () => K): K {
    let known = all.get(id);
    if (known === undefined) all.set(id, (known = make()));
    if (all.size > KEPT) for (const [oldest, { watchers }] of all) if (watchers.size === 0 && oldest !== id) return all.delete(oldest), known;
    return known;
  }

  /** A later contract may have no such place: then there is nothing. */
  private async read(path: string, options?: QueryOptions): Promise<Tree | undefined> {
    try {
      return await this.asking.ask<'read'>((extra) => ({ op: 'read', path, ...extra }), options);
    } catch (error) {
      if (error instanceof StoreError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  private watch<T>(known: Known<T>, callback: (value: never, info: ChangeInfo) => void): Unsubscribe {
    this.mustBeOpen();
    const leave = known.watchers.add(callback as (value: T, info: ChangeInfo) => void);
    known.need();
    return leave;
  }

  /** Rows are told at once, too. */
  private watchRows(rows: Known<Rows>, callback: QueryCallback): Unsubscribe {
    const leave = this.watch(rows, callback);
    let here = true;
    if (rows.known) queueMicrotask(() => here && callback(rows.value!, { origin: 'load', paths: [] }));
    return () => {
      here = false;
      leave();
    };
  }

  private watchList(path: string, callback: RowsCallback): Unsubscribe {
    const place = this.paths.place(path);
    if (place.kind !== 'list') throw invalid(`${path} is not a list`);
    const callbacks = this.lists.get(place.path) ?? new Callbacks();
    this.lists.set(place.path, callbacks);
    return callbacks.add(callback);
  }

  private mustBeOpen(): void {
    if (this.closed) throw new StoreError('closed', 'the viewer is closed');
  }
}

const UNREACHABLE = new Set(['unreachable', 'unavailable', 'truncated', 'no_ranges', 'unreadable', 'forbidden']);
