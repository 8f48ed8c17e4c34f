/**
 * The connection to the server: kept up, greeted, resumed where the feed stopped, pushes sent in order until answered.
 *
 * It decides nothing about rows: what the server says goes to `Hooks`, and if they throw, the server's word and the
 * rows here do not fit, which is said with `distrust`.
 */
import type { Connection, MutationId, Outcome, Status, Tree } from '../api.js';
import type { Commit } from '../core/types.js';
import { StoreError, report } from '../errors.js';
import { Backoff } from './backoff.js';
import { Incoming } from './feed.js';
import type { Http, Token } from './http.js';
import { LIMITS, readMessage, type FromServer, type Limits, type Welcome } from './messages.js';
import type { Outbox } from './outbox.js';
import type { Platform, Socket } from './platform.js';
import { expiryOf } from './token.js';

export interface Hooks {
  /** What the client has: where the feed is to go on. */
  position(): { cursor: number; epoch: string; contract: string };
  welcome(welcome: Welcome): void;
  commits(commits: Commit[]): void;
  /** Settled or refused; a commit is answered by the feed. */
  answered(outcome: Outcome): void;
  presence(peers: Record<string, Tree>, users: Record<string, unknown>): void;
  signal(topic: string, data: unknown, from: string): void;
  state(connection: Connection, problem: Status['problem']): void;
  /** The rows here are not to be trusted with this server: load them again. The link is paused. */
  distrust(reason: Error): void;
}

export interface Place {
  /** Of the websocket. */
  url: string;
  project: string;
  /** A function can give a new token when the old one is no longer taken. */
  renewable: boolean;
}

/** Nothing was recorded: the same bytes again, a little later. */
const NOT_JUDGED = new Set(['out_of_order', 'rate_limited', 'unavailable', 'unknown', 'unreachable']);
/** Trying again would be told the same. */
const FINAL = new Set(['forbidden', 'not_found', 'protocol', 'replaced', 'foreign_client']);
const WELCOME_WITHIN = 15_000;
const PING_AFTER = 20_000;
const DEAD_AFTER = 30_000;
const RENEW_BEFORE = 30_000;
const LONGEST_TIMER = 86_400_000;

export class Link {
  limits: Limits = LIMITS;
  private socket: Socket | undefined;
  private live = false;
  private running = false;
  private incoming: Incoming | undefined;
  private readonly backoff: Backoff;
  private readonly stops = new Map<string, () => void>();
  private goodbye: { code: string; message: string; retryAfter: number } | undefined;
  private heard = 0;
  private posting = false;
  private refusedToken = false;

  constructor(
    private readonly platform: Platform,
    private readonly place: Place,
    private readonly token: Token,
    private readonly http: Http,
    private readonly outbox: Outbox,
    private readonly hooks: Hooks,
  ) {
    this.backoff = new Backoff(() => platform.timers.random());
  }

  get online(): boolean {
    return this.live;
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.stops.set('awake', this.platform.awake(() => this.hurry()));
    void this.connect();
  }

  /** Closes the connection and stays away until `start`. */
  pause(): void {
    this.running = false;
    for (const stop of this.stops.values()) stop();
    this.stops.clear();
    this.drop();
  }

  /** Sends a message if there is a connection; whether there was one. */
  say(message: Record<string, unknown>): boolean {
    return this.live && this.send(JSON.stringify(message));
  }

  /** Sends what waits, as much as may be under way at once. */
  flush(): void {
    while (this.live && !this.posting) {
      const next = this.outbox.next(this.limits.in_flight);
      if (next === undefined) return;
      if (isLonger(next.text, this.limits.frame)) {
        // A request may overtake the socket: what came before it has to be answered first.
        if (next.first) void this.post(next.id, next.text);
        return;
      }
      if (!this.send(next.text)) return;
      this.outbox.markSent(next.id);
    }
  }

  private async connect(): Promise<void> {
    this.hooks.state('connecting', undefined);
    let token: string | undefined;
    try {
      token = await this.token();
    } catch (error) {
      return this.retry({ code: 'no_token', message: `no token could be had: ${String(error)}` });
    }
    if (!this.running || this.socket !== undefined) return;
    try {
      this.open(token);
    } catch (error) {
      this.retry({ code: 'unreachable', message: String(error) });
    }
  }

  private open(token: string | undefined): void {
    const socket = this.platform.socket(this.place.url);
    this.socket = socket;
    this.goodbye = undefined;
    const current = (fn: () => void) => (): void => void (this.socket === socket && fn());
    socket.onopen = current(() => this.greet(token));
    socket.onmessage = (event) => current(() => this.receive(event.data))();
    socket.onclose = current(() => this.lost());
    // A close follows every error.
    socket.onerror = () => undefined;
    this.after('watch', WELCOME_WITHIN, () => this.lost());
  }

  private greet(token: string | undefined): void {
    const { cursor, epoch, contract } = this.hooks.position();
    this.incoming = new Incoming(cursor);
    this.outbox.again();
    const { client } = this.outbox;
    this.send(JSON.stringify({ type: 'hello', protocol: 1, client, cursor, epoch, contract, ...(token === undefined ? {} : { token }) }));
    this.renewLater(token);
  }

  private receive(data: unknown): void {
    this.heard = this.platform.timers.now();
    try {
      this.take(readMessage(data));
    } catch (error) {
      this.pause();
      this.hooks.distrust(error as Error);
    }
  }

