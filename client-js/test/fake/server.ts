/**
 * A server in this process that speaks the wire (design section 8) over fake sockets. It judges by running a push on
 * its own rows; tests say what else it does: refuse, hold its tongue, lie, fall over.
 */
import { encodeChange, keyText, type Json } from '../../src/capture/wire.js';
import { decodeChange } from '../../src/capture/wire.js';
import { sameCell } from '../../src/capture/capture.js';
import { Core } from '../../src/core/core.js';
import { readRow } from '../../src/core/rows.js';
import type { Change, Commit, Key, MutationId, Operation, Row } from '../../src/core/types.js';
import type { Db, Engine } from '../../src/engine/types.js';
import type { Platform } from '../../src/sync/platform.js';
import { firstFile } from './file.js';
import { Clock, FakeSocket, fakePlatform, turn } from './world.js';

type Message = Record<string, Json> & { type: string };
interface Peer { socket: FakeSocket; cursor: number; client: string; live: boolean }

export const PROJECT = 'a'.repeat(32);
const OTHER = 'f'.repeat(32);

export class FakeServer {
  readonly clock = new Clock();
  /** Every push that came, in order, whatever became of it. */
  readonly pushes: Message[] = [];
  readonly heard: Message[] = [];
  readonly requests: string[] = [];
  epoch = 'e'.repeat(32);
  /** What a refusal of `judge` names. */
  faults: object[] = [];
  /** A refusal's code for a push; undefined: judge it by the rows. */
  judge: (push: Message) => string | undefined = () => undefined;
  /** Texts to the client are changed or swallowed here. */
  censor: (text: string) => string | undefined = (text) => text;
  reachable = true;
  welcomeMore: Record<string, Json> = {};
  /** Commits and answers are kept back. */
  holding = false;
  core: Core;
  private db: Db;
  private readonly log: Record<string, Json>[] = [];
  private readonly outcomes = new Map<string, { version: number; code?: string }>();
  private readonly peers = new Set<Peer>();
  private readonly held: (() => void)[] = [];

  constructor(readonly engine: Engine, readonly document: object) {
    this.db = engine.open(firstFile(engine, document, PROJECT, this.epoch));
    this.core = new Core(this.db);
  }

  get version(): number {
    return this.core.version;
  }

  get platform(): Partial<Platform> {
    return fakePlatform(this.clock, { fetch: (url, init) => this.fetch(url, init), socket: () => this.connect() });
  }

  /** Somebody else's mutation. */
  commit(operations: Operation[], more: Partial<Commit> = {}): number {
    this.decide(operations, { by: 'anna', id: [OTHER, this.version], ...more });
    return this.version;
  }

  sql(sql: string): void {
    const { changes } = this.core.edit((writer) => writer.sql(sql));
    this.append(changes, { by: 'anna', kind: 'sql' });
  }

  append(changes: Change[], more: Partial<Commit>): void {
    const commit = { v: this.version + 1, kind: 'edit' as const, at: 1, changes, ...more };
    const types = this.core.tables;
    this.core.receive([commit]);
    this.history.push(commit);
    this.log.push({ ...commit, changes: changes.map((change) => encodeChange(change, types.get(change[1])?.types ?? new Map())) } as never);
    this.announce();
  }

  announce(): void {
    if (this.holding) return;
    for (const peer of this.peers) this.feed(peer);
    for (const answer of this.held.splice(0)) answer();
  }

  /** To everybody, as it is. */
  say(message: object): void {
    for (const peer of this.peers) this.tell(peer, message);
  }

  /** Says why, and hangs up. */
  async goodbye(code: string, message: string, retryAfter: number | null = null): Promise<void> {
    this.say({ type: 'goodbye', code, message, retry_after: retryAfter });
    await turn();
    await this.drop();
  }

  async drop(): Promise<void> {
    for (const peer of [...this.peers]) this.hangUp(peer);
    await turn();
  }

  /** Every commit, as it was made. */
  readonly history: Commit[] = [];

  read(sql: string): unknown[][] {
    return this.db.all(sql);
  }

  private connect(): FakeSocket {
    const socket: FakeSocket = new FakeSocket((text) => this.receive(peer, JSON.parse(text) as Message), () => void this.peers.delete(peer));
    const peer: Peer = { socket, cursor: 0, client: '', live: false };
    setImmediate(() => {
      if (!this.reachable) return this.hangUp(peer);
      this.peers.add(peer);
      socket.onopen?.();
    });
    return socket;
  }

  private hangUp(peer: Peer): void {
    this.peers.delete(peer);
    peer.socket.open = false;
    setImmediate(() => peer.socket.onclose?.({ code: 1006, reason: '' }));
  }

  private receive(peer: Peer, message: Message): void {
    this.heard.push(message);
    if (message.type === 'hello') return this.greet(peer, message);
    if (message.type === 'ping') return this.tell(peer, { type: 'pong' });
    if (message.type === 'signal') for (const other of this.peers) if (other !== peer && other.live) this.tell(other, { ...message, from: peer.client });
    if (message.type !== 'push') return;
    this.pushes.push(message);
    const answer = this.take(message);
    if (answer !== undefined) this.held.push(() => this.tell(peer, answer));
    this.announce();
  }

