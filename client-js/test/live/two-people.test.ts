/** Two stores on the real server, over real sockets: what an editor would see. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { OpenOptions, Outcome, Status, Store, Tree } from '../../src/api.js';
import { openStoreOn } from '../../src/store/open.js';
import type { Socket } from '../../src/sync/platform.js';
import { SCENE } from '../fake/contract.js';
import { RunningServer } from '../fuzz/running.js';

const contract = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(`../../../contracts/${name}.schema.json`, import.meta.url), 'utf8')) as Record<string, unknown>;

const server = new RunningServer();
beforeAll(() => server.start());
afterAll(() => server.end());

const stores: Store[] = [];
afterEach(() => stores.splice(0).forEach((store) => store.close()));

/** Each test has a project of its own. */
async function opened(options: Partial<OpenOptions> & Pick<OpenOptions, 'project'>): Promise<Store> {
  const socket = (url: string): Socket => new WebSocket(url) as unknown as Socket;
  const store = await openStoreOn({ url: server.url, ...options }, { socket });
  stores.push(store);
  await until(store, ({ connection }) => connection === 'online');
  return store;
}

function until(store: Store, holds: (status: Status) => boolean): Promise<void> {
  return new Promise((resolve) => {
    if (holds(store.status)) return resolve();
    const leave = store.on('status', (status) => {
      if (!holds(status)) return;
      leave();
      resolve();
    });
  });
}

/** The next value that a subscriber of the path is told. */
const next = (store: Store, path: string): Promise<Tree | undefined> =>
  new Promise((resolve) => {
    const leave = store.subscribe(path, (value) => {
      leave();
      resolve(value);
    });
  });

describe('two people on one project', () => {
  it('make it by name and see each other write, on both engines (S40)', async () => {
    const anna = await opened({ project: 'name:Shared', contract: contract('todo') });
    const ben = await opened({ project: 'name:Shared', engine: 'sqljs' });
    expect(ben.contract.hash).toBe(anna.contract.hash);
    const heard = next(ben, 'todo');
    const sent = anna.tx((t) => void t.insert('todo', { id: 'milk', title: 'Milk' }));
    expect(await heard).toEqual([{ id: 'milk', title: 'Milk', done: false, order: 'a0' }]);
    const done = next(anna, 'todo/milk/done');
    ben.set('todo/milk/done', true);
    expect(await done).toBe(true);
    expect(await sent.confirmed).toMatchObject({ kind: 'committed', id: [anna.status.client, 1] });
  });

  it('see trees of the whole contract alike, and a draft only once it is saved (S40)', async () => {
    const project = await server.create('Trees', SCENE);
    const [anna, ben] = [await opened({ project }), await opened({ project, engine: 'sqljs' })];
    const draft = anna.draft();
    draft.tx((t) => {
      t.insert('annotation', {
        id: 'a1', name: 'Größe 🌍', count: 9007199254740993n, label: 7, icon: 'AAEC', tags: ['b', 'a'], anchor: { target: 'x' },
        points: [{ id: 'p1', y: 0.1, marks: [{ size: 1 }, { size: 2 }] }, { id: 'p0' }],
      });
      t.set('scene', { title: 'Ours', grid: { step: 1e-7 } });
    });
    expect(ben.peek('annotation')).toEqual([]);
    const heard = next(ben, 'annotation');
    await draft.save()!.confirmed;
    await heard;
    expect(ben.peek('annotation')).toEqual(anna.peek('annotation'));
    expect(ben.peek('annotation/a1')).toMatchObject({ count: 9007199254740993n, label: 7, points: [{ id: 'p1', marks: [{ size: 1 }, { size: 2 }] }, { id: 'p0' }] });
    expect(ben.peek('scene')).toEqual({ title: 'Ours', grid: { step: 1e-7 } });
    const moved = next(ben, 'annotation/a1/points');
    anna.set('annotation/a1/points', [...(anna.peek('annotation/a1/points') as Tree[])].reverse());
    expect((await moved as { id: string }[]).map(({ id }) => id)).toEqual(['p0', 'p1']);
  });

  it('see a mutation of more than a megabyte, which goes by POST and comes in parts (S40)', async () => {
    const project = await server.create('Large', contract('todo'));
    const [anna, ben] = [await opened({ project }), await opened({ project })];
    const arrived = next(ben, 'todo');
    const sent = anna.tx((t) => {
      for (let i = 0; i < 3000; i++) t.insert('todo', { id: `t${i}`, title: `${'ä'.repeat(300)} ${i}`, order: 'a0' });
    });
    const after = anna.set('todo/t1/done', true);
    expect(((await arrived) as Tree[]).length).toBe(3000);
    expect(await sent.confirmed).toMatchObject({ kind: 'committed' });
    expect(await after.confirmed).toMatchObject({ kind: 'committed' });
  });

  it('see who is there, and hear signals (S40)', async () => {
    const project = await server.create('People', contract('todo'));
    const [anna, ben] = [await opened({ project }), await opened({ project })];
    const seen = new Promise<unknown>((resolve) => ben.presence.subscribe((peers) => resolve([...peers])));
    anna.presence.set({ at: [1, 2] });
    expect(await seen).toEqual([[anna.status.client, { user: expect.any(String), state: { at: [1, 2] } }]]);
    const heard = new Promise((resolve) => anna.onSignal('look', (data, from) => resolve([data, from])));
    ben.signal('look', { here: 1 });
    expect(await heard).toEqual([{ here: 1 }, ben.status.client]);
    const gone = new Promise<number>((resolve) => ben.presence.subscribe((peers) => resolve(peers.size)));
    anna.close();
    expect(await gone).toBe(0);
  });

  it('are told by the server what a push may not do, and it disappears (S40)', async () => {
    const project = await server.create('Refused', SCENE);
    const [anna, ben] = [await opened({ project }), await opened({ project })];
    await anna.tx((t) => void t.insert('annotation', { id: 'a1', name: 'One' })).confirmed;
    await until(ben, ({ version }) => version === anna.status.version);
    const expect1 = [{ kind: '=' as const, table: 'annotation', key: ['a1'], cells: { x: 77 } }];
    const sent = ben.set('annotation/a1/x', 5, { expect: expect1 });
    expect(await sent.confirmed).toMatchObject({ kind: 'refused', refusal: { code: 'conflict' } });
    expect(ben.peek('annotation/a1/x')).toBe(0);
  });

  it('go on after the server was killed, losing nothing that was written meanwhile (S40)', async () => {
    const project = await server.create('Killed', contract('todo'));
    const [anna, ben] = [await opened({ project }), await opened({ project, engine: 'sqljs' })];
    const answers: Promise<Outcome>[] = [];
    const write = (id: string): void => void answers.push(anna.tx((t) => void t.insert('todo', { id, title: id })).confirmed);
    for (let i = 0; i < 20; i++) write(`before${i}`);
    await answers[5];
    await server.kill();
    await until(anna, ({ connection }) => connection !== 'online');
    for (let i = 0; i < 20; i++) write(`while${i}`);
    expect(anna.peek('todo')).toHaveLength(40);
    await server.start();
    const given = await Promise.all(answers);
    expect(new Set(given.map(({ kind }) => kind))).not.toContain('refused');
    await until(ben, ({ version }) => version === anna.status.version);
    expect(ben.peek('todo')).toEqual(anna.peek('todo'));
    expect(anna.peek('todo')).toHaveLength(40);
  });
});
