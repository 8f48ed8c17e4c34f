import { describe, expect, it } from 'vitest';
import type { Left, Store, Undo, UndoOptions } from '../../src/api.js';
import { undoOf } from '../../src/undo/undo.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { FakeShelf } from '../fake/shelf.js';
import { settled, storeOn } from '../fake/store.js';

const X = 'annotation/a1/x';

describe.each(ENGINES)('undo on $name', (engine) => {
  async function opened(options: UndoOptions = {}): Promise<{ server: FakeServer; store: Store; undo: Undo; late: Left[] }> {
    const server = new FakeServer(engine, SCENE);
    server.commit([
      ['i', 'annotation', ['a1'], { name: 'One', order: 'a0' }],
      ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
    ]);
    const store = await storeOn(server);
    const undo = undoOf(store, options);
    const late: Left[] = [];
    undo.subscribe((left) => void late.push(...left));
    return { server, store, undo, late };
  }

  it('takes a drag back as one step, by its tag, and brings it back (U1)', async () => {
    const { server, store, undo } = await opened();
    store.set('annotation/a1/count', 3, { tag: 'panel' });
    for (let x = 1; x <= 50; x++) store.set(X, x, { tag: 'drag' });
    await settled();
    expect([undo.canUndo, undo.canRedo, undo.undoTag]).toEqual([true, false, 'drag']);
    const undone = undo.undo();
    expect(undone).toMatchObject({ done: true, tag: 'drag', paths: [X], left: [] });
    expect([store.peek(X), store.peek('annotation/a1/count'), undo.redoTag]).toEqual([0, 3, 'drag']);
    expect(await undone.sent!.confirmed).toMatchObject({ kind: 'committed' });
    expect(server.pushes.at(-1)).toMatchObject({ changes: [['u', 'annotation', ['a1'], { x: null }]], missing: 'skip', tag: 'drag' });
    undo.redo();
    expect([store.peek(X), undo.canRedo]).toEqual([50, false]);
    undo.undo();
    undo.undo();
    expect([store.peek(X), store.peek('annotation/a1/count'), undo.undo()]).toEqual([0, undefined, { done: false, paths: [], left: [] }]);
  });

  it('parts steps by tag, pause and mark, and joins what a group has (U1)', async () => {
    const { server, store, undo } = await opened();
    const steps = (): number => {
      let count = 0;
      while (undo.undo().done) count++;
      return count;
    };
    for (const tag of ['a', 'b', undefined, undefined]) store.set(X, Math.random(), tag === undefined ? {} : { tag });
    expect(steps()).toBe(4);
    store.set(X, 1, { tag: 'a' });
    server.clock.advance(1500);
    store.set(X, 2, { tag: 'a' });
    undo.mark();
    store.set(X, 3, { tag: 'a' });
    expect(steps()).toBe(3);
    const end = undo.group();
    store.set(X, 1, { tag: 'a' });
    server.clock.advance(1500);
    store.set('annotation/a1/count', 2);
    end();
    store.set(X, 2, { tag: 'a' });
    expect(steps()).toBe(2);
    expect(store.peek(X)).toBe(0);
  });

  it('leaves what somebody else wrote later, and says so (U2)', async () => {
    const { server, store, undo } = await opened();
    store.set('annotation/a1', { x: 5, count: 1, note: 'mine' });
    await settled();
    server.commit([['u', 'annotation', ['a1'], { x: 8 }]]);
    await settled();
    expect(undo.undo()).toMatchObject({ done: true, paths: ['annotation/a1/note', 'annotation/a1/count'], left: [{ path: X, why: 'changed' }] });
    expect([store.peek(X), store.peek('annotation/a1/count')]).toEqual([8, undefined]);
    undo.redo();
    expect([store.peek(X), store.peek('annotation/a1/count')]).toEqual([8, 1]);
    server.commit([['d', 'annotation', ['a1']]]);
    await settled();
    expect(undo.undo()).toMatchObject({ done: false, left: [{ why: 'gone' }, { why: 'gone' }] });
    expect(undo.canUndo).toBe(false);
  });

  it('changes nothing by undoing far and redoing back (U3)', async () => {
    const { server, store, undo } = await opened();
    store.set(X, 5);
    store.tx((t) => t.set('annotation/a1/points', [{ id: 'p2', x: 7 }, { id: 'p1', x: 3 }]));
    store.tx((t) => void t.insert('annotation', { id: 'a2', name: 'Two', points: [{ id: 'q' }] }));
    store.tx((t) => t.delete('annotation/a1'));
    const before = JSON.stringify(store.peek('annotation'));
    await settled();
    for (let i = 0; i < 4; i++) expect(undo.undo().left).toEqual([]);
    server.commit([['u', 'scene', [1], { title: 'Theirs' }]]);
    await settled();
    expect(JSON.stringify(store.peek('annotation'))).toBe(JSON.stringify([store.peek('annotation/a1')]));
    for (let i = 0; i < 4; i++) expect(undo.redo().left).toEqual([]);
    await settled();
    expect(JSON.stringify(store.peek('annotation'))).toBe(before);
    expect(store.peek('scene/title')).toBe('Theirs');
  });

  it('gives way to a commit that it did not know of, and takes back the rest (U4)', async () => {
    const { server, store, undo, late } = await opened();
    store.set('annotation/a1', { x: 5, count: 1 });
    await settled();
    server.holding = true;
    server.commit([['u', 'annotation', ['a1'], { x: 8 }]]);
    expect(undo.undo()).toMatchObject({ done: true, left: [] });
    server.holding = false;
    server.announce();
    await settled();
    expect([store.peek(X), store.peek('annotation/a1/count'), store.status.pending]).toEqual([8, undefined, 0]);
    expect(late).toEqual([{ path: X, why: 'changed' }]);
    undo.redo();
    await settled();
    expect([store.peek(X), store.peek('annotation/a1/count')]).toEqual([8, 1]);
  });

  it('removes a row only as it was made, with nothing of others in it (U5)', async () => {
    const { server, store, undo } = await opened();
    store.tx((t) => void t.insert('annotation', { id: 'a2', name: 'Two', points: [{ id: 'q' }] }));
    store.tx((t) => void t.insert('annotation', { id: 'a3', name: 'Three' }));
    await settled();
    server.commit([['i', 'annotation.points', ['a3', 'theirs'], { _order: 'a0' }]]);
    await settled();
    expect(undo.undo()).toMatchObject({ done: false, left: [{ path: 'annotation/a3', why: 'used' }] });
    expect(undo.undo()).toMatchObject({ done: true, left: [] });
    undo.redo();
    await settled();
    server.commit([['u', 'annotation.points', ['a2', 'q'], { x: 9 }]]);
    await settled();
    expect(undo.undo().left).toEqual([{ path: 'annotation/a2/points/q', why: 'changed' }, { path: 'annotation/a2', why: 'used' }]);
    expect(store.peek('annotation/a2/points/q/x')).toBe(9);
  });

  it('brings a deleted row back with its lists, unless its key is taken (U5)', async () => {
    const { server, store, undo } = await opened();
    const before = store.peek('annotation/a1');
    store.tx((t) => t.delete('annotation/a1'));
    await settled();
    undo.undo();
    expect(store.peek('annotation/a1')).toEqual(before);
    undo.redo();
    await settled();
    server.commit([['i', 'annotation', ['a1'], { name: 'Another' }]]);
    await settled();
    expect(undo.undo()).toMatchObject({ done: true, left: [{ path: 'annotation/a1', why: 'there' }] });
    expect(store.peek('annotation/a1/name')).toBe('Another');
  });

  it('knows no step that was refused (U6)', async () => {
    const { server, store, undo } = await opened();
    server.judge = (push) => (JSON.stringify(push.changes).includes('"x":7') ? 'invalid' : undefined);
    store.set(X, 5);
    store.set(X, 7);
    store.set(X, 9);
    await settled();
    expect(store.peek(X)).toBe(9);
    undo.undo();
    expect(store.peek(X)).toBe(5);
    undo.undo();
    expect([store.peek(X), undo.canUndo]).toEqual([0, false]);
  });

  it('keeps the step when the server does not let it be taken back (U6)', async () => {
    const { server, store, undo, late } = await opened();
    store.set(X, 5);
    await settled();
    server.judge = () => 'forbidden';
    undo.undo();
    expect(store.peek(X)).toBe(0);
    await settled();
    expect([store.peek(X), undo.canUndo, undo.canRedo, late]).toEqual([5, true, false, [{ path: X, why: 'refused' }]]);
  });

  it('leaves out what the contract forbids by now, and tells why (U6)', async () => {
    const { server, store, undo } = await opened();
    store.tx((t) => {
      t.set('annotation/a1/name', 'Renamed');
      t.delete('annotation/a1/points/p1');
    });
    await settled();
    server.commit(Array.from({ length: 9 }, (_, i) => ['i', 'annotation.points', ['a1', `n${i}`], { _order: `b${i}` }] as never));
    await settled();
    const undone = undo.undo();
    expect(undone).toMatchObject({ done: true, paths: ['annotation/a1/name'], left: [{ path: 'annotation/a1/points/p1', why: 'refused' }] });
    expect(undone.left[0]!.message).toContain('at most 9');
    expect(store.peek('annotation/a1/name')).toBe('One');
  });

  it('is there again after the page was loaded again, as much as fits (U7)', async () => {
    const shelf = new FakeShelf();
    const { server, store, undo } = await opened({ shelf, depth: 3 });
    for (let x = 1; x <= 5; x++) store.set(X, x);
    store.set('annotation/a1/icon', new Uint8Array([1, 2]));
    undo.undo();
    await settled();
    undo.close();
    store.close();
    const again = await storeOn(server);
    const history = undoOf(again, { shelf });
    expect([history.canUndo, history.canRedo]).toEqual([true, true]);
    history.redo();
    expect(again.peek('annotation/a1/icon')).toBe('AQI=');
    while (history.undo().done);
    expect([again.peek(X), again.peek('annotation/a1/icon')]).toEqual([3, undefined]);
    for (const name of shelf.texts.keys()) shelf.texts.set(name, '{"format":1,"undos":[{"changes":[["?"]]}],"redos":[]}');
    expect(undoOf(again, { shelf }).canUndo).toBe(false);
    shelf.setItem = () => {
      throw new Error('the quota is exceeded');
    };
    history.close();
    expect(shelf.texts.size).toBe(0);
  });

  it('works below an open draft, which stays as it is (U7)', async () => {
    const { store, undo } = await opened();
    store.set(X, 5);
    const draft = store.draft();
    draft.set(X, 7);
    undo.undo();
    expect([store.peek(X), undo.canUndo]).toEqual([7, false]);
    draft.save();
    expect(undo.undo()).toMatchObject({ done: true, paths: [X] });
    expect(store.peek(X)).toBe(0);
  });

  it('brings back what the server found, also where others were quicker (U8)', async () => {
    const { server, store, undo } = await opened();
    server.holding = true;
    server.commit([['u', 'annotation', ['a1'], { x: 8 }]]);
    store.set(X, 5);
    server.holding = false;
    server.announce();
    await settled();
    expect(store.peek(X)).toBe(5);
    undo.undo();
    expect(store.peek(X)).toBe(8);
  });

  it('tells observers that it was an undo, with the tag (U9)', async () => {
    const { store, undo } = await opened();
    const told: unknown[] = [];
    store.subscribe(X, (value, { origin, tag }) => told.push([value, origin, tag]));
    store.set(X, 5, { tag: 'drag' });
    undo.undo();
    undo.redo();
    expect(told).toEqual([[5, 'local', 'drag'], [0, 'undo', 'drag'], [5, 'undo', 'drag']]);
  });
});
