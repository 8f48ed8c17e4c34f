import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ChangeInfo, Store, Tree } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

type Calls = [value: Tree | undefined, paths: string[]][];

describe.each(ENGINES)('subscriptions on $name', (engine) => {
  async function opened(): Promise<{ server: FakeServer; store: Store; watch(path: string): Calls }> {
    const server = new FakeServer(engine, SCENE);
    server.commit([
      ...[1, 2, 3].map((n) => ['i', 'annotation', [`a${n}`], { name: `N${n}`, order: `a${n}` }] as never),
      ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
      ['i', 'annotation.points', ['a1', 'p2'], { _order: 'a1', x: 2 }],
    ]);
    const store = await storeOn(server);
    const watch = (path: string): Calls => {
      const calls: Calls = [];
      store.subscribe(path, (value, info) => calls.push([value, info.paths]));
      return calls;
    };
    return { server, store, watch };
  }

  it('tells those at or above a property, and nobody beside it (S26)', async () => {
    const { store, watch } = await opened();
    const [leaf, font, row, list, other, beside] = ['annotation/a1/text/font/size', 'annotation/a1/text', 'annotation/a1', 'annotation', 'annotation/a2', 'annotation/a1/x'].map(watch);
    store.set('annotation/a1/text/font/size', 20);
    const path = ['annotation/a1/text/font/size'];
    expect(leaf).toEqual([[20, path]]);
    expect(font).toEqual([[{ content: '', font: { size: 20, family: 'sans' } }, path]]);
    expect(row).toMatchObject([[{ id: 'a1', text: { font: { size: 20 } } }, path]]);
    expect(list).toMatchObject([[[{ id: 'a1', text: { font: { size: 20 } } }, { id: 'a2' }, { id: 'a3' }], path]]);
    expect([other, beside]).toEqual([[], []]);
  });

  it('follows nested lists from every height (S26)', async () => {
    const { store, watch } = await opened();
    const [point, points, row, list] = ['annotation/a1/points/p2/x', 'annotation/a1/points', 'annotation/a1', 'annotation'].map(watch);
    store.set('annotation/a1/points/p2/x', 9);
    for (const calls of [point, points, row, list]) expect(calls!.map(([, paths]) => paths)).toEqual([['annotation/a1/points/p2/x']]);
    store.set('annotation/a1/points', [{ id: 'p2', x: 9 }, { id: 'p1', x: 1 }]);
    expect(points!.at(-1)).toMatchObject([[{ id: 'p2' }, { id: 'p1' }], ['annotation/a1/points']]);
    expect(row!.at(-1)![1]).toEqual(['annotation/a1/points']);
    expect(point).toHaveLength(1);
    store.tx((t) => t.delete('annotation/a1'));
    expect([point!.at(-1), points!.at(-1), row!.at(-1)]).toEqual([
      [undefined, ['annotation/a1/points/p2/x']], [undefined, ['annotation/a1/points']], [undefined, ['annotation/a1']],
    ]);
    expect(list!.at(-1)).toMatchObject([[{ id: 'a2' }, { id: 'a3' }], ['annotation/a1']]);
  });

  it('keeps a list in its order, and shares what did not change (S26)', async () => {
    const { server, store, watch } = await opened();
    const list = watch('annotation');
    const before = store.peek('annotation') as Tree[];
    server.commit([['u', 'annotation', ['a3'], { order: 'Zz' }], ['i', 'annotation', ['a4'], { name: 'N4', order: 'a9' }], ['d', 'annotation', ['a2']]]);
    await settled();
    expect(list).toHaveLength(1);
    const [now, paths] = list[0]!;
    expect((now as { id: string }[]).map((item) => item.id)).toEqual(['a3', 'a1', 'a4']);
    expect([...paths].sort()).toEqual(['annotation', 'annotation/a2', 'annotation/a3/order', 'annotation/a4']);
    expect((now as Tree[])[1]).toBe(before[0]);
    expect(store.peek('annotation')).toEqual(now);
    expect(Object.isFrozen(now) && Object.isFrozen((now as Tree[])[0])).toBe(true);
  });

  it('counts the defaults of an object only where it is there (S26)', async () => {
    const { store, watch } = await opened();
    const offset = watch('annotation/a1/anchor/offset');
    const anchor = watch('annotation/a1/anchor');
    store.set('annotation/a1/anchor', { target: 'a2' });
    store.set('annotation/a1/anchor', null);
    expect(offset.map(([value]) => value)).toEqual([5, undefined]);
    expect(anchor.map(([value]) => value)).toEqual([{ target: 'a2', offset: 5 }, undefined]);
  });

  it('says nothing where nothing differs: equal writes, own commits, others that end where they began (S27)', async () => {
    const { server, store, watch } = await opened();
    const calls = watch('annotation');
    store.set('annotation/a1/x', 0);
    store.set('annotation/a1/name', 'N1');
    server.holding = true;
    store.set('annotation/a1/x', 5);
    expect(calls).toHaveLength(1);
    server.commit([['u', 'annotation', ['a2'], { x: 4 }]]);
    server.commit([['u', 'annotation', ['a2'], { x: null }]]);
    server.holding = false;
    server.announce();
    await settled();
    expect(store.status).toMatchObject({ pending: 0 });
    expect(calls).toHaveLength(1);
  });

  it('keeps the own pending edit above what others write, and shows theirs when it is refused (S27)', async () => {
    const { server, store } = await opened();
    const calls: [Tree | undefined, ChangeInfo][] = [];
    store.subscribe('annotation/a1/x', (value, info) => calls.push([value, info]));
    const refused = vi.fn();
    store.on('refused', refused);
    server.judge = () => 'forbidden';
    server.censor = (text) => (text.includes('refused') ? undefined : text);
    const sent = store.set('annotation/a1/x', 5);
    server.commit([['u', 'annotation', ['a1'], { x: 8 }]]);
    await settled();
    expect(calls.map(([value]) => value)).toEqual([5]);
    server.censor = (text) => text;
    server.say({ type: 'refused', id: sent.id, version: 3, code: 'forbidden', message: 'no', errors: [] });
    expect(await sent.confirmed).toMatchObject({ kind: 'refused', refusal: { code: 'forbidden' } });
    expect(calls.at(-1)).toEqual([8, { origin: 'rebase', paths: ['annotation/a1/x'] }]);
    expect(refused).toHaveBeenCalledOnce();
  });

  it('runs a query again only for columns it reads, and tells only other rows (S28)', async () => {
    const { server, store } = await opened();
    const rows: unknown[] = [];
    const counts: unknown[] = [];
    store.subscribe({ sql: 'SELECT id, name FROM annotation WHERE name <> ? ORDER BY "order"', params: ['N3'] }, (found) => rows.push(found));
    store.subscribe({ sql: 'SELECT count(*) AS n FROM "annotation.points"' }, (found) => counts.push(found));
    expect([rows, counts]).toEqual([[[{ id: 'a1', name: 'N1' }, { id: 'a2', name: 'N2' }]], [[{ n: 2 }]]]);
    store.set('annotation/a1/x', 7);
    store.set('annotation/a1/points/p1/x', 7);
    store.set('annotation/a3/text/content', 'quiet');
    expect([rows.length, counts.length]).toEqual([1, 1]);
    server.commit([['u', 'annotation', ['a2'], { name: 'Two' }], ['d', 'annotation.points', ['a1', 'p1']]]);
    await settled();
    expect([rows.at(-1), counts.at(-1)]).toEqual([[{ id: 'a1', name: 'N1' }, { id: 'a2', name: 'Two' }], [{ n: 1 }]]);
    store.set('annotation/a3/name', 'Three');
    expect(rows).toHaveLength(3);
  });

  it('reads through joins, views and indexes what a query depends on (S28)', async () => {
    const { store } = await opened();
    const sums: unknown[] = [];
    store.subscribe({ sql: 'SELECT a.name, total(p.x) AS s FROM annotation a JOIN "annotation.points" p ON p."_parent.id" = a.id GROUP BY a.id' }, (found) => sums.push(found));
    store.set('annotation/a1/points/p1/y', 3);
    expect(sums).toHaveLength(1);
    store.set('annotation/a1/points/p1/x', 3);
    store.set('annotation/a1/name', 'First');
    expect(sums.slice(1)).toEqual([[{ name: 'N1', s: 5 }], [{ name: 'First', s: 5 }]]);
  });

  describe('callbacks', () => {
    afterEach(() => vi.restoreAllMocks());

    it('that throw are reported and stop nobody (S29)', async () => {
      const { store, watch } = await opened();
      const reported = vi.spyOn(console, 'error').mockImplementation(() => undefined);
      const problem = new Error('a panel fell over');
      store.subscribe('annotation/a1/x', () => {
        throw problem;
      });
      const calls = watch('annotation/a1/x');
      store.set('annotation/a1/x', 2);
      expect(calls).toHaveLength(1);
      expect(reported.mock.calls).toEqual([[problem]]);
    });

    it('may subscribe, leave and write; all see the states in order (S29)', async () => {
      const { store } = await opened();
      const seen: string[] = [];
      const leave = store.subscribe('annotation/a1/x', (value) => {
        seen.push(`first ${String(value)}`);
        leaveOther();
        if (value === 2) store.set('annotation/a1/x', 3);
        store.subscribe('annotation/a1/x', (later) => seen.push(`later ${String(later)}`));
        if (value === 3) leave();
      });
      const leaveOther = store.subscribe('annotation/a1/x', () => seen.push('other'));
      store.subscribe('annotation/a1/x', (value) => seen.push(`last ${String(value)}`));
      store.set('annotation/a1/x', 2);
      expect(seen).toEqual(['first 2', 'last 2', 'first 3', 'last 3']);
      store.set('annotation/a1/x', 4);
      expect(seen.slice(4)).toEqual(['last 4', 'later 4', 'later 4']);
    });
  });
});
