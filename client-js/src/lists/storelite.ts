/**
 * StoreLite's words on a store: a dictionary for each single object of the contract, a list for each table; read, set,
 * delete and subscribe for each; every callback with the tag of who made the change. Typed by the contract's TypeScript
 * (`sharelite types`): `storeLite<Project, 'panel' | 'scene'>(store)`.
 */
import type { ChangeInfo, Sent, Store, SubscribeOptions, Tree, Tx, Unsubscribe, Value, WriteOptions } from '../api.js';
import { StoreError } from '../errors.js';
import { keySegment } from '../paths/key.js';
import { deskOf } from '../store/desk.js';
import { from, type From } from './where.js';

type Names<P, L extends boolean> = { [K in keyof P & string]: NonNullable<P[K]> extends readonly unknown[] ? (L extends true ? K : never) : L extends true ? never : K }[keyof P & string];
type Item<P, K extends keyof P> = NonNullable<P[K]> extends readonly (infer T)[] ? T : never;
type Part<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Part<T[K]> | null } : T;
type Id = string | number | bigint | readonly (string | number | bigint)[];

/** Whose change it is, with the application's own tags. */
export type Info<TAG extends string> = Omit<ChangeInfo, 'tag'> & { tag?: TAG };
type Options<TAG extends string> = Omit<WriteOptions, 'tag'> & { tag?: TAG };
type Told<T, TAG extends string> = (value: T, info: Info<TAG>) => void;

/** Dictionaries and lists by name, typed by the contract (`P`) and by the application's own tags (`TAG`). */
export class StoreLite<P extends object = Record<string, Tree>, TAG extends string = string> {
  constructor(readonly store: Store) {
    deskOf(store);
  }

  /** The whole dictionary, now, defaults resolved. */
  readDictionary<K extends Names<P, false>>(name: K): P[K];
  /** One of its properties. */
  readDictionary<K extends Names<P, false>, F extends keyof P[K] & string>(name: K, key: F): P[K][F];
  /** What a function makes of it. */
  readDictionary<K extends Names<P, false>, T>(name: K, selector: (dictionary: P[K]) => T): T;
  readDictionary(name: string, which?: string | ((dictionary: never) => unknown)): unknown {
    if (typeof which === 'string') return this.store.peek(within(name, which));
    const whole = this.store.peek(name);
    return which === undefined ? whole : which(whole as never);
  }

  /** All items of a list, now, in their order. */
  readList<K extends Names<P, true>>(name: K): readonly Item<P, K>[] {
    return this.store.peek(name) as unknown as readonly Item<P, K>[];
  }

  /** One item; undefined if there is none of this id. */
  readListItemById<K extends Names<P, true>>(name: K, id: Id): Item<P, K> | undefined {
    return this.store.peek(itemPath(name, id)) as unknown as Item<P, K> | undefined;
  }

  /** Those that are there, in the order of the ids. */
  readListByIds<K extends Names<P, true>>(name: K, ids: readonly Id[]): Item<P, K>[] {
    return ids.map((id) => this.readListItemById(name, id)).filter((item) => item !== undefined);
  }

  /** Rows by conditions: `.where(...)`, `.orderBy(...)`, `.limit(...)`, then `.do()` or `.subscribe(...)`. */
  select<K extends Names<P, true>>(name: K): From<Item<P, K>> {
    return from<Item<P, K>>(this.store, name);
  }

  /** Rows of one reading SQL statement, values bound. */
  rawRead(sql: string, params: Value[] = []): Promise<Record<string, Value>[]> {
    return this.store.query(sql, params);
  }

  /** Sets a property, or merges an object; null resets to the default. */
  setDictionary<K extends Names<P, false>>(name: K, value: Part<P[K]>, options?: Options<TAG>): Sent;
  setDictionary<K extends Names<P, false>, F extends keyof P[K] & string>(name: K, key: F, value: Part<P[K][F]> | null, options?: Options<TAG>): Sent;
  setDictionary(name: string, ...rest: unknown[]): Sent {
    if (typeof rest[0] === 'string') return this.store.set(within(name, rest[0]), rest[1] as Tree, rest[2] as WriteOptions);
    return this.store.set(name, rest[0] as Tree, rest[1] as WriteOptions);
  }

