/**
 * The store: what an editor holds. It brings the rooms together: the loaded project, who watches it, and the link.
 *
 * Everything that writes goes through the core; what the core touched goes to the subscriptions; what is to be sent
 * goes to the outbox before anybody is told, so that a callback that writes comes after.
 */
import type {
  Draft, DraftOptions, Outcome, Sent, Status, Store, SubscribeOptions, Tree, Tx, Unsubscribe, Value, WriteOptions,
} from '../api.js';
import type { Commit, Rebased, Writer } from '../core/types.js';
import { StoreError } from '../errors.js';
import { placed } from '../paths/faults.js';
import { changedPaths } from '../paths/of.js';
import type { About } from '../reactive/reactive.js';
import { Subscriptions, type PathCallback, type QueryCallback, type RowsCallback } from '../reactive/subscriptions.js';
import type { Link } from '../sync/link.js';
import type { Welcome } from '../sync/messages.js';
import type { Outbox } from '../sync/outbox.js';
import type { Platform } from '../sync/platform.js';
import { Callbacks } from './callbacks.js';
import { DESK, type Desk } from './desk.js';
import { Drafts, type DraftHost } from './drafts.js';
import type { Loaded } from './loaded.js';
import { PresenceBoard } from './presence.js';
import { query, refuseWriting } from './queries.js';
import { aboutBatch, hitsOf } from './sources.js';
import { asStoreError } from './tx.js';
import { Writing, type WritingHost } from './writing.js';

type Refused = Extract<Outcome, { kind: 'refused' }>;
type Query = { sql: string; params?: Value[] };

export class LiveStore implements Store {
  readonly presence: PresenceBoard;
  private readonly subscriptions: Subscriptions;
  private readonly onStatus = new Callbacks<[Status]>();
  private readonly onRefused = new Callbacks<[Refused]>();
  private readonly onContract = new Callbacks<[string]>();
  private readonly onOwn = new Callbacks<[Commit]>();
  private readonly writing: Writing;
  private readonly localDrafts: Drafts;
  private readonly topics = new Map<string, Callbacks<[data: unknown, from: string]>>();
  /** Settled at a version that the feed has yet to bring. */
  private early: Outcome[] = [];
  private told: Pick<Status, 'connection' | 'problem' | 'user' | 'role'> = { connection: 'connecting' };
  /** Set by `open.ts`, which makes both. */
  link!: Link;

  constructor(
    private loaded: Loaded,
    private readonly engine: string,
    private readonly outbox: Outbox,
    private readonly platform: Platform,
  ) {
    this.subscriptions = new Subscriptions(() => this.loaded, (fn) => platform.frame(fn));
    this.writing = new Writing(this.writingHost(), outbox);
    this.localDrafts = new Drafts(this.draftHost());
    const say = (message: Record<string, unknown>): boolean => this.link.say(message);
    this.presence = new PresenceBoard(platform.timers, () => outbox.client, say, () => this.link.limits.presence);
  }

  // What an editor asks.

  get project(): string {
    return this.loaded.project;
  }

  get status(): Status {
    const { version } = this.loaded.core;
    return { ...this.told, version, pending: this.outbox.size, client: this.outbox.client, engine: this.engine };
  }

  get contract(): { hash: string; document: Record<string, unknown> } {
    const { hash, document } = this.loaded.contract;
    return { hash, document };
  }

  async get(path: string): Promise<Tree | undefined> {
    return this.peek(path);
  }

  peek(path: string): Tree | undefined {
    this.writing.mustBeOpen();
    const shown = this.writing.busy ? undefined : this.subscriptions.shown(path);
    return shown === undefined ? this.loaded.read(path) : shown.value;
  }

  async query(sql: string, params: Value[] = []): Promise<Record<string, Value>[]> {
    this.writing.mustBeOpen();
    return query(this.loaded.db, sql, params);
  }