  private take(message: FromServer): void {
    switch (message.type) {
      case 'welcome': return this.welcomed(message);
      case 'commits': return this.commits(this.incoming!.commits(message.commits));
      case 'part': return this.commits(this.incoming!.part(message));
      case 'settled': return this.answered({ kind: 'settled', id: message.id, version: message.version });
      case 'refused': return this.refused(message);
      case 'reset': throw new StoreError('reset', message.reason);
      case 'presence': return this.hooks.presence(message.peers, message.users);
      case 'signal': return this.hooks.signal(message.topic, message.data, message.from);
      case 'goodbye': this.goodbye = message; return;
      case 'pong': case 'unknown': return;
    }
  }

  private welcomed(welcome: Welcome): void {
    const { epoch } = this.hooks.position();
    if (welcome.project !== this.place.project) throw new StoreError('reset', `the server answered for project ${welcome.project}`);
    if (welcome.epoch !== epoch) throw new StoreError('reset', 'the log of the project was replaced');
    this.limits = welcome.limits;
    this.live = true;
    this.refusedToken = false;
    this.backoff.reset();
    this.watch();
    this.hooks.welcome(welcome);
    this.hooks.state('online', undefined);
    this.flush();
  }

  private commits(commits: Commit[]): void {
    if (commits.length === 0) return;
    this.hooks.commits(commits);
    this.flush();
  }

  private answered(outcome: Outcome): void {
    this.hooks.answered(outcome);
    this.flush();
  }

  private refused({ id, version, refusal, retryAfter }: Extract<FromServer, { type: 'refused' }>): void {
    if (!NOT_JUDGED.has(refusal.code)) return this.answered({ kind: 'refused', id, version, refusal });
    this.sendAgain(id, retryAfter);
  }

  private sendAgain(id: MutationId, retryAfter: number): void {
    if (this.stops.has('again')) return;
    this.after('again', this.backoff.next(retryAfter), () => {
      this.outbox.again(id);
      this.flush();
    });
  }

  /** Its commit, if there is one, comes with the feed; an answer without a commit is settled once the feed has passed it. */
  private async post(id: MutationId, text: string): Promise<void> {
    this.posting = true;
    this.outbox.markSent(id);
    try {
      const version = await this.http.mutate(this.place.project, text);
      this.hooks.answered({ kind: 'settled', id, version });
    } catch (error) {
      this.postFailed(id, error);
    } finally {
      this.posting = false;
      this.flush();
    }
  }

  private postFailed(id: MutationId, error: unknown): void {
    if (!(error instanceof StoreError)) return report(error);
    const { code, message, errors } = error;
    if (NOT_JUDGED.has(code) || code === 'unauthenticated') return this.sendAgain(id, 0);
    this.hooks.answered({ kind: 'refused', id, version: this.hooks.position().cursor, refusal: { code, message, errors } });
  }

  private lost(): void {
    const { goodbye } = this;
    this.drop();
    if (!this.running) return;
    const problem = { code: goodbye?.code ?? 'unreachable', message: goodbye?.message || 'the connection to the server is lost' };
    if (goodbye?.code === 'unauthenticated' && this.place.renewable && !this.refusedToken) {
      this.refusedToken = true;
      return void this.connect();
    }
    const final = goodbye !== undefined && (FINAL.has(goodbye.code) || (goodbye.code === 'unauthenticated' && !this.place.renewable));
    if (final) this.hooks.state('offline', problem);
    else this.retry(problem, goodbye?.retryAfter);
  }

  private retry(problem: NonNullable<Status['problem']>, atLeast = 0): void {
    this.hooks.state('offline', problem);
    this.after('retry', this.backoff.next(atLeast), () => void this.connect());
  }

  private hurry(): void {
    if (!this.stops.has('retry')) return;
    this.cancel('retry');
    this.backoff.reset();
    void this.connect();
  }

  /** A connection may die without a word. */
  private watch(): void {
    this.after('watch', PING_AFTER / 2, () => {
      const silent = this.platform.timers.now() - this.heard;
      if (silent >= DEAD_AFTER) return this.lost();
      if (silent >= PING_AFTER) this.say({ type: 'ping' });
      this.watch();
    });
  }

  private renewLater(token: string | undefined): void {
    const expiry = expiryOf(token);
    if (expiry === undefined || !this.place.renewable) return;
    const wait = Math.max(1000, expiry - this.platform.timers.now() - RENEW_BEFORE);
    this.after('renew', Math.min(wait, LONGEST_TIMER), () => void this.renew());
  }

  private async renew(): Promise<void> {
    try {
      const token = await this.token();
      if (token === undefined || !this.say({ type: 'auth', token })) return;
      this.renewLater(token);
    } catch (error) {
      report(error);
    }
  }

  private send(text: string): boolean {
    try {
      this.socket?.send(text);
      return this.socket !== undefined;
    } catch {
      // It is closing; `onclose` follows and everything is sent again.
      return false;
    }
  }

  private drop(): void {
    const { socket } = this;
    this.socket = undefined;
    this.live = false;
    for (const name of ['watch', 'renew', 'again', 'retry']) this.cancel(name);
    try {
      socket?.close(1000, '');
    } catch {
      // It never opened.
    }
  }

  private after(name: string, ms: number, fn: () => void): void {
    this.cancel(name);
    this.stops.set(name, this.platform.timers.after(ms, () => {
      this.stops.delete(name);
      fn();
    }));
  }

  private cancel(name: string): void {
    this.stops.get(name)?.();
    this.stops.delete(name);
  }
}

/** In UTF-8; counted only where it can matter. */
function isLonger(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return false;
  return text.length > bytes || new TextEncoder().encode(text).length > bytes;
}
