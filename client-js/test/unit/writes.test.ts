import { describe, expect, it } from 'vitest';
import type { Store, Tree } from '../../src/api.js';
import { StoreError } from '../../src/errors.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const changesOf = (server: FakeServer): unknown => server.pushes.at(-1)!.changes;

function refusal(fn: () => unknown): StoreError {
  try {
    fn();
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError);
    return error as StoreError;
  }
  throw new Error('it was not refused');
}

describe.each(ENGINES)('writing trees on $name', (engine) => {
  async function opened(): Promise<{ server: FakeServer; store: Store }> {
    const server = new FakeServer(engine, SCENE);
    server.commit([
      ['i', 'annotation', ['a1'], { name: 'One', order: 'a0', x: 3 }],
      ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
      ['i', 'annotation.points', ['a1', 'p2'], { _order: 'a1', x: 2 }],
      ['i', 'annotation.points', ['a1', 'p3'], { _order: 'a2', x: 3 }],
    ]);
    return { server, store: await storeOn(server) };
  }

  it('makes a row with everything in it, at the end of its list (S22)', async () => {
    const { server, store } = await opened();
    let path = '';
    await store.tx((t) => {
      path = t.insert('annotation', {
        id: 'b/2', name: 'Two', locked: true, tags: ['x', 'a'], icon: 'AAEC', label: 7, text: { content: '', font: { size: 20 } },
        anchor: { target: 'a1' }, points: [{ id: 'q', y: 1.5, marks: [{ size: 4 }] }],
      });
    }).confirmed;
    expect(path).toBe('annotation/b%2F2');
    expect(changesOf(server)).toMatchObject([
      ['i', 'annotation', ['b/2'], { name: 'Two', order: 'a1', locked: 1, tags: '["x","a"]', icon: { $b: 'AAEC' }, label: 7, 'text.font.size': 20, 'anchor.target': 'a1' }],
      ['i', 'annotation.points', ['b/2', 'q'], { y: 1.5, _order: 'a0' }],
      ['i', 'annotation.points.marks', ['b/2', 'q', expect.any(String)], { size: 4, _order: 'a0' }],
    ]);
    const shown = store.peek(path) as { anchor: Tree; icon: Tree; points: { marks: { _id: string }[] }[] };
    expect(shown).toMatchObject({ anchor: { target: 'a1', offset: 5 }, icon: 'AAEC', tags: ['x', 'a'], locked: true });
    const mark = shown.points[0]!.marks[0]!;
    expect(store.peek(`${path}/points/q/marks/${mark._id}/size`)).toBe(4);
  });

  it('replaces a list with as few changes as it takes (S23)', async () => {
    const { server, store } = await opened();
    await store.set('annotation/a1/points', [{ id: 'p3', x: 3 }, { id: 'p1', x: 1 }, { id: 'p9' }]).confirmed;
    expect(changesOf(server)).toEqual([
      ['u', 'annotation.points', ['a1', 'p3'], { _order: expect.any(String) }],
      ['i', 'annotation.points', ['a1', 'p9'], { _order: expect.any(String) }],
      ['d', 'annotation.points', ['a1', 'p2']],
    ]);
    expect((store.peek('annotation/a1/points') as { id: string }[]).map((point) => point.id)).toEqual(['p3', 'p1', 'p9']);
    expect(await store.set('annotation/a1/points', store.peek('annotation/a1/points')!).confirmed).toMatchObject({ kind: 'settled' });
    expect(server.pushes).toHaveLength(1);
  });

  it('keeps the rows of a list with hidden keys where they are, by position if no key is given (S23)', async () => {
    const { server, store } = await opened();
    store.set('annotation/a1/points/p1/marks', [{ size: 1 }, { size: 2 }]);
    const before = store.peek('annotation/a1/points/p1/marks') as { _id: string; size: number }[];
    await store.set('annotation/a1/points/p1/marks', [{ size: 1 }, { size: 5 }, { size: 6 }]).confirmed;
    expect(changesOf(server)).toMatchObject([['u', 'annotation.points.marks', ['a1', 'p1', before[1]!._id], { size: 5 }], ['i', 'annotation.points.marks', ['a1', 'p1', expect.any(String)], { size: 6 }]]);
    await store.set('annotation/a1/points/p1/marks', [before[1]!]).confirmed;
    expect(store.peek('annotation/a1/points/p1/marks')).toEqual([{ _id: before[1]!._id, size: 2 }]);
  });

  it('resets to the default with null, and stores a value equal to the default as nothing (S22)', async () => {
    const { server, store } = await opened();
    await store.set('annotation/a1/x', null).confirmed;
    expect(changesOf(server)).toEqual([['u', 'annotation', ['a1'], { x: null }]]);
    expect(store.peek('annotation/a1/x')).toBe(0);
    await store.set('annotation/a1', { text: { content: 'hi', font: { size: 12 } }, locked: false, tags: [] }).confirmed;
    expect(changesOf(server)).toEqual([['u', 'annotation', ['a1'], { 'text.content': 'hi' }]]);
    await store.set('annotation/a1', { text: null, points: null }).confirmed;
    expect(store.peek('annotation/a1/text')).toEqual({ content: '', font: { size: 12, family: 'sans' } });
    expect(store.peek('annotation/a1/points')).toEqual([]);
  });

  it('deletes a row with its lists, and makes a row that a path names (S22)', async () => {
    const { server, store } = await opened();
    await store.tx((t) => t.delete('annotation/a1')).confirmed;
    expect(server.read('SELECT count(*) FROM "annotation.points"')).toEqual([[0]]);
    await store.set('annotation/new', { name: 'New' }).confirmed;
    expect(store.peek('annotation/new/name')).toBe('New');
    await store.set('todo/7', { title: 'x', done: true }).confirmed;
    expect(store.peek('todo')).toEqual([{ id: 7, title: 'x', done: true }]);
    expect(await store.query('SELECT done FROM todo')).toEqual([{ done: 1 }]);
  });

  it('refuses at once, with table, key and pointer, and leaves nothing behind (S24)', async () => {
    const { server, store } = await opened();
    const before = store.peek('annotation');
    const half = (then: (t: Parameters<Parameters<Store['tx']>[0]>[0]) => void) => (): unknown =>
      store.tx((t) => {
        t.set('annotation/a1/x', 8);
        then(t);
      });
    expect(refusal(half((t) => t.set('annotation/a1/x', 'eight'))).errors).toEqual([
      { message: 'x must be a number', table: 'annotation', key: ['a1'], pointer: '/x', path: 'annotation/a1/x' },
    ]);
    expect(refusal(half((t) => t.set('annotation/a1', { text: { colour: 'red' } }))).errors[0]).toMatchObject({ pointer: '/text/colour' });
    expect(refusal(half((t) => t.set('annotation/a1/x', 1001)))).toMatchObject({ code: 'invalid', errors: [{ table: 'annotation', key: ['a1'], pointer: '/x' }] });
    expect(refusal(half((t) => t.set('annotation/a1', { anchor: { offset: 3 } }))).errors[0]).toMatchObject({ pointer: '/anchor/target' });
    expect(refusal(half((t) => t.insert('annotation', { id: 'z' }))).errors).toEqual([
      { message: 'name is required', table: 'annotation', key: ['z'], pointer: '/name', path: 'annotation/z/name' },
    ]);
    expect(refusal(half((t) => t.insert('annotation', { id: 'a1', name: 'again' }))).code).toBe('exists');
    expect(refusal(half((t) => t.set('annotation/gone/x', 1))).code).toBe('not_found');
    expect(refusal(half((t) => t.set('annotation/a1/id', 'a2'))).errors[0]).toMatchObject({ pointer: '/id' });
    expect(refusal(half((t) => t.delete('scene'))).code).toBe('invalid');
    expect(refusal(half((t) => t.sql('UPDATE nowhere SET x=1'))).code).toBe('failed');
    expect(refusal(half((t) => t.sql('COMMIT'))).code).toBe('invalid');
    expect(refusal(half(() => store.set('annotation/a1/x', 1))).message).toContain('use its own `t`');
    expect(store.peek('annotation')).toEqual(before);
    expect(server.pushes).toEqual([]);
  });

  it('counts the items of a touched list (S24)', async () => {
    const { store } = await opened();
    const many = Array.from({ length: 10 }, (_, at) => ({ id: `p${at}` }));
    expect(refusal(() => store.set('annotation/a1/points', many)).errors).toEqual([
      { message: 'annotation.points would have 10 items, it needs at most 9', table: 'annotation.points', key: ['a1'], pointer: '/points', path: 'annotation/a1/points' },
    ]);
  });

  it('sends what SQL really did, and reads inside of a transaction see it (S25)', async () => {
    const { server, store } = await opened();
    await store.tx((t) => {
      t.sql('UPDATE "annotation.points" SET x = x * 2 WHERE x > ?', [1]);
      expect(t.get('annotation/a1/points/p3/x')).toBe(6);
      expect(t.query('SELECT sum(x) AS s FROM "annotation.points"')).toEqual([{ s: 11 }]);
    }).confirmed;
    expect(changesOf(server)).toEqual([
      ['u', 'annotation.points', ['a1', 'p2'], { x: 4 }],
      ['u', 'annotation.points', ['a1', 'p3'], { x: 6 }],
    ]);
  });

  it('lets nothing be written by a query (S25)', async () => {
    const { store } = await opened();
    await expect(store.query('DELETE FROM annotation')).rejects.toMatchObject({ code: 'invalid' });
    await expect(store.query("WITH a AS (SELECT 1) DELETE FROM annotation")).rejects.toMatchObject({ code: 'invalid' });
    await expect(store.query('ROLLBACK')).rejects.toMatchObject({ code: 'invalid' });
    await expect(store.query('SELECT nothing FROM annotation')).rejects.toMatchObject({ code: 'failed' });
    expect(() => store.subscribe({ sql: 'DELETE FROM annotation' }, () => undefined)).toThrow(StoreError);
    expect(await store.query('WITH n AS (SELECT ? AS v) SELECT v FROM n', [4])).toEqual([{ v: 4 }]);
    expect(store.peek('annotation/a1/x')).toBe(3);
  });

  it('takes the values that JavaScript has for the types that the contract has (S22)', async () => {
    const { server, store } = await opened();
    await store.set('annotation/a1', { count: 9007199254740993n, label: 'text', note: null, icon: new Uint8Array([255]) }).confirmed;
    expect(changesOf(server)).toEqual([['u', 'annotation', ['a1'], { count: { $i: '9007199254740993' }, label: 'text', icon: { $b: '/w==' } }]]);
    expect(store.peek('annotation/a1/count')).toBe(9007199254740993n);
    for (const [property, value] of [['count', 1.5], ['count', 2n ** 63n], ['x', NaN], ['name', '\ud800'], ['label', true], ['icon', '*'], ['tags', { a: Infinity }]] as const)
      expect(refusal(() => store.set(`annotation/a1/${property}`, value as Tree)).code, property).toBe('invalid');
  });

  it('says of a path what is wrong with it (S20)', async () => {
    const { store } = await opened();
    for (const path of ['', 'nothing', 'annotation/a1/nope', 'scene/nope', 'annotation.points/a1'])
      expect(refusal(() => store.peek(path)).code, path).toBe('not_found');
    for (const path of ['todo/x', 'annotation/a1/x/deeper', 'annotation/a1/tags/0', 'annotation/%zz', 'annotation/a,b'])
      expect(refusal(() => store.peek(path)).code, path).toBe('invalid');
    await settled();
  });
});