  subscribe(path: string, callback: PathCallback, options?: SubscribeOptions): Unsubscribe;
  subscribe(query: Query, callback: QueryCallback, options?: SubscribeOptions): Unsubscribe;
  subscribe(list: { rows: string }, callback: RowsCallback, options?: SubscribeOptions): Unsubscribe;
  subscribe(what: string | Query | { rows: string }, callback: PathCallback | QueryCallback | RowsCallback, { when }: SubscribeOptions = {}): Unsubscribe {
    this.writing.mustNotBeWriting();
    if (typeof what === 'string') return this.subscriptions.path(what, callback as PathCallback, when);
    if ('rows' in what) return this.subscriptions.rows(what.rows, callback as RowsCallback, when);
    const { sql, params = [] } = what;
    try {
      refuseWriting(this.loaded.db, sql, params);
      return this.subscriptions.query(sql, params, callback as QueryCallback, when);
    } catch (error) {
      throw asStoreError(error);
    }
  }

  tx(fn: (t: Tx) => void, options: WriteOptions = {}): Sent {
    return this.writing.write('local', options, (check) => this.loaded.core.edit((writer) => this.writing.body(writer).run(fn), check))?.sent ?? this.writing.nothing();
  }

  set(path: string, value: Tree, options: WriteOptions = {}): Sent {
    return this.tx((t) => t.set(path, value), options);
  }

  call(name: string, args: Record<string, unknown>): Sent {
    return this.writing.call(name, args);
  }

  draft(scope: string | readonly string[] = [], options: DraftOptions = {}): Draft {
    return this.localDrafts.begin([scope].flat(), options);
  }

  get drafts(): readonly Draft[] {
    return this.localDrafts.open;
  }

  signal(topic: string, data: unknown): void {
    this.writing.mustBeOpen();
    const message = { type: 'signal', topic, data: data ?? null };
    const size = new TextEncoder().encode(JSON.stringify(message)).length;
    if (size > this.link.limits.signal) throw new StoreError('too_large', `a signal has at most ${this.link.limits.signal} bytes, this one ${size}`);
    this.link.say(message);
  }

  onSignal(topic: string, callback: (data: unknown, from: string) => void): Unsubscribe {
    const callbacks = this.topics.get(topic) ?? new Callbacks();
    this.topics.set(topic, callbacks);
    return callbacks.add(callback);
  }

  on(event: 'status', callback: (status: Status) => void): Unsubscribe;
  on(event: 'refused', callback: (outcome: Refused) => void): Unsubscribe;
  on(event: 'contract', callback: (hash: string) => void): Unsubscribe;
  on(event: 'status' | 'refused' | 'contract', callback: (argument: never) => void): Unsubscribe {
    if (event === 'status') return this.onStatus.add(callback as (status: Status) => void);
    if (event === 'refused') return this.onRefused.add(callback as (outcome: Refused) => void);
    return this.onContract.add(callback as (hash: string) => void);
  }

  async export(): Promise<Uint8Array> {
    this.writing.mustNotBeWriting();
    return this.loaded.core.exportConfirmed();
  }

  close(): void {
    if (this.closed) return;
    this.writing.mustNotBeWriting();
    this.localDrafts.leaving.emit();
    this.link.pause();
    this.presence.close();
    this.subscriptions.clear();
    this.topics.clear();
    this.state('closed', undefined);
    for (const callbacks of [this.onStatus, this.onRefused, this.onContract, this.writing.onWritten, this.onOwn]) callbacks.clear();
    this.loaded.core.close();
  }

  get closed(): boolean {
    return this.told.connection === 'closed';
  }

  // What its own rooms ask.

  private writingHost(): WritingHost {
    const store = this;
    return {
      get loaded() { return store.loaded; },
      get closed() { return store.closed; },
      get reading() { return store.told.role === 'reader'; },
      added: () => {
        this.link.flush();
        if (this.onStatus.size > 0) this.onStatus.emit(this.status);
      },
      tell: (edited, source) => this.tell(edited, () => source),
      randomHex: (digits) => this.platform.randomHex(digits),
    };
  }

  private draftHost(): DraftHost {
    const store = this;
    return {
      get loaded() { return store.loaded; },
      get closed() { return store.closed; },
      mayWrite: () => this.writing.mayWrite({}),
      mustNotBeWriting: () => this.writing.mustNotBeWriting(),
      step: (fn, origin = 'draft') => {
        const stepped = this.writing.guarded(fn);
        this.tell(stepped, () => ({ origin }));
        return stepped;
      },
      save: (edit, options) => this.writing.write('draft', options, edit)?.sent,
      body: (writer) => this.writing.body(writer),
    };
  }

  // What the parts beside the store ask.

