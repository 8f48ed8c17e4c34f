/** Histories of three people on the real server: each on a project of its own, side by side, so that they share its deaths. */
import fc from 'fast-check';
import type { Store } from '../../src/api.js';
import { decodeChange, type WireChange } from '../../src/capture/wire.js';
import { rowDigest } from '../../src/core/digest.js';
import { openStoreOn } from '../../src/store/open.js';
import { ENGINES } from '../engines.js';
import { contractWith, overwritten, personOf, personStep, shown, type Committed, type Stage } from '../fuzz/editors.js';
import { Network } from '../fuzz/flaky.js';
import { Random } from '../fuzz/random.js';
import type { RunningServer } from '../fuzz/running.js';

export const STEPS = 160;
const KILLED = 60, BACK = 70;
const PATIENCE = 60_000;
const BEFORE = contractWith({ extra: { type: 'integer' } });
const AFTER = contractWith({ other: { type: 'integer' } });

/** Resolves when the status of the store says so. */
export function until(store: Store, holds: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const patience = setTimeout(() => reject(new Error(`nothing moves any more: ${JSON.stringify(store.status)}`)), PATIENCE);
    const look = (): void => {
      if (!holds()) return;
      clearTimeout(patience);
      off();
      resolve();
    };
    const off = store.on('status', look);
    queueMicrotask(look);
  });
}

/** One project and its people. The contract changes at a step that the seed says, also while the server is away. */
export class History implements Stage {
  readonly people: Stage['people'] = [];
  readonly did: Stage['did'] = { undone: 0, left: 0, late: 0, refused: 0, conflicts: 0, lost: 0, nested: 0 };
  readonly writers = new Map<number, string>();
  readonly network: Network;
  private readonly steps: readonly ((stage: Stage) => void)[];
  private readonly turn: number;
  private readonly names: string[] = [];
  private value = 1;
  private contract: string[] = ['a', 'b', 'c', 'extra'];
  private upgraded: Promise<void> | undefined;

  private constructor(private readonly server: RunningServer, readonly seed: number, readonly project: string) {
    const random = new Random(seed);
    this.network = new Network(random);
    this.turn = new Random(seed + 1_000_000).below(STEPS);
    this.steps = fc.sample(personStep, { seed, numRuns: STEPS });
  }

  static async open(server: RunningServer, seed: number): Promise<History> {
    await server.ask('PUT', `/contracts/${nameOf(seed)}`, BEFORE);
    const history = new History(server, seed, await server.create(`editors ${seed}`, nameOf(seed)));
    for (let i = 0; i < 3; i++) {
      const store = await openStoreOn({ url: server.url, project: history.project, engine: ENGINES[i % 2]!.name }, history.network.platform);
      history.people.push(personOf(store, history.did));
      history.names.push(store.status.client);
    }
    const [first] = history.people;
    first!.store.tx((t) => ['x', 'y'].forEach((id) => t.insert('note', { id, points: [{ id: 'p' }] })));
    return history;
  }

  fresh({ store }: Stage['people'][number]): number {
    const value = this.value++;
    this.writers.set(value, store.status.client);
    return value;
  }

  column(n: number): string {
    return this.contract[n % 4]!;
  }

  step(at: number): void {
    if (at === this.turn) this.upgraded = this.upgrade();
    this.steps[at]!(this);
  }

  /** Everything arrives, everything is answered, everybody has heard of everything. */
  async calm(): Promise<void> {
    await this.upgraded;
    for (const { store } of this.people) await until(store, () => store.status.pending === 0 && store.status.connection === 'online');
    const version = Math.max(...this.people.map(({ store }) => store.status.version));
    for (const { store } of this.people) await until(store, () => store.status.version >= version);
  }

  async end(): Promise<void> {
    this.network.heal();
    this.network.wake();
    for (const { drafts } of this.people) for (const draft of drafts) draft.cancel();
    await this.calm();
  }

  /** What of the promises does not hold; undefined: all do. */
  async broken(): Promise<string | undefined> {
    for (const [at, person] of this.people.entries()) {
      const before = shown(person);
      let count = 0;
      while (person.undo.canUndo) if (person.undo.undo().done) count++;
      await this.calm();
      while (count-- > 0) person.undo.redo();
      await this.calm();
      if (shown(person) !== before) return `undone and redone by person ${at}: ${before} became ${shown(person)}`;
    }
    const wanted = digestOf(await this.server.file(this.project));
    for (const [at, { store }] of this.people.entries()) if (digestOf(await store.export()) !== wanted) return `person ${at} shows other rows than the server has`;
    // What begins anew under another name may happen twice.
    if (this.people.some(({ store }, at) => store.status.client !== this.names[at])) return 'somebody has another name';
    // Loading again would put right whatever went wrong before, and nobody would know.
    if (this.network.files !== this.people.length) return `${this.network.files} files loaded`;
    return overwritten(this, await this.commits());
  }

  close(): void {
    for (const { store, undo } of this.people) {
      undo.close();
      store.close();
    }
  }

  /** One column goes, another one comes, as soon as the server is there to do it. */
  private async upgrade(): Promise<void> {
    const [{ problem }] = await this.server.surely(async () => {
      await this.server.ask('PUT', `/contracts/${nameOf(this.seed)}`, AFTER);
      const body = { projects: [this.project], dry_run: false, allow_destructive: true };
      return ((await this.server.ask('POST', `/contracts/${nameOf(this.seed)}/migrate`, body)) as { projects: [{ problem: string | null }] }).projects;
    });
    if (problem !== null) throw new Error(`seed ${this.seed}: ${problem}`);
    this.contract = ['a', 'b', 'c', 'other'];
  }

  private async commits(): Promise<Committed[]> {
    const page = (await this.server.ask('GET', `/projects/${this.project}/commits?after=0&limit=1000`)) as { commits: Told[]; version: number };
    if (page.commits.length !== page.version) throw new Error(`${page.commits.length} of ${page.version} commits were read`);
    return page.commits.map(({ id, changes }) => ({ ...(id && { id }), changes: changes.map(decodeChange) }));
  }
}

interface Told { id?: [client: string, counter: number]; changes: WireChange[] }

/** Plays a history for each seed, the server killed in the middle of all of them; all are calm then. */
export async function play(server: RunningServer, seeds: readonly number[]): Promise<History[]> {
  const histories: History[] = [];
  for (const seed of seeds) histories.push(await History.open(server, seed));
  for (let at = 0; at < STEPS; at++) {
    if (at === KILLED) await server.kill();
    if (at === BACK) {
      await server.start();
      histories.forEach(({ network }) => network.wake());
    }
    for (const history of histories) history.step(at);
    if (at % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 3));
  }
  for (const history of histories) await history.end();
  return histories;
}

const nameOf = (seed: number): string => `editors-${seed}`;

function digestOf(file: Uint8Array): string {
  const db = ENGINES[0]!.open(file);
  const digest = rowDigest(db);
  db.close();
  return digest;
}
