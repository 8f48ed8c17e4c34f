/** Three people with drafts and undo on the real server, over a bad network, the server killed meanwhile. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Store } from '../../src/api.js';
import { move } from '../../src/lists/move.js';
import { openStoreOn } from '../../src/store/open.js';
import { ENGINES } from '../engines.js';
import { contractWith } from '../fuzz/editors.js';
import { Network } from '../fuzz/flaky.js';
import { Random } from '../fuzz/random.js';
import { RunningServer } from '../fuzz/running.js';
import { STEPS, play, until } from './playing.js';

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 1);
const FROM = Number(process.env['FUZZ_FROM'] ?? 1);
/** So many histories share one death of the server. */
const SIDE = 10;

const server = new RunningServer();
beforeAll(() => server.start());
afterAll(() => server.end());

it(`converges on the real server, and undo takes back nothing of others, in ${ROUNDS} histories of ${STEPS} steps (S18, U2, U3)`, async () => {
  const total = { undone: 0, lost: 0 };
  for (let seed = FROM; seed < FROM + ROUNDS; seed += SIDE) {
    const seeds = Array.from({ length: Math.min(SIDE, FROM + ROUNDS - seed) }, (_, n) => seed + n);
    for (const history of await play(server, seeds)) {
      expect(await history.broken(), `seed ${history.seed}`).toBe(undefined);
      history.close();
      total.undone += history.did.undone;
      total.lost += history.network.did.lost;
    }
  }
  // Not each history has both; a run in which nothing goes wrong proves nothing.
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
