/**
 * Drafts that others may watch: what one person drags is seen by those who want to see it, as signals. Nothing is stored,
 * and nothing of it is ever sent by those who watch.
 */
import type { Draft, Presence, SharedDrafts, Store, Unsubscribe } from '../api.js';
import { keyText, decodeChange, type WireChange, WireError } from '../capture/wire.js';
import { changedPaths } from '../paths/of.js';
import type { Change, DraftId } from '../core/types.js';
import { StoreError, invalid } from '../errors.js';
import { Callbacks } from '../store/callbacks.js';
import { deskOf, type Desk } from '../store/desk.js';
import { LocalDraft } from '../store/draft.js';

const TOPIC = 'sharelite draft';
/** Milliseconds between two messages of a draft that moves. */
const PACE = 40;
/** A draft is told again so often, for those who came later; whoever tells nothing for so long is gone. */
const AGAIN = 3000;
const GONE = 10_000;

/**
 * `changes` absent: the draft is over, for those who have the version, so that what was saved is there before it goes.
 * Empty: nothing in it, or too much for a signal.
 */
interface Message { draft: number; changes?: WireChange[]; version?: number }

/** Shows an open draft to everybody who watches, until it is over or the returned function is called; one that is being saved, until it is. */
export function shareDraft(store: Store, draft: Draft): Unsubscribe {
  if (!(draft instanceof LocalDraft)) throw invalid('only a draft of this store can be shared');
  const desk = deskOf(store);
  const number = draft.core;
  let last = -Infinity;
  let waiting: (() => void) | undefined;
  const say = (): void => {
    waiting?.();
    if (store.status.connection === 'closed') return;
    last = desk.timers.now();
    waiting = desk.timers.after(AGAIN, say);
    tell(store, { draft: number, changes: (draft.open ? desk.drafts.state(draft) : draft.lastState).changes });
  };
  const soon = (): void => {
    if (!draft.open) return void (draft.state === 'sending' ? undefined : stop());
    waiting?.();
    waiting = desk.timers.after(Math.max(0, last + PACE - desk.timers.now()), say);
  };
  const leave = draft.subscribe(soon);
  const stop = (): void => {
    leave();
    waiting?.();
    if (store.status.connection !== 'closed') tell(store, { draft: number, version: store.status.version });
  };
  soon();
  return () => (draft.state === 'sending' ? undefined : stop());
}

function tell(store: Store, message: Message): void {
  try {
    store.signal(TOPIC, message);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'too_large') throw error;
    store.signal(TOPIC, { ...message, changes: [] });
  }
}

/** Lays the drafts that others share over what is shown here, below one's own: what a draft of one's own holds stays. */
export function showDrafts(store: Store): SharedDrafts {
  return new Shown(store, deskOf(store));
}

interface Layer {
  from: string;
  id: DraftId | undefined;
  changes: Change[];
  stopWaiting: () => void;
  /** It is over as soon as this version is here. */
  until?: number | undefined;
}

class Shown implements SharedDrafts {
  private readonly layers = new Map<string, Layer>();
  private readonly callbacks = new Callbacks<[]>();
  private readonly leave: Unsubscribe[];
  /** What drafts of one's own held when layers were last laid. */
  private held = '';
  /** Who was present last. */
  private peers: Presence['peers'] = new Map();
  /** Laying one touches rows of drafts, which tell that. */
  private laying = false;

  constructor(
    private readonly store: Store,
    private readonly desk: Desk,
  ) {
    this.leave = [
      store.onSignal(TOPIC, (data, from) => this.heard(data, from)),
      desk.drafts.changed.add(() => this.makeWay()),
      store.presence.subscribe((peers) => this.present(peers)),
      store.on('status', ({ version }) => this.reached(version)),
    ];
  }

  get paths(): ReadonlyMap<string, string[]> {
    const paths = new Map<string, string[]>();
    for (const { from, changes } of this.layers.values()) paths.set(from, [...(paths.get(from) ?? []), ...changedPaths(this.desk.loaded.contract, changes)]);
    return paths;
  }

