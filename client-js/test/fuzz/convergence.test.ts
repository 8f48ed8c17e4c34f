/** Stores on both engines and a bad network against the real server: in the end everybody has the server's rows. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Draft, Store } from '../../src/api.js';
import { rowDigest } from '../../src/core/digest.js';
import { StoreError } from '../../src/errors.js';
import { openStoreOn } from '../../src/store/open.js';
import { ENGINES } from '../engines.js';
import { Network } from './flaky.js';
import { edit, fill, NOTES } from './notes.js';
import { Random } from './random.js';
import { RunningServer } from './running.js';

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 3);
const STEPS = 250;
/** The steps at which the server is killed, and is there again. */
const KILLED = 120;
const BACK = 130;
const ENGINE_NAMES = ['sqlite-wasm', 'sqljs'] as const;

const server = new RunningServer();
beforeAll(() => server.start());
afterAll(() => server.end());

interface Member {
  store: Store;
  drafts: Draft[];
}

/** What the contract or other people's edits forbid is thrown at the caller; anything else is a fault of ours. */
function attempt(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'internal') throw error;
  }
}

function step({ store, drafts }: Member, random: Random): void {
  const dice = random.below(20);
  const draft = drafts[random.below(Math.max(1, drafts.length))];
  if (dice < 12) attempt(() => void store.tx((t) => edit(t, random), { missing: random.pick(['refuse', 'skip']) }));
  else if (dice < 13 && drafts.length < 3) drafts.push(store.draft());
  else if (draft !== undefined && dice < 17) attempt(() => draft.tx((t) => edit(t, random)));
  else if (draft !== undefined && dice < 18) attempt(() => void draft.save({ missing: 'skip' }));
  else if (draft !== undefined && dice < 19) draft.cancel();
  drafts.splice(0, drafts.length, ...drafts.filter((one) => one.open));
}

const PATIENCE = 60_000;

/** Resolves when the store's status says so; where nothing moves any more, its status is the best clue. */
function until(store: Store, holds: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const stuck = (): void => reject(new Error(`nothing moves any more: ${JSON.stringify(store.status)}`));
    const patience = setTimeout(stuck, PATIENCE);
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

async function play(seed: number): Promise<{ members: Member[]; network: Network; project: string; refused: number }> {
  const network = new Network(new Random(seed));
  const random = new Random(seed + 1000);
  const project = await server.create(`fuzz ${seed}`, NOTES);
  const stores = await Promise.all([0, 1, 2].map((i) => openStoreOn({ url: server.url, project, engine: ENGINE_NAMES[i % 2]! }, network.platform)));
  let refused = 0;
  for (const store of stores) store.on('refused', () => refused++);
  const members = stores.map((store): Member => ({ store, drafts: [] }));
  stores[0]!.tx(fill);
  // All at once, so that only one of them is accepted.
  for (const store of stores) store.tx((t) => void t.insert('note', { id: 'same' }));
  for (let i = 0; i < STEPS; i++) {
    if (i === KILLED) await server.kill();
    if (i === BACK) {
      await server.start();
      network.wake();
    }
    step(random.pick(members), random);
    if (random.chance(0.3)) await new Promise((resolve) => setTimeout(resolve, random.below(8)));
  }
  network.heal();
  network.wake();
  for (const { drafts } of members) for (const draft of drafts) draft.cancel();
  await Promise.all(stores.map((store) => until(store, () => store.status.pending === 0 && store.status.connection === 'online')));
  return { members, network, project, refused };
}

function digestOf(file: Uint8Array): { rows: string; said: unknown; version: unknown } {
  const db = ENGINES[0]!.open(file);
  const [version, said] = db.get("SELECT hex(version), lower(hex(row_digest)) FROM _sharelite WHERE id=1")!;
  const rows = rowDigest(db);
  db.close();
  return { rows, said, version };
}

it(`gives every store the server's rows in ${ROUNDS} rounds of ${STEPS} steps on a bad network, the server killed once in each (S18)`, async () => {
  const totals = { commits: 0, lost: 0, twice: 0, swapped: 0, refused: 0 };
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const { members, network, project, refused } = await play(seed);
    const wanted = digestOf(await server.file(project));
    expect(wanted.said, `seed ${seed}: the server's own digest`).toBe(wanted.rows);
    const version = Number.parseInt(String(wanted.version), 16);
    for (const { store } of members) {
      await until(store, () => store.status.version === version);
      expect(digestOf(await store.export()).rows, `seed ${seed}`).toBe(wanted.rows);
      expect(store.status.problem).toBe(undefined);
      store.close();
    }
    // Loading again would put right whatever went wrong before, and nobody would know.
    expect(network.files, `seed ${seed}: files loaded`).toBe(members.length);
    totals.commits += version;
    totals.refused += refused;
    for (const what of ['lost', 'twice', 'swapped'] as const) totals[what] += network.did[what];
  }
  console.info(JSON.stringify(totals));
  // A fuzz in which nothing goes wrong proves nothing.
  expect(Math.min(...Object.values(totals))).toBeGreaterThan(0);
}, 120_000 + ROUNDS * 20_000);
