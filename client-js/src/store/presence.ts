/** Who is here: the newest state of each peer, and ours, sent no more often than a person can see. */
import type { Presence, Tree, Unsubscribe } from '../api.js';
import { StoreError } from '../errors.js';
import type { Timers } from '../sync/platform.js';
import { Callbacks } from './callbacks.js';

type Peers = Presence['peers'];

/** Milliseconds between two states of ours. */
const PACE = 40;

export class PresenceBoard implements Presence {
  peers: Peers = new Map();
  private readonly callbacks = new Callbacks<[Peers]>();
  private mine: Tree | undefined;
  private waiting: (() => void) | undefined;
  private last = -Infinity;

  constructor(
    private readonly timers: Timers,
    private readonly client: () => string,
    /** Sends if there is a connection. */
    private readonly say: (message: Record<string, unknown>) => boolean,
    private readonly limit: () => number,
  ) {}

  set(state: Tree): void {
    const size = new TextEncoder().encode(JSON.stringify(state)).length;
    if (size > this.limit()) throw new StoreError('too_large', `a presence has at most ${this.limit()} bytes, this one ${size}`);
    this.mine = state;
    if (this.waiting !== undefined) return;
    const wait = this.last + PACE - this.timers.now();
    if (wait <= 0) this.send();
    else this.waiting = this.timers.after(wait, () => this.send());
  }

  subscribe(callback: (peers: Peers) => void): Unsubscribe {
    return this.callbacks.add(callback);
  }

  /** A new connection tells all peers from the beginning, and knows nothing of us. */
  greeted(): void {
    this.replace(new Map());
    if (this.mine !== undefined) this.send();
  }

  received(states: Record<string, Tree>, users: Record<string, unknown>): void {
    const peers = new Map(this.peers);
    for (const [client, state] of Object.entries(states)) {
      if (client === this.client()) continue;
      const user = users[client];
      if (state === null) peers.delete(client);
      else peers.set(client, typeof user === 'string' ? { user, state } : { state });
    }
    this.replace(peers);
  }

  /** Whom we cannot see any more. */
  lost(): void {
    this.replace(new Map());
  }

  close(): void {
    this.waiting?.();
    this.callbacks.clear();
  }

  private send(): void {
    this.waiting = undefined;
    this.last = this.timers.now();
    this.say({ type: 'presence', state: this.mine });
  }

  private replace(peers: Peers): void {
    if (this.peers.size === 0 && peers.size === 0) return;
    this.peers = peers;
    this.callbacks.emit(peers);
  }
}
