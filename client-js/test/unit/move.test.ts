import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/api.js';
import { move, newId } from '../../src/lists/move.js';
import { undoOf } from '../../src/undo/undo.js';
import { ENGINES } from '../engines.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const id = { type: 'string' };
const CONTRACT = {
  type: 'object',
  properties: {
    group: {
      type: 'array', 'x-sql': { tree: 'parent', order: 'rank' },
      items: { type: 'object', required: ['id'], properties: { id, parent: id, rank: { type: 'string' } } },
    },
    shape: {
      type: 'array', 'x-sql': { order: 'rank' },
      items: {
        type: 'object', required: ['id'],
        properties: {
          id, layer: { type: 'string' }, rank: { type: 'string' }, x: { type: 'number' },
          points: { type: 'array', items: { type: 'object', properties: { x: { type: 'number' }, marks: { type: 'array', items: { type: 'object', properties: { text: id } } } } } },
        },
      },
    },
    plain: { type: 'array', items: { type: 'object', required: ['id'], properties: { id } } },
  },
};

describe.each(ENGINES)('moving rows on $name', (engine) => {
  async function opened(): Promise<{ server: FakeServer; store: Store; order(list: string, where?: object): string }> {
    const server = new FakeServer(engine, CONTRACT);
    const store = await storeOn(server);
    store.tx((t) => {
      for (const name of 'abcdef') t.insert('shape', { id: name, layer: name < 'd' ? 'l1' : 'l2', points: [{ x: 1, marks: [{ text: name }] }, { x: 2 }] });
      for (const [name, parent] of [['r', null], ['s', 'r'], ['t', 'r'], ['u', 's']]) t.insert('group', { id: name!, parent: parent! });
      t.insert('plain', { id: 'p' });
    });
    await settled();
    const order = (list: string, where: object = {}): string =>
      (store.peek(list) as { id: string }[]).filter((row) => Object.entries(where).every(([name, value]) => (row as never)[name] === value)).map((row) => row.id).join('');
    return { server, store, order };
  }

  it('writes only what moves, wherever it goes (S100)', async () => {
    const { server, store, order } = await opened();
    const go = (path: string | string[], spot: Parameters<typeof move>[3]): unknown => store.tx((t) => void move(store, t, path, spot));
    go('shape/a', { after: 'shape/c' });
    expect(order('shape')).toBe('bcadef');
    go('shape/f', { at: 0 });
    go(['shape/d', 'shape/a'], { before: 'shape/b' });
    expect(order('shape')).toBe('fdabce');
    go('shape/f', {});
    expect(order('shape')).toBe('dabcef');
    await settled();
    expect(server.pushes.slice(1).map((push) => (push.changes as unknown[]).length)).toEqual([1, 1, 2, 1]);
    expect(server.read("SELECT group_concat(id, '') FROM (SELECT id FROM shape ORDER BY rank)")).toEqual([['dabcef']]);
    expect(() => go('plain/p', { at: 0 })).toThrow('plain has no order');
    expect(() => go('shape/a', { after: 'shape/nobody' })).toThrow('does not stand in the list');
    expect(() => go(['shape/a', 'group/r'], {})).toThrow('several lists');
  });

  it('makes room where two people put rows in one place, with few rows written (S100)', async () => {
    const { server, store, order } = await opened();
    server.sql("UPDATE shape SET rank = (SELECT rank FROM shape WHERE id = 'b') WHERE id IN ('c', 'd')");
    await settled();
    expect(order('shape')).toBe('abcdef');
    store.tx((t) => void move(store, t, 'shape/f', { after: 'shape/b' }));
    expect(order('shape')).toBe('abfcde');
    await settled();
    expect(server.pushes.at(-1)!.changes).toHaveLength(3);
  });

  it('goes into another list: by a property, and with all that is in the row (S101)', async () => {
    const { store, order } = await opened();
    store.tx((t) => void move(store, t, 'shape/a', { among: 'layer', value: 'l2', after: 'shape/d' }));
    expect([order('shape', { layer: 'l1' }), order('shape', { layer: 'l2' })]).toEqual(['bc', 'daef']);
    const [first] = store.peek('shape/b/points') as { _id: string }[];
    const paths: string[] = [];
    store.tx((t) => void paths.push(...move(store, t, `shape/b/points/${first!._id}`, { list: 'shape/c/points', at: 1 })));
    expect(paths).toEqual([`shape/c/points/${first!._id}`]);
    expect(store.peek('shape/c/points')).toMatchObject([{ x: 1, marks: [{ text: 'c' }] }, { x: 1, marks: [{ text: 'b' }] }, { x: 2 }]);
    expect(store.peek('shape/b/points')).toMatchObject([{ x: 2 }]);
  });

  it('moves in a tree, and refuses a circle here and, seen too late, at the server (S102)', async () => {
    const { server, store, order } = await opened();
    const go = (path: string, spot: Parameters<typeof move>[3]): unknown => store.tx((t) => void move(store, t, path, spot));
    go('group/u', { under: 'group/r', before: 'group/t' });
    expect([order('group', { parent: 'r' }), order('group', { parent: 's' })]).toEqual(['sut', '']);
    expect(() => go('group/r', { under: 'group/u' })).toThrow(expect.objectContaining({ code: 'cycle', errors: [expect.objectContaining({ path: 'group/r/parent' })] }));
    go('group/u', { under: null, at: 0 });
    expect(order('group', { parent: undefined })).toBe('ur');
    expect(() => go('shape/a', { under: 'shape/b' })).toThrow('shape is no tree');
    await settled();
    server.judge = () => 'cycle';
    go('group/t', { under: 'group/s' });
    await settled();
    expect(order('group', { parent: 'r' })).toBe('st');
  });

  it('moves hundreds in a draft as one mutation, leaving out who was deleted meanwhile (S103)', async () => {
    const { server, store } = await opened();
    const ids = Array.from({ length: 300 }, () => newId());
    expect([new Set(ids).size, ids.every((one) => /^[\w-]{22}$/.test(one))]).toEqual([300, true]);
    store.tx((t) => ids.forEach((one) => t.insert('shape', { id: one, x: 0 })));
    await settled();
    const draft = store.draft();
    for (let x = 1; x <= 5; x++) draft.tx((t) => ids.forEach((one) => t.set(`shape/${one}/x`, x)));
    server.holding = true;
    server.commit([['d', 'shape', [ids[7]!]]]);
    const sent = draft.save({ tag: 'drag' })!;
    server.holding = false;
    server.announce();
    expect(await sent.confirmed).toMatchObject({ kind: 'committed', skipped: [`shape/${ids[7]}`] });
    expect(server.pushes.at(-1)!.changes).toHaveLength(300);
    expect(server.read('SELECT count(*) FROM shape WHERE x = 5')).toEqual([[299]]);
  });

  it('is taken back like everything else (S100)', async () => {
    const { store, order } = await opened();
    const undo = undoOf(store);
    store.tx((t) => void move(store, t, ['shape/e', 'shape/f'], { at: 0 }));
    undo.undo();
    expect(order('shape')).toBe('abcdef');
    undo.redo();
    expect(order('shape')).toBe('efabcd');
  });
});
