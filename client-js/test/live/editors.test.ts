/** Three people with drafts and undo on the real server, over a bad network, the server killed meanwhile. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Store } from '../../src/api.js';
import { rowDigest } from '../../src/core/digest.js';
import { move } from '../../src/lists/move.js';
import { openStoreOn } from '../../src/store/open.js';
import { ENGINES } from '../engines.js';
import { contractWith, personOf, personStep, type Person, type Stage } from '../fuzz/editors.js';
import { Network } from '../fuzz/flaky.js';
import { Random } from '../fuzz/random.js';
import { RunningServer } from '../fuzz/running.js';

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 1);
const STEPS = 160;
const PATIENCE = 60_000;

const server = new RunningServer();
beforeAll(() => server.start());
afterAll(() => server.end());

/** Resolves when the status of the store says so. */
function until(store: Store, holds: () => boolean): Promise<void> {
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

async function calm(people: readonly Person[]): Promise<void> {
  for (const { store } of people) await until(store, () => store.status.pending === 0 && store.status.connection === 'online');
  const version = Math.max(...people.map(({ store }) => store.status.version));
  for (const { store } of people) await until(store, () => store.status.version >= version);
}

function digestOf(file: Uint8Array): string {
  const db = ENGINES[0]!.open(file);
  const digest = rowDigest(db);
  db.close();
  return digest;
}

const shown = ({ store }: Person): string => JSON.stringify(store.peek('note'));

async function play(seed: number): Promise<{ stage: Stage; network: Network; project: string }> {
  const network = new Network(new Random(seed));
  const project = await server.create(`editors ${seed}`, contractWith({ extra: { type: 'integer' } }));
  const did: Stage['did'] = { undone: 0, left: 0, late: 0, refused: 0, conflicts: 0, lost: 0, nested: 0 };
  let value = 1;
  const stage: Stage = { people: [], did, fresh: () => value++, column: (n) => ['a', 'b', 'c', 'extra'][n % 4]! };
  for (let i = 0; i < 3; i++) stage.people.push(personOf(await openStoreOn({ url: server.url, project, engine: ENGINES[i % 2]!.name }, network.platform), did));
  stage.people[0]!.store.tx((t) => ['x', 'y'].forEach((id) => t.insert('note', { id, points: [{ id: 'p' }] })));
  for (const [at, step] of fc.sample(personStep, { seed, numRuns: STEPS }).entries()) {
    if (at === 60) await server.kill();
    if (at === 70) {
      await server.start();
      network.wake();
    }
    step(stage);
    if (at % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 3));
  }
  network.heal();
  network.wake();
  for (const { drafts } of stage.people) for (const draft of drafts) draft.cancel();
  await calm(stage.people);
  return { stage, network, project };
}

it(`converges on the real server, and undoing far and redoing back changes nothing, in ${ROUNDS} rounds of ${STEPS} steps (S18, U3)`, async () => {
  const total = { undone: 0, lost: 0 };
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const { stage, network, project } = await play(seed);
    for (const person of stage.people) {
      const before = shown(person);
      let count = 0;
      while (person.undo.canUndo) if (person.undo.undo().done) count++;
      await calm(stage.people);
      while (count-- > 0) person.undo.redo();
      await calm(stage.people);
      expect(shown(person), `seed ${seed}`).toBe(before);
    }
    const wanted = digestOf(await server.file(project));
    for (const { store, undo } of stage.people) {
      expect(digestOf(await store.export()), `seed ${seed}`).toBe(wanted);
      undo.close();
      store.close();
    }
    // Loading again would put right whatever went wrong before, and nobody would know.
    expect(network.files, `seed ${seed}: files loaded`).toBe(3);
    total.undone += stage.did.undone;
    total.lost += network.did.lost;
  }
  // Not each round has both; a run in which nothing goes wrong proves nothing.
  expect(Math.min(total.undone, total.lost)).toBeGreaterThan(0);
}, 120_000 + ROUNDS * 30_000);

it('refuses at the server a circle that two people make together (S102)', async () => {
  const id = { type: 'string' };
  const group = { type: 'array', 'x-sql': { tree: 'parent', order: 'rank' }, items: { type: 'object', required: ['id'], properties: { id, rank: { type: 'string' }, parent: { ...id, 'x-sql': { references: 'group' } } } } };
  const project = await server.create('circle', { type: 'object', properties: { group } });
  const network = new Network(new Random(1));
  network.heal();
  const [anna, ben] = await Promise.all([0, 1].map((i) => openStoreOn({ url: server.url, project, engine: ENGINES[i]!.name }, network.platform))) as [Store, Store];
  await anna.tx((t) => ['r', 's', 't'].forEach((name) => t.insert('group', { id: name }))).confirmed;
  await until(ben, () => ben.status.version === anna.status.version);
  const sent = [anna.tx((t) => void move(anna, t, 'group/s', { under: 'group/t' })), ben.tx((t) => void move(ben, t, 'group/t', { under: 'group/s' }))];
  const answers = await Promise.all(sent.map((one) => one.confirmed));
  expect(answers.map((answer) => (answer.kind === 'refused' ? answer.refusal.code : answer.kind)).sort()).toEqual(['committed', 'cycle']);
  expect(answers.find((answer) => answer.kind === 'refused')).toMatchObject({ refusal: { errors: [{ path: expect.stringMatching(/^group\/[st]\/parent$/) }] } });
  await until(ben, () => ben.status.version === anna.status.version);
  expect(anna.peek('group')).toEqual(ben.peek('group'));
  anna.close();
  ben.close();
});

it('loses nothing of a drag in which the server was killed (S36, S40)', async () => {
  const project = await server.create('drag', contractWith({}));
  const network = new Network(new Random(2));
  network.heal();
  const [anna, ben] = await Promise.all([0, 1].map((i) => openStoreOn({ url: server.url, project, engine: ENGINES[i]!.name }, network.platform))) as [Store, Store];
  await anna.tx((t) => void t.insert('note', { id: 'x' })).confirmed;
  const draft = anna.draft('note/x');
  for (let n = 1; n <= 20; n++) draft.set('note/x/a', n);
  await server.kill();
  await until(anna, () => anna.status.connection !== 'online');
  for (let n = 21; n <= 40; n++) draft.set('note/x/a', n);
  const sent = draft.save()!;
  await server.start();
  network.wake();
  expect(await sent.confirmed).toMatchObject({ kind: 'committed' });
  await until(ben, () => ben.status.version === anna.status.version);
  expect([ben.peek('note/x/a'), draft.state]).toEqual([40, 'saved']);
  anna.close();
  ben.close();
});