  private greet(peer: Peer, hello: Message): void {
    peer.client = hello.client as string;
    peer.cursor = hello.cursor as number;
    peer.live = true;
    const { epoch, version } = this;
    this.tell(peer, {
      type: 'welcome', protocol: 1, project: PROJECT, version, epoch, contract: this.document, contract_hash: 'hash-1', image: null,
      limits: { frame: 4096 }, client: peer.client, user: 'ben', role: 'editor', ...this.welcomeMore,
    });
    this.feed(peer);
  }

  private feed(peer: Peer): void {
    const commits = this.log.filter((commit) => (commit.v as number) > peer.cursor);
    if (!peer.live || commits.length === 0) return;
    peer.cursor = this.version;
    this.tell(peer, { type: 'commits', commits });
  }

  private tell(peer: Peer, message: object): void {
    setImmediate(() => {
      const text = peer.socket.open ? this.censor(JSON.stringify(message)) : undefined;
      if (text !== undefined) peer.socket.onmessage?.({ data: text });
    });
  }

  /** Once, with one answer; undefined: its commit is the answer. */
  private take(push: Message): object | undefined {
    const id = push.id as unknown as MutationId;
    const known = this.outcomes.get(String(id));
    const code = known === undefined ? this.judge(push) : known.code;
    const { version } = known ?? this;
    if (code !== undefined) {
      if (!['unavailable', 'out_of_order'].includes(code)) this.outcomes.set(String(id), { version, code });
      return { type: 'refused', id, version, code, message: `refused: ${code}`, errors: this.faults };
    }
    if (known !== undefined) return { type: 'settled', id, version };
    return this.run(push, id);
  }

  private run(push: Message, id: MutationId): object | undefined {
    const before = this.version;
    const operations = ((push.changes ?? []) as Json[]).map((change) => operationOf(change as Json[]));
    const missing = push.missing === 'skip' ? operations.filter((operation) => operation[0] === 'u' && !this.row(operation)) : [];
    try {
      if (!((push.expect ?? []) as Json[][]).every((item) => this.holds(item))) return this.refuse(id, 'conflict');
      this.decide(operations.filter((operation) => !missing.includes(operation)), {
        id, by: 'ben', ...(missing.length === 0 ? {} : { skipped: missing.map(([, table, key]) => [table, key]) }), ...(push.tag === undefined ? {} : { tag: push.tag as string }),
      });
    } catch (error) {
      return this.refuse(id, 'invalid', String(error));
    }
    this.outcomes.set(String(id), { version: this.version });
    return this.version === before ? { type: 'settled', id, version: before } : undefined;
  }

  private refuse(id: MutationId, code: string, message = code): object {
    this.outcomes.set(String(id), { version: this.version, code });
    return { type: 'refused', id, version: this.version, code, message, errors: [] };
  }

  private row([, table, key]: readonly [string, string, Key, ...unknown[]]): Row | undefined {
    return readRow(this.db, this.core.tables.get(table)!, key);
  }

  private holds([kind, table, key, cells]: Json[]): boolean {
    if (kind === 'since') return !this.history.some(({ v, changes }) => v > (cells as number) && changes.some((change) => change[1] === table && keyText(change[2]) === JSON.stringify(key)));
    if (kind !== '=') throw new Error(`the fake judges no ${String(kind)}`);
    const [, name, place, wanted] = decodeChange(['i', table, key, cells]) as ['i', string, Key, Row];
    const found = this.row(['=', name, place]);
    return found !== undefined && Object.keys(wanted).every((column) => sameCell(found[column] ?? null, wanted[column] ?? null));
  }

  private decide(operations: Operation[], more: Partial<Commit>): void {
    const { changes } = this.core.edit((writer) => writer.applyAll(operations));
    if (changes.length > 0) this.append(changes, more);
    else this.core.receive([]);
  }

  private async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const path = new URL(url).pathname;
    this.requests.push(`${init.method} ${path}`);
    if (!this.reachable) throw new TypeError('fetch failed');
    if (path === `/v1/projects/${PROJECT}/db`) return new Response(this.core.exportConfirmed().slice().buffer);
    if (path === '/v1/projects' && init.method === 'GET') return Response.json({ projects: [{ id: PROJECT, name: 'My scene' }] });
    if (path === `/v1/projects/${PROJECT}/mutations`) return this.mutations(JSON.parse(init.body as string) as Message);
    return Response.json({ error: { code: 'not_found', message: `there is nothing at ${path}`, errors: [] } }, { status: 404 });
  }

  private mutations(push: Message): Response {
    this.pushes.push(push);
    const refusal = this.take(push) as { type: string; code: string; message: string } | undefined;
    this.announce();
    if (refusal?.type === 'refused') return Response.json({ error: { code: refusal.code, message: refusal.message, errors: [] } }, { status: 422 });
    return Response.json({ version: this.version });
  }
}

function operationOf(change: Json[]): Operation {
  const [op, table, key, now] = change;
  if (op === 'd') return ['d', table as string, decodeChange(['d', table, key, null, {}])[2]];
  return decodeChange(op === 'u' ? ['u', table, key, now, {}] : ['i', table, key, now]).map((part, at) => (at === 0 ? op : part)) as Operation;
}
