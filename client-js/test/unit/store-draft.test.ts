import { describe, expect, it } from 'vitest';
import type { ChangeInfo, Store, Tree } from '../../src/api.js';
import { StoreError } from '../../src/errors.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

describe.each(ENGINES)('a draft on $name', (engine) => {
  async function opened(): Promise<{ server: FakeServer; store: Store; seen: [Tree | undefined, ChangeInfo['origin']][] }> {
    const server = new FakeServer(engine, SCENE);
    server.commit([
      ['i', 'annotation', ['a1'], { name: 'One', order: 'a0' }],
      ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
    ]);
    const store = await storeOn(server);
    const seen: [Tree | undefined, ChangeInfo['origin']][] = [];
    store.subscribe('annotation/a1/x', (value, info) => seen.push([value, info.origin]));
    return { server, store, seen };
  }

  it('drives every observer and sends nothing; cancelled, it was never there (S36)', async () => {
    const { server, store, seen } = await opened();
    const before = store.peek('annotation');
    const counts: unknown[] = [];
    store.subscribe({ sql: 'SELECT count(*) AS n FROM "annotation.points"' }, ([row]) => counts.push(row!.n));
    const draft = store.draft();
    draft.set('annotation/a1/x', 5);
    draft.tx((t) => {
      t.set('annotation/a1/points', [{ id: 'p9' }, { id: 'p1', x: 1 }]);
      t.insert('annotation', { id: 'a2', name: 'Two' });
    });
    expect(draft.changes).toEqual(expect.arrayContaining(['annotation/a1/x', 'annotation/a1/points/p9', 'annotation/a2']));
    draft.cancel();
    await settled();
    expect([seen, counts, server.pushes, draft.open]).toEqual([[[5, 'draft'], [0, 'draft']], [1, 2, 1], [], false]);
    expect(store.peek('annotation')).toEqual(before);
    expect(() => draft.set('annotation/a1/x', 1)).toThrow(StoreError);
  });

  it('is saved as one mutation with only what changed (S36)', async () => {
    const { server, store, seen } = await opened();
    const draft = store.draft();
    for (let x = 1; x <= 50; x++) draft.set('annotation/a1/x', x);
    draft.set('annotation/a1/count', 1);
    draft.set('annotation/a1/count', null);
    expect(draft.changes).toEqual(['annotation/a1/x']);
    expect(await draft.save({ tag: 'panel' })!.confirmed).toMatchObject({ kind: 'committed' });
    expect(server.pushes).toMatchObject([{ changes: [['u', 'annotation', ['a1'], { x: 50 }]], tag: 'panel' }]);
    expect(seen).toHaveLength(50);
    const untouched = store.draft();
    untouched.set('annotation/a1/x', 50);
    expect(untouched.save()).toBeUndefined();
    expect(server.pushes).toHaveLength(1);
  });

  it('is checked when it is saved, and stays open if it is not valid (S36)', async () => {
    const { server, store } = await opened();
    const draft = store.draft();
    draft.set('annotation/a1/anchor/offset', 3);
    expect(() => draft.save()).toThrow(/anchor\/target/);
    expect([draft.open, store.peek('annotation/a1/anchor')]).toEqual([true, { offset: 3 }]);
    draft.set('annotation/a1/anchor/target', 'a9');
    await draft.save()!.confirmed;
    expect(server.pushes).toMatchObject([{ changes: [['u', 'annotation', ['a1'], { 'anchor.offset': 3, 'anchor.target': 'a9' }]] }]);
  });

  it('lies above what others write meanwhile, also over a reconnect and a reload (S36)', async () => {
    const { server, store, seen } = await opened();
    const draft = store.draft();
    draft.set('annotation/a1/x', 5);
    server.commit([['u', 'annotation', ['a1'], { x: 8, count: 2 }]]);
    await settled();
    server.say({ type: 'reset', reason: 'the cursor is too old', image: null });
    await settled();
    await settled();
    expect([store.peek('annotation/a1/x'), store.peek('annotation/a1/count'), seen.length]).toEqual([5, 2, 1]);
    const other = store.set('annotation/a1/count', 3);
    expect(store.peek('annotation/a1/x')).toBe(5);
    await other.confirmed;
    draft.cancel();
    expect([store.peek('annotation/a1/x'), store.peek('annotation/a1/count')]).toEqual([8, 3]);
    expect(server.pushes.map((push) => push.changes)).toEqual([[['u', 'annotation', ['a1'], { count: 3 }]]]);
  });

  it('can be asked by observers of what they hear of while it is saved or cancelled, and again when it is reopened (S36)', async () => {
    const { server, store } = await opened();
    const heard: unknown[] = [];
    let draft = store.draft();
    store.subscribe('annotation/a1', () => heard.push([draft.open, draft.changes, draft.conflicts, draft.lost, draft.faults]));
    draft.set('annotation/a1/x', 5);
    draft.cancel();
    draft = store.draft();
    draft.set('annotation/a1/x', 6);
    server.judge = () => 'invalid';
    draft.save();
    const over = [false, [], [], [], []], changed = [true, ['annotation/a1/x'], [], [], []];
    await settled();
    draft.reopen();
    expect([heard.slice(0, 3), draft.changes]).toEqual([[changed, over, changed], ['annotation/a1/x']]);
    draft.cancel();
    expect(heard.at(-1)).toEqual(over);
  });

  it('goes on through minutes without a connection in the middle of a drag, and is one mutation with only what it changed (S36)', async () => {
    const { server, store, seen } = await opened();
    const draft = store.draft();
    for (let x = 1; x <= 20; x++) draft.set('annotation/a1/x', x);
    server.reachable = false;
    await server.drop();
    server.commit([['u', 'annotation', ['a1'], { x: 500, count: 7 }]], { by: 'ben' });
    for (let x = 21; x <= 40; x++) {
      draft.set('annotation/a1/x', x);
      await server.clock.advance(15_000);
      await settled();
    }
    expect([store.status.connection, store.peek('annotation/a1/x'), seen.length]).toEqual(['offline', 40, 40]);
    server.reachable = true;
    for (let i = 0; i < 10; i++) {
      await server.clock.advance(10_000);
      await settled();
    }
    expect([store.status.connection, store.peek('annotation/a1/x'), store.peek('annotation/a1/count')]).toEqual(['online', 40, 7]);
    expect(draft.conflicts).toMatchObject([{ path: 'annotation/a1/x', theirs: 500, mine: 40, by: 'ben' }]);
    draft.resolve('annotation/a1/x', 'mine');
    await draft.save()!.confirmed;
    expect(server.pushes.map((push) => push.changes)).toEqual([[['u', 'annotation', ['a1'], { x: 40 }]]]);
  });
});
