import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ChangeInfo, Store } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const X = 'annotation/a1/x';

describe.each(ENGINES)('observers on $name', (engine) => {
  afterEach(() => vi.restoreAllMocks());

  async function opened(): Promise<{ server: FakeServer; store: Store; frame(): Promise<void> }> {
    const server = new FakeServer(engine, SCENE);
    server.commit(['a1', 'a2', 'a3'].map((key, at) => ['i', 'annotation', [key], { name: key, order: `a${at}` }] as never));
    return { server, store: await storeOn(server), frame: () => server.clock.advance(16) };
  }

  it('may be told once in a frame: the newest value, whose it is, and every path (O1)', async () => {
    const { server, store, frame } = await opened();
    const told: unknown[] = [];
    const note = (value: unknown, { origin, tag, paths }: ChangeInfo): void => void told.push([value, origin, tag, paths]);
    store.subscribe(X, note, { when: 'frame' });
    store.subscribe({ rows: 'annotation' }, note, { when: 'frame' });
    store.subscribe({ sql: 'SELECT max(x) AS m FROM annotation' }, ([row], { origin }) => told.push([row!.m, origin]), { when: 'frame' });
    const draft = store.draft();
    for (let x = 1; x <= 50; x++) draft.set(X, x);
    server.commit([['u', 'annotation', ['a2'], { x: 90 }]], { tag: 'theirs' });
    await settled();
    draft.set(X, 51);
    expect([told, store.peek(X)]).toEqual([[[null, 'load']], 51]);
    await frame();
    expect(told.slice(1)).toEqual([[51, 'draft', undefined, [X]], [undefined, 'draft', undefined, ['annotation/a1', 'annotation/a2']], [90, 'remote']]);
    await frame();
    expect(told).toHaveLength(4);
  });

  it('hear nothing in a frame of what came and went, nor after they left or the store closed (O1)', async () => {
    const { store, frame } = await opened();
    const told: unknown[] = [];
    const leave = ['annotation/a1', X, 'annotation', 'annotation/a2'].map((path) => store.subscribe(path, (value) => told.push([path, value]), { when: 'frame' }));
    const draft = store.draft();
    draft.set(X, 5);
    draft.cancel();
    await frame();
    expect(told).toEqual([]);
    store.set('annotation/a2/x', 1);
    leave[3]!();
    leave[2]!();
    await frame();
    expect(told).toEqual([]);
    store.set(X, 1);
    store.close();
    await frame();
    expect(told).toEqual([]);
  });

  it('throw, leave and write in a frame without stopping the others (O1)', async () => {
    const { store, frame } = await opened();
    const reported = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const told: unknown[] = [];
    store.subscribe(X, () => {
      throw new Error('a panel fell over');
    }, { when: 'frame' });
    store.subscribe(X, (value) => {
      leave();
      if (value === 1) store.set(X, 2);
    }, { when: 'frame' });
    const leave = store.subscribe(X, () => told.push('left'), { when: 'frame' });
    store.subscribe(X, (value) => told.push(value), { when: 'frame' });
    store.set(X, 1);
    await frame();
    await frame();
    expect([told.filter((one) => one !== 2), reported.mock.calls.length]).toEqual([[], 2]);
    expect(told).toContain(2);
  });

  it('hear only real differences after a rebase, with where each comes from (O3)', async () => {
    const { server, store } = await opened();
    const told: unknown[] = [];
    for (const path of [X, 'annotation/a2/x', 'annotation/a3/x']) store.subscribe(path, (value, { origin, tag, by }) => told.push([path, value, origin, tag, by]));
    server.holding = true;
    server.judge = (push) => (JSON.stringify(push.changes).includes('"a3"') ? 'invalid' : undefined);
    store.set(X, 5, { tag: 'mine' });
    store.set('annotation/a3/x', 7);
    server.commit([['u', 'annotation', ['a2'], { x: 9 }]], { tag: 'theirs' });
    server.holding = false;
    server.announce();
    await settled();
    expect(told).toEqual([
      [X, 5, 'local', 'mine', undefined], ['annotation/a3/x', 7, 'local', undefined, undefined],
      ['annotation/a2/x', 9, 'remote', 'theirs', 'anna'], ['annotation/a3/x', 0, 'rebase', undefined, undefined],
    ]);
  });

  it('are ten thousand, and a change finds those it concerns (O4)', async () => {
    const { store, frame } = await opened();
    let told = 0;
    const leave: (() => void)[] = [];
    for (let i = 0; i < 10_000; i++) {
      const path = i % 10 === 0 ? X : `annotation/${['a1', 'a2', 'a3'][i % 3]}/text/font/size`;
      leave.push(store.subscribe(path, () => told++, { when: i % 2 === 0 ? 'now' : 'frame' }));
    }
    store.set(X, 5);
    expect(told).toBe(1000);
    store.set('annotation/a2/text/font/size', 20);
    await frame();
    expect(told).toBe(1000 + 3000);
    leave.forEach((one) => one());
    store.set(X, 6);
    await frame();
    expect(told).toBe(4000);
  });
});