  subscribe(callback: () => void): Unsubscribe {
    return this.callbacks.add(callback);
  }

  stop(): void {
    this.leave.forEach((leave) => leave());
    for (const name of [...this.layers.keys()]) this.end(name);
  }

  /** What others say is looked at with suspicion: only changes of rows are taken, and only to be shown. */
  private heard(data: unknown, from: string): void {
    const { draft, changes, version } = (data ?? {}) as Partial<Message>;
    const name = `${from} ${String(draft)}`;
    if (!Array.isArray(changes)) return this.over(name, version);
    try {
      const layer = this.layers.get(name) ?? { from, id: undefined, changes: [], stopWaiting: () => undefined };
      layer.changes = changes.map(decodeChange);
      layer.until = undefined;
      this.layers.set(name, layer);
      layer.stopWaiting();
      layer.stopWaiting = this.desk.timers.after(GONE, () => this.end(name));
      this.lay(layer);
      this.callbacks.emit();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }

  /** Who has left shows nothing any more. While oneself is away nobody is known to have left. */
  private present(peers: Presence['peers']): void {
    const before = this.peers;
    this.peers = peers;
    if (this.store.status.connection !== 'online') return;
    for (const [name, { from }] of [...this.layers]) if (before.has(from) && !peers.has(from)) this.end(name);
  }

  /** A draft of one's own may hold more now, or less. */
  private makeWay(): void {
    if (this.layers.size === 0 || this.laying || this.held === textOf(this.own())) return;
    for (const layer of this.layers.values()) this.lay(layer);
  }

  private lay(layer: Layer): void {
    const own = this.own();
    this.held = textOf(own);
    this.laying = true;
    try {
      this.overlay(layer, own);
    } finally {
      this.laying = false;
    }
  }

  private overlay(layer: Layer, own: Map<string, Set<string> | undefined>): void {
    layer.id = this.desk.drafts.overlay(layer.id, layer.changes.map((change) => without(change, own)).filter((change) => change !== undefined));
  }

  private over(name: string, version: unknown): void {
    const layer = this.layers.get(name);
    if (typeof version === 'number' && version > this.store.status.version && layer !== undefined) layer.until = version;
    else this.end(name);
  }

  private reached(version: number): void {
    for (const [name, { until }] of [...this.layers]) if (until !== undefined && until <= version) this.end(name);
  }

  private end(name: string): void {
    const layer = this.layers.get(name);
    if (layer === undefined) return;
    this.layers.delete(name);
    layer.stopWaiting();
    if (this.store.status.connection !== 'closed') this.desk.drafts.overlay(layer.id, []);
    this.callbacks.emit();
  }

  /** By row: the properties that drafts of one's own hold; undefined: the whole row. */
  private own(): Map<string, Set<string> | undefined> {
    const held = new Map<string, Set<string> | undefined>();
    for (const draft of this.desk.drafts.open) {
      for (const [op, table, key, now] of this.desk.loaded.core.draft(draft.core).net.intents()) {
        const name = `${table} ${keyText(key)}`;
        if (op !== 'u') held.set(name, undefined);
        else if (!held.has(name) || held.get(name) !== undefined) held.set(name, new Set([...(held.get(name) ?? []), ...Object.keys(now)]));
      }
    }
    return held;
  }
}

function textOf(own: Map<string, Set<string> | undefined>): string {
  return JSON.stringify([...own].map(([name, columns]) => [name, columns && [...columns]]));
}

function without(change: Change, own: Map<string, Set<string> | undefined>): Change | undefined {
  const name = `${change[1]} ${keyText(change[2])}`;
  if (!own.has(name)) return change;
  const columns = own.get(name);
  if (columns === undefined || change[0] !== 'u') return undefined;
  const now = Object.fromEntries(Object.entries(change[3]).filter(([column]) => !columns.has(column)));
  return Object.keys(now).length === 0 ? undefined : ['u', change[1], change[2], now, change[4]];
}
