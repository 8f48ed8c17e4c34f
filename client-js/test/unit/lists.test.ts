import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/api.js';
import { storeLite, type StoreLite } from '../../src/lists/storelite.js';
import { from, type Where } from '../../src/lists/where.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

interface Annotation {
  id: string;
  name: string;
  order?: string;
  x: number;
  count?: number;
  locked: boolean;
  note?: string | null;
  tags: string[];
  label?: string | number;
  text: { content: string; font: { size: number; family: string } };
  anchor?: { target: string; offset: number };
  points: { id: string; x: number; y?: number }[];
}
interface Project { scene: { title: string; grid: { step: number } }; annotation: Annotation[]; todo: { id: number; title?: string; done: boolean }[] }

const QUOTED = 'a"b\'; DROP TABLE annotation; --';

describe.each(ENGINES)('lists and conditions on $name', (engine) => {
  async function opened(): Promise<{ server: FakeServer; store: Store; lite: StoreLite<Project, 'panel' | 'scene'>; ids(build: (w: Where<Annotation>) => unknown): string }> {
    const server = new FakeServer(engine, SCENE);
    const store = await storeOn(server);
    store.tx((t) => {
      t.insert('annotation', { id: 'a', name: 'Alpha', x: 5, locked: true, text: { font: { size: 20 } } });
      t.insert('annotation', { id: 'b', name: 'Beta', count: 2, anchor: { target: 'a' }, label: 3 });
      t.insert('annotation', { id: 'c', name: QUOTED, x: 12, count: 1, note: 'n_100%', anchor: { target: 'b', offset: 9 }, label: '3' });
      t.insert('annotation', { id: 'd', name: 'Delta', icon: new Uint8Array([1, 2]), tags: ['x'] });
    });
    await settled();
    const ids = (build: (w: Where<Annotation>) => unknown): string => from<Annotation>(store, 'annotation').where(build).read().map((row) => row.id).join('');
    return { server, store, lite: storeLite(store), ids };
  }

  it('finds rows by what they read as, defaults included (O5)', async () => {
    const { ids } = await opened();
    expect([ids((w) => w.eq('locked', true)), ids((w) => w.eq('locked', false)), ids((w) => w.notEq('x', 0)), ids((w) => w.eq('x', 0))]).toEqual(['a', 'bcd', 'ac', 'bd']);
    expect([ids((w) => w.moreThan('text.font.size', 12)), ids((w) => w.lessThanOrEq('text.font.size', 12))]).toEqual(['a', 'bcd']);
    // Where the object is absent its defaults do not count.
    expect([ids((w) => w.eq('anchor.offset', 5)), ids((w) => w.isNull('anchor.offset')), ids((w) => w.notNull('anchor.target'))]).toEqual(['b', 'ad', 'bc']);
    expect([ids((w) => w.betweenAnd('count', 1, 2)), ids((w) => w.in('id', ['d', 'a', 'nobody'])), ids((w) => w.notIn('id', ['d'])), ids((w) => w.in('id', []))]).toEqual(['bc', 'ad', 'abc', '']);
    expect([ids((w) => w.like('name', '%ta')), ids((w) => w.contains('note', '_100%')), ids((w) => w.like('note', 'n1%'))]).toEqual(['bd', 'c', '']);
    expect([ids((w) => w.eq('label', 3)), ids((w) => w.eq('label', '3'))]).toEqual(['b', 'c']);
    expect(ids((w) => w.orX((o) => o.eq('id', 'a').andX((both) => both.eq('count', 1).moreThanOrEq('x', 12))).lessThan('x', 100))).toBe('ac');
    expect([ids(() => undefined), ids((w) => w.orX(() => undefined))]).toEqual(['abcd', '']);
  });

  it('binds every value, whatever it holds, and knows only the contract\'s names (O5)', async () => {
    const { store, ids } = await opened();
    expect(ids((w) => w.eq('name', QUOTED))).toBe('c');
    const built = from<Annotation>(store, 'annotation').where((w) => w.eq('name', QUOTED).in('id', [QUOTED]).like('note', QUOTED)).limit(3, 1);
    expect(built.query.sql).not.toContain('DROP');
    expect(built.query.params).toEqual([QUOTED, QUOTED, QUOTED, 3, 1]);
    const untyped = from(store, 'annotation') as never as { where(build: (w: { eq(field: string, value: unknown): unknown }) => unknown): unknown; orderBy(field: string, direction: string): unknown; limit(count: unknown): unknown };
    expect(() => untyped.where((w) => w.eq('x" OR 1=1 --', 1))).toThrow('has no property');
    expect(() => untyped.where((w) => w.eq('x', 'five'))).toThrow('x must be a number');
    expect(() => untyped.orderBy('name', 'ASC; DROP TABLE annotation')).toThrow('ASC or DESC');
    expect(() => untyped.limit('1; DROP TABLE annotation')).toThrow('whole numbers');
    expect(() => from(store, 'annotation; DROP TABLE annotation')).toThrow('no table');
  });

  it('orders, groups, picks properties, and gives trees (O5)', async () => {
    const { store } = await opened();
    const annotations = (): ReturnType<typeof from<Annotation>> => from<Annotation>(store, 'annotation');
    expect(annotations().orderBy('x', 'DESC').orderBy('name').limit(3).read().map(({ id }) => id)).toEqual(['c', 'a', 'b']);
    expect(annotations().orderBy('name').limit(1, 1).readOne()).toMatchObject({ id: 'b', locked: false, tags: [], text: { font: { size: 12, family: 'sans' } }, anchor: { target: 'a', offset: 5 } });
    expect(annotations().select('id', 'locked', 'anchor.offset').where((w) => w.in('id', ['a', 'b'])).do()).toEqual([{ id: 'a', locked: true }, { id: 'b', locked: false, 'anchor.offset': 5 }]);
    expect(annotations().groupBy('locked').orderBy('locked').read()).toEqual([{ locked: false, count: 3 }, { locked: true, count: 1 }]);
  });

  it('tells who watches a condition only of other rows, and whose change it was (O2)', async () => {
    const { server, store } = await opened();
    const told: unknown[] = [];
    const leave = from<Annotation>(store, 'annotation').select('id', 'x').where((w) => w.moreThan('x', 3)).subscribe((rows, { origin, tag }) => told.push([rows.map((row) => row.id).join(''), origin, tag]));
    store.set('annotation/b/count', 7);
    store.set('annotation/b/x', 2);
    store.set('annotation/b/x', 9, { tag: 'panel' });
    server.commit([['u', 'annotation', ['a'], { x: null }]]);
    await settled();
    leave();
    store.set('annotation/a/x', 9);
    expect(told).toEqual([['ac', 'load', undefined], ['abc', 'local', 'panel'], ['bc', 'remote', undefined]]);
  });

  it('speaks StoreLite: dictionaries, lists, ids, tags (O6)', async () => {
    const { server, store, lite } = await opened();
    const told: [what: string, value: unknown, whose: string][] = [];
    const note = (what: string) => (value: unknown, { tag, origin }: { tag?: string; origin: string }) => void told.push([what, value, tag ?? origin]);
    const leave = [
      lite.subscribeDictionary('scene', note('scene')), lite.subscribeDictionary('scene', 'title', note('title')),
      lite.subscribeList('todo', (items, info) => note('list')(items.length, info)), lite.subscribeListItemById('todo', 1, note('item')),
      lite.subscribeListByIds('todo', [2, 1], (items, info) => note('ids')(items.map(({ id }) => id), info)),
      lite.rawSubscribe('SELECT count(*) AS n FROM todo WHERE id > ?', (rows, info) => note('raw')(rows[0]!.n, info), [0]),
    ];
    lite.setDictionary('scene', 'title', 'Plan', { tag: 'panel' });
    lite.setDictionary('scene', { grid: { step: 5 } });
    expect([lite.readDictionary('scene', 'title'), lite.readDictionary('scene', ({ grid }) => grid.step)]).toEqual(['Plan', 5]);
    lite.setListById('todo', [{ id: 1, title: 'One' }, { id: 2 }], { tag: 'scene' });
    lite.setListById('todo', { id: 1, done: true });
    expect([lite.readList('todo').length, lite.readListItemById('todo', 1), lite.readListByIds('todo', [2, 9])]).toEqual([2, { id: 1, title: 'One', done: true }, [{ id: 2, done: false }]]);
    lite.deleteDictionary('scene', 'title');
    lite.deleteListById('todo', [1, 2]);
    leave.forEach((one) => one());
    lite.setListById('todo', { id: 3 });
    await settled();
    expect(await lite.rawRead('SELECT id FROM todo')).toEqual([{ id: 3 }]);
    expect(server.pushes.slice(1, 5).map((push) => push.changes)).toEqual([
      [['u', 'scene', [1], { title: 'Plan' }]], [['u', 'scene', [1], { 'grid.step': 5 }]], [['i', 'todo', [1], { title: 'One' }], ['i', 'todo', [2], {}]], [['u', 'todo', [1], { done: 1 }]],
    ]);
    expect(told.filter(([what]) => what === 'title')).toEqual([['title', 'Plan', 'panel'], ['title', 'A scene', 'local']]);
    expect(told.filter(([what]) => what === 'raw')).toEqual([['raw', 0, 'load'], ['raw', 2, 'scene'], ['raw', 0, 'local']]);
    expect(told.filter(([what]) => what === 'ids').map(([, ids]) => ids)).toEqual([[2, 1], [2, 1], [2, 1], [], []]);
    expect(lite.select('annotation').where((w) => w.eq('locked', true)).do().map(({ id }) => id)).toEqual(['a']);
    expect(() => lite.setListById('scene' as never, {} as never)).toThrow('no list');
    expect(store.peek('scene')).toEqual({ title: 'A scene', grid: { step: 5 } });
  });
});
