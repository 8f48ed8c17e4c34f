/**
 * Who is told what: subscriptions share watches, touched cells lead to watches, differences lead to callbacks.
 *
 * All watches look before the first callback runs, so that every callback of one step sees one state; a step caused
 * by a callback is told after the one that caused it. A callback that throws is reported and stops nobody.
 */
import type { ChangeInfo, Unsubscribe } from '../api.js';
import { report } from '../errors.js';
import type { Source } from '../paths/read.js';
import { Scopes } from './scopes.js';
import type { Hit, Watch } from './watch.js';

export type Callback = (value: never, info: ChangeInfo) => void;
/** Where a difference comes from, given the cells that led to it (none: everything was looked at again). */
export type About = (hits: readonly Hit[] | undefined) => Omit<ChangeInfo, 'paths'>;

interface Subscription { callback: Callback; open: boolean }
interface Observed { watch: Watch; subscriptions: Set<Subscription> }
interface News { subscriptions: Subscription[]; value: unknown; info: ChangeInfo }

export class Reactive {
  private readonly observed = new Map<string, Observed>();
  private readonly byWatch = new Map<Watch, Observed>();
  private readonly scopes = new Scopes();
  private readonly waiting: News[] = [];
  private telling = false;

  /** `make` is asked only if nobody observes the same yet; `first` is called with what is shown at present. */
  subscribe(id: string, make: () => Watch, callback: Callback, first?: (value: unknown) => void): Unsubscribe {
    const observed = this.observed.get(id) ?? this.observe(make());
    const subscription = { callback, open: true };
    observed.subscriptions.add(subscription);
    if (first !== undefined) guarded(() => first(observed.watch.value));
    return () => this.leave(observed, subscription);
  }

  observes(id: string): boolean {
    return this.observed.has(id);
  }

  shown(id: string): { value: unknown } | undefined {
    return this.observed.get(id)?.watch;
  }

  /** Looks at what depends on the hits and tells whoever sees a difference. */
  notify(db: Source, hits: Iterable<Hit>, about: About): void {
    if (this.observed.size === 0) return;
    const struck = new Map<Watch, Hit[]>();
    for (const hit of hits) this.scopes.collect(hit, struck);
    for (const [watch, its] of struck) this.look(watch, db, its, about);
    this.tell();
  }

  /** Everything may differ: the database was loaded again, or its contract changed. `renew` makes each watch anew. */
  renew(db: Source, renew: (id: string) => Watch | undefined, about: About): void {
    this.scopes.clear();
    for (const observed of this.observed.values()) {
      const fresh = guarded(() => renew(observed.watch.id));
      if (fresh === undefined) continue;
      this.byWatch.delete(observed.watch);
      fresh.inherit(observed.watch);
      observed.watch = fresh;
      this.byWatch.set(fresh, observed);
      this.scopes.add(fresh);
      this.look(fresh, db, undefined, about);
    }
    this.tell();
  }

  clear(): void {
    for (const { subscriptions } of this.observed.values()) for (const subscription of subscriptions) subscription.open = false;
    this.observed.clear();
    this.byWatch.clear();
    this.scopes.clear();
  }

  private observe(watch: Watch): Observed {
    const observed = { watch, subscriptions: new Set<Subscription>() };
    this.observed.set(watch.id, observed);
    this.byWatch.set(watch, observed);
    this.scopes.add(watch);
    return observed;
  }

  private leave(observed: Observed, subscription: Subscription): void {
    subscription.open = false;
    observed.subscriptions.delete(subscription);
    const { watch } = observed;
    if (observed.subscriptions.size > 0 || this.observed.get(watch.id) !== observed) return;
    this.observed.delete(watch.id);
    this.byWatch.delete(watch);
    this.scopes.delete(watch);
  }

  private look(watch: Watch, db: Source, hits: readonly Hit[] | undefined, about: About): void {
    const seen = guarded(() => watch.look(db, hits));
    if (seen === undefined) return;
    const subscriptions = [...this.byWatch.get(watch)!.subscriptions];
    this.waiting.push({ subscriptions, value: seen.value, info: { ...about(hits), paths: seen.paths } });
  }

  private tell(): void {
    if (this.telling) return;
    this.telling = true;
    try {
      for (let news = this.waiting.shift(); news !== undefined; news = this.waiting.shift()) deliver(news);
    } finally {
      this.telling = false;
    }
  }
}

function deliver({ subscriptions, value, info }: News): void {
  for (const subscription of subscriptions)
    if (subscription.open) guarded(() => subscription.callback(value as never, info));
}

export function guarded<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    report(error);
    return undefined;
  }
}