  get [DESK](): Desk {
    const store = this;
    return {
      get loaded() { return store.loaded; },
      timers: this.platform.timers,
      drafts: this.localDrafts,
      mutate: (options, edit) => this.writing.write('undo', options, (check) => this.loaded.core.edit((writer: Writer) => edit(writer), check)),
      onWritten: (callback) => this.writing.onWritten.add(callback),
      onOwn: (callback) => this.onOwn.add(callback),
    };
  }

  // What the link brings.

  position(): { cursor: number; epoch: string; contract: string } {
    const { core, contract } = this.loaded;
    return { cursor: core.version, epoch: core.epoch, contract: contract.hash };
  }

  welcome({ user, role }: Welcome): void {
    this.told = { ...this.told, ...(user === undefined ? {} : { user }), ...(role === undefined ? {} : { role }) };
    this.presence.greeted();
  }

  commits(commits: Commit[]): void {
    const rebased = this.loaded.core.receive(commits, [], this.outbox.client);
    for (const commit of commits) if (commit.id?.[0] === this.outbox.client) this.own(commit, commit.id);
    this.rebased(rebased, aboutBatch(commits, this.outbox.client));
    this.settleEarly();
    this.onStatus.emit(this.status);
  }

  private own(commit: Commit, id: Sent['id']): void {
    this.onOwn.emit(commit);
    const skipped = (commit.skipped ?? []).flatMap(([table, key]) => changedPaths(this.loaded.contract, [['d', table, key, null, {}]]));
    this.outbox.answer({ kind: 'committed', id, version: commit.v, ...(skipped.length === 0 ? {} : { skipped }) });
  }

  answered(outcome: Outcome): void {
    // A callback may have closed the store before what was early was due.
    if (this.closed) return;
    if (outcome.kind === 'settled' && outcome.version > this.loaded.core.version) return void this.early.push(outcome);
    if (outcome.kind === 'refused') outcome.refusal.errors = placed(this.loaded.contract, outcome.refusal.errors);
    if (!this.outbox.answer(outcome)) return;
    this.rebased(this.loaded.core.receive([], [outcome.id]), () => ({ origin: 'rebase' }));
    if (outcome.kind === 'refused') this.onRefused.emit(outcome);
    this.onStatus.emit(this.status);
  }

  /** The server has forgotten this client: what is unanswered begins anew under another one. */
  forgotten(): void {
    this.outbox.rename(this.platform.randomHex(32));
    this.onStatus.emit(this.status);
  }

  signalled(topic: string, data: unknown, from: string): void {
    this.topics.get(topic)?.emit(data, from);
  }

  state(connection: Status['connection'], problem: Status['problem']): void {
    if (this.closed) return;
    const { problem: before, ...rest } = this.told;
    // While it is tried again, what was wrong is still what is known.
    const known = problem ?? (connection === 'connecting' ? before : undefined);
    this.told = { ...rest, connection, ...(known === undefined ? {} : { problem: known }) };
    if (connection !== 'online') this.presence.lost();
    this.onStatus.emit(this.status);
  }

  /** The project loaded again: what is pending or in a draft is taken over, and every difference told. */
  replace(fresh: Loaded): void {
    const before = this.loaded;
    fresh.core.adopt(before.core);
    this.loaded = fresh;
    before.core.close();
    this.subscriptions.renew(() => ({ origin: 'load' }));
    this.localDrafts.look(new Map());
    this.settleEarly();
    if (fresh.contract.hash !== before.contract.hash) this.onContract.emit(fresh.contract.hash);
    this.onStatus.emit(this.status);
  }

  private rebased(rebased: Rebased, about: About): void {
    if (!rebased.schema) return this.tell(rebased, about);
    this.loaded.readContract();
    this.subscriptions.renew(about);
    this.localDrafts.look(new Map());
    this.onContract.emit(this.loaded.contract.hash);
  }

  private settleEarly(): void {
    const due = this.early.filter((outcome) => outcome.version <= this.loaded.core.version);
    this.early = this.early.filter((outcome) => !due.includes(outcome));
    for (const outcome of due) this.answered(outcome);
  }

  private tell({ touched }: Pick<Rebased, 'touched'>, about: About): void {
    this.subscriptions.notify(hitsOf(touched), about);
    this.localDrafts.look(touched);
  }
}
