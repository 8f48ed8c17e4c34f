/**
 * The connection to the server: kept up, greeted, resumed where the feed stopped.
 *
 * It decides nothing about rows: what the server says goes to `Hooks`, and if they throw, or if what it says cannot
 * follow from what it said before, the server's word and the rows here do not fit, which is said with `distrust`.
 */
import type { Connection, Outcome, Status, Tree } from '../api.js';
import type { Commit } from '../core/types.js';
import { StoreError, report } from '../errors.js';
import { Alarms } from './alarms.js';
import { Backoff } from './backoff.js';
import { Incoming } from './feed.js';
import type { Http, Token } from './http.js';
import { readMessage, type FromServer, type Limits, type Welcome } from './messages.js';
import type { Outbox } from './outbox.js';
import type { Platform, Socket } from './platform.js';
import type { Servers } from './servers.js';
import { Sending } from './sending.js';
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
  /** The server does not know this client's earlier mutations any more: it needs another name. */
  forgotten(): void;
  /** The rows here are not to be trusted with this server: load them again. The link is paused. */
  distrust(reason: Error): void;
}

export interface Place {
  servers: Servers;
  project: string;
  /** A function can give a new token when the old one is no longer taken. */
  renewable: boolean;
}

/** Trying again would be told the same. */
const FINAL = new Set(['forbidden', 'not_found', 'protocol', 'replaced', 'foreign_client']);
const WELCOME_WITHIN = 15_000;
const PING_AFTER = 20_000;
const RENEW_BEFORE = 30_000;
/** Timers count in 31 bits. */
const LONGEST_TIMER = 86_400_000;

export class Link {
  private socket: Socket | undefined;
  private welcomed = false;
  private running = false;
  private incoming: Incoming | undefined;
  private goodbye: Extract<FromServer, { type: 'goodbye' }> | undefined;
  private heard = 0;
  private asked = 0;
  private tokenWasRefused = false;
  private stopWaking = (): void => undefined;
  private readonly backoff: Backoff;
  private readonly alarms: Alarms;
  private readonly sending: Sending;

  constructor(
    private readonly platform: Platform,
    private readonly place: Place,
    private readonly token: Token,
    http: Http,
    private readonly outbox: Outbox,
    private readonly hooks: Hooks,
  ) {
    this.backoff = new Backoff(() => platform.timers.random());
    this.alarms = new Alarms(platform.timers);
    const link = this;
    const wire = {
      get live() { return link.welcomed; },
      send: (text: string) => this.send(text),
      answered: (outcome: Outcome) => hooks.answered(outcome),
      cursor: () => hooks.position().cursor,
      forgotten: () => {
        hooks.forgotten();
        this.drop();
        void this.connect();
      },
    };
    this.sending = new Sending(outbox, wire, http, place.project, this.alarms, this.backoff);
  }

  get limits(): Limits {
    return this.sending.limits;
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.stopWaking = this.platform.awake(() => this.hurry());
    void this.connect();
  }

  /** Closes the connection and stays away until `start`. */
  pause(): void {
    this.running = false;
    this.stopWaking();
    this.drop();
  }

  /** Sends a message if there is a connection; whether there was one. */
  say(message: Record<string, unknown>): boolean {
    return this.welcomed && this.send(JSON.stringify(message));
  }

  /** Sends what waits in the outbox. */
  flush(): void {
    this.sending.flush();
  }

  private async connect(): Promise<void> {
    this.hooks.state('connecting', undefined);
    try {
      const token = await this.token();
      if (this.running && this.socket === undefined) this.open(token);
    } catch (error) {
      this.retry({ code: 'unreachable', message: String(error) });
    }
  }

  private open(token: string | undefined): void {
    const socket = this.platform.socket(`${this.place.servers.base.replace(/^http/, 'ws')}/v1/projects/${encodeURIComponent(this.place.project)}/live`);
    this.socket = socket;
    this.goodbye = undefined;
    const ifCurrent = (fn: () => void): void => void (this.socket === socket && fn());
    socket.onopen = () => ifCurrent(() => this.greet(token));
    socket.onmessage = ({ data }) => ifCurrent(() => this.receive(data));
    socket.onclose = () => ifCurrent(() => this.lost());
    // A close follows every error.
    socket.onerror = () => undefined;
    this.alarms.set('watch', WELCOME_WITHIN, () => this.lost());
  }

  private greet(token: string | undefined): void {
    const { cursor, epoch, contract } = this.hooks.position();
    const { client } = this.outbox;
    this.incoming = new Incoming(cursor);
    this.sending.restart();
    this.send(JSON.stringify({ type: 'hello', protocol: 1, client, cursor, epoch, contract, ...(token === undefined ? {} : { token }) }));
    this.renewLater(token);
  }

