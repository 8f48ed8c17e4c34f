import { describe, expect, it } from 'vitest';
import type { ChangeInfo, Tree } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

describe.each(ENGINES)('a store on $name', (engine) => {
  const started = (): FakeServer => {
    const server = new FakeServer(engine, SCENE);
    server.commit([
      ['i', 'annotation', ['a1'], { name: 'One', order: 'a0' }],
      ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
      ['i', 'annotation.points', ['a1', 'p2'], { _order: 'a1', x: 2 }],
    ]);
    return server;
  };

  it('shows a row as a tree with its defaults and lists (S20)', async () => {
    const store = await storeOn(started());
    expect(store.peek('annotation/a1')).toEqual({
      id: 'a1', name: 'One', order: 'a0', x: 0, locked: false, tags: [], text: { content: '', font: { size: 12, family: 'sans' } },
      points: [{ id: 'p1', x: 1, marks: [] }, { id: 'p2', x: 2, marks: [] }],
    });
    expect(store.peek('annotation/a1/text/font/size')).toBe(12);
    expect(store.peek('annotation/a1/text.font.size')).toBe(12);
    expect(store.peek('annotation/a1/anchor/offset')).toBeUndefined();
    expect(store.peek('annotation/nobody')).toBeUndefined();
    expect(await store.get('scene')).toEqual({ title: 'A scene', grid: { step: 15 } });
  });

  it('sends what a write changed and no more, and is answered by its commit (S21)', async () => {
    const server = started();
    const store = await storeOn(server);
    const sent = store.set('annotation/a1', { x: 5, text: { font: { size: 12 } } }, { tag: 'slider' });
    expect(store.status.pending).toBe(1);
    expect(await sent.confirmed).toEqual({ kind: 'committed', id: sent.id, version: 3 });
    expect(server.pushes).toMatchObject([{ id: sent.id, contract: 'hash-1', tag: 'slider', changes: [['u', 'annotation', ['a1'], { x: 5 }]] }]);
    expect(store.status).toMatchObject({ pending: 0, version: 3, connection: 'online', user: 'ben', role: 'editor' });
  });

  it('tells a subscriber what really changed, and whose work it is (S27)', async () => {
    const server = started();
    const store = await storeOn(server);
    const calls: [Tree | undefined, ChangeInfo][] = [];
    store.subscribe('annotation/a1/x', (value, info) => calls.push([value, info]));
    store.set('annotation/a1/x', 7, { tag: 'me' });
    await settled();
    store.set('annotation/a1/x', 7);
    server.commit([['u', 'annotation', ['a1'], { x: 9 }]], { tag: 'other' });
    await settled();
    expect(calls).toEqual([
      [7, { origin: 'local', tag: 'me', paths: ['annotation/a1/x'] }],
      [9, { origin: 'remote', tag: 'other', by: 'anna', version: 4, paths: ['annotation/a1/x'] }],
    ]);
  });
});