  /** Merges into the items that are there, and makes those that are not, as one mutation with only what differs. */
  setListById<K extends Names<P, true>>(name: K, items: Part<Item<P, K>> | readonly Part<Item<P, K>>[], options?: Options<TAG>): Sent {
    const all = (Array.isArray(items) ? items : [items]) as { [property: string]: Tree }[];
    return this.store.tx((t) => all.forEach((item) => this.setItem(t, name, item)), options);
  }

  /** Resets a property, or the whole, to the defaults. */
  deleteDictionary<K extends Names<P, false>>(name: K, key?: keyof P[K] & string, options?: Options<TAG>): Sent {
    return this.store.set(key === undefined ? name : within(name, key), null, options);
  }

  /** Deletes one item or several, as one mutation; those that are gone stay gone. */
  deleteListById<K extends Names<P, true>>(name: K, ids: Id | readonly Id[], options?: Options<TAG>): Sent {
    // The parts of a composite key are a list of their own, so a list of ids is a list of lists there.
    const composite = this.key(name).length > 1;
    const all = (Array.isArray(ids) && (!composite || Array.isArray(ids[0])) ? ids : [ids]) as Id[];
    return this.store.tx((t) => all.forEach((id) => t.delete(itemPath(name, id))), options);
  }

  /** Calls back whenever the dictionary differs, with whose change it was. */
  subscribeDictionary<K extends Names<P, false>>(name: K, callback: Told<P[K], TAG>, options?: SubscribeOptions): Unsubscribe;
  /** Calls back whenever one of its properties differs. */
  subscribeDictionary<K extends Names<P, false>, F extends keyof P[K] & string>(name: K, key: F, callback: Told<P[K][F], TAG>, options?: SubscribeOptions): Unsubscribe;
  subscribeDictionary(name: string, ...rest: unknown[]): Unsubscribe {
    const [path, callback, options] = typeof rest[0] === 'string' ? [within(name, rest[0]), rest[1], rest[2]] : [name, rest[0], rest[1]];
    return this.store.subscribe(path, callback as never, options as SubscribeOptions);
  }

  /** Calls back with the list whenever one of its items differs. */
  subscribeList<K extends Names<P, true>>(name: K, callback: Told<readonly Item<P, K>[], TAG>, options?: SubscribeOptions): Unsubscribe {
    return this.store.subscribe(name, callback as never, options);
  }

  /** Calls back with an item whenever it differs; with undefined when it is deleted. */
  subscribeListItemById<K extends Names<P, true>>(name: K, id: Id, callback: Told<Item<P, K> | undefined, TAG>, options?: SubscribeOptions): Unsubscribe {
    return this.store.subscribe(itemPath(name, id), callback as never, options);
  }

  /** Calls back with all of them that are there whenever one of them differs. */
  subscribeListByIds<K extends Names<P, true>>(name: K, ids: readonly Id[], callback: Told<Item<P, K>[], TAG>, options?: SubscribeOptions): Unsubscribe {
    const leave = ids.map((id) => this.store.subscribe(itemPath(name, id), (_, info) => callback(this.readListByIds(name, ids), info as Info<TAG>), options));
    return () => leave.forEach((one) => one());
  }

  /** Calls back with the rows at once, and whenever they differ. Which columns it depends on is found by itself. */
  rawSubscribe(sql: string, callback: Told<Record<string, Value>[], TAG>, params: Value[] = [], options?: SubscribeOptions): Unsubscribe {
    return this.store.subscribe({ sql, params }, callback as never, options);
  }

  private setItem(t: Tx, name: string, item: { [property: string]: Tree }): void {
    const key = this.key(name).map((column) => column.split('.').reduce<Tree | undefined>((inner, part) => (inner as { [property: string]: Tree } | undefined)?.[part], item));
    if (key.includes(undefined)) return void t.insert(name, item);
    t.set(itemPath(name, key as Id), item);
  }

  private key(name: string): readonly string[] {
    const table = deskOf(this.store).loaded.contract.tables.get(name);
    if (table === undefined || table.singleton) throw new StoreError('not_found', `the contract has no list ${name}`);
    return table.own;
  }
}

/** StoreLite's words on a store that `openStore` opened in this thread. */
export function storeLite<P extends object = Record<string, Tree>, TAG extends string = string>(store: Store): StoreLite<P, TAG> {
  return new StoreLite<P, TAG>(store);
}

function within(name: string, key: string): string {
  return `${name}/${key.replaceAll('%', '%25').replaceAll('/', '%2F')}`;
}

function itemPath(name: string, id: Id): string {
  return `${name}/${keySegment([id].flat() as Value[])}`;
}