  private receive(data: unknown): void {
    this.heard = this.platform.timers.now();
    try {
      const message = readMessage(data);
      if (this.welcomed || BEFORE_WELCOME.has(message.type)) this.take(message);
      else throw new StoreError('reset', `the server said ${message.type} before it said which project this is`);
    } catch (error) {
      this.pause();
      this.hooks.distrust(error as Error);
    }
  }

  private take(message: FromServer): void {
    switch (message.type) {
      case 'welcome': return this.letIn(message);
      case 'commits': return this.commits(this.incoming!.commits(message.commits));
      case 'part': return this.commits(this.incoming!.part(message));
      case 'settled': return this.sending.answered({ kind: 'settled', id: message.id, version: message.version });
      case 'refused': return this.sending.refused(message);
      case 'reset': throw new StoreError('reset', message.reason);
      case 'presence': return this.hooks.presence(message.peers, message.users);
      case 'signal': return this.hooks.signal(message.topic, message.data, message.from);
      case 'goodbye': this.goodbye = message; return;
      case 'pong': case 'unknown': return;
    }
  }

  private letIn(welcome: Welcome): void {
    const { epoch, cursor } = this.hooks.position();
    if (welcome.project !== this.place.project) throw new StoreError('reset', `the server answered for project ${welcome.project}`);
    if (welcome.epoch !== epoch) throw new StoreError('reset', 'the log of the project was replaced');
    if (welcome.version < cursor) throw new StoreError('reset', `the server is at version ${welcome.version}, behind the ${cursor} that it sent before`);
    this.sending.limits = welcome.limits;
    this.welcomed = true;
    this.tokenWasRefused = false;
    this.watch();
    this.hooks.welcome(welcome);
    this.hooks.state('online', undefined);
    this.sending.progressed();
  }

  private commits(commits: Commit[]): void {
    if (commits.length === 0) return;
    this.hooks.commits(commits);
    this.sending.progressed();
  }

  private lost(): void {
    const { goodbye } = this;
    this.drop();
    if (!this.running) return;
    this.place.servers.next();
    const problem = { code: goodbye?.code ?? 'unreachable', message: goodbye?.message || 'the connection to the server is lost' };
    const unauthenticated = goodbye?.code === 'unauthenticated';
    if (unauthenticated && this.place.renewable && !this.tokenWasRefused) {
      this.tokenWasRefused = true;
      void this.connect();
    } else if (goodbye !== undefined && (FINAL.has(goodbye.code) || (unauthenticated && !this.place.renewable))) {
      this.hooks.state('offline', problem);
    } else this.retry(problem, goodbye?.retryAfter);
  }

  private retry(problem: NonNullable<Status['problem']>, atLeast = 0): void {
    if (!this.running) return;
    this.drop();
    this.hooks.state('offline', problem);
    this.alarms.set('retry', this.backoff.next(atLeast), () => void this.connect());
  }

  private hurry(): void {
    if (!this.alarms.has('retry')) return;
    this.alarms.cancel('retry');
    this.backoff.reset();
    void this.connect();
  }

  /**
   * A connection may die without a word. Only a ping without an answer says so: timers of a page that nobody sees go
   * off a minute late.
   */
  private watch(): void {
    this.alarms.set('watch', PING_AFTER / 2, () => {
      if (this.asked > this.heard) return this.lost();
      const now = this.platform.timers.now();
      if (now - this.heard >= PING_AFTER && this.say({ type: 'ping' })) this.asked = now;
      this.watch();
    });
  }

  private renewLater(token: string | undefined): void {
    const expiry = expiryOf(token);
    if (expiry === undefined || !this.place.renewable) return;
    const wait = Math.max(1000, expiry - this.platform.timers.now() - RENEW_BEFORE);
    if (wait > LONGEST_TIMER) this.alarms.set('renew', LONGEST_TIMER, () => this.renewLater(token));
    else this.alarms.set('renew', wait, () => void this.renew());
  }

  /** If it fails the server says goodbye in time, and the next connection asks for a token again. */
  private async renew(): Promise<void> {
    try {
      const token = await this.token();
      if (token !== undefined && this.say({ type: 'auth', token })) this.renewLater(token);
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
    this.welcomed = false;
    this.alarms.cancelAll();
    try {
      socket?.close(1000, '');
    } catch {
      // It never opened.
    }
  }
}

const BEFORE_WELCOME = new Set(['welcome', 'goodbye', 'pong', 'unknown', 'reset']);
