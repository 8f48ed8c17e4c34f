import { describe, expect, it } from 'vitest';
import type { Draft, Store, Tree } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const A1 = 'annotation/a1';
const X = 'annotation/a1/x';

describe.each(ENGINES)('a draft among others on $name', (engine) => {
  async function opened(scope: string | string[] = [], document: object = SCENE): Promise<{ server: FakeServer; store: Store; draft: Draft; told: { times: number } }> {
    const server = new FakeServer(engine, document);
    server.commit([
      ['i', 'annotation', ['a1'], { name: 'One', order: 'a0' }],
      ['i', 'annotation', ['a2'], { name: 'Two', order: 'a1' }],
      ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
    ]);
    const store = await storeOn(server);
    const draft = store.draft(scope);
    const told = { times: 0 };
    draft.subscribe(() => told.times++);
    return { server, store, draft, told };
  }

  it('marks what others changed of what it has set, with theirs and mine (S90)', async () => {
    const { server, store, draft, told } = await opened();
    draft.set(A1, { x: 5, count: 1, text: { font: { size: 20 } } });
    const before = told.times;
    server.commit([['u', 'annotation', ['a1'], { x: 8, 'text.font.size': 30, note: 'theirs' }]], { by: 'anna' });
    await settled();
    expect(told.times).toBeGreaterThan(before);
    expect(draft.conflicts).toEqual([
      { path: X, theirs: 8, mine: 5, by: 'anna' },
      { path: 'annotation/a1/text/font/size', theirs: 30, mine: 20, by: 'anna' },
    ]);
    expect([store.peek(X), store.peek('annotation/a1/note')]).toEqual([5, 'theirs']);
    draft.resolve(X, 'mine');
    draft.resolve('annotation/a1/text', 'theirs');
    expect([draft.conflicts, store.peek(X), store.peek('annotation/a1/text/font/size')]).toEqual([[], 5, 30]);
    expect(draft.changes).toEqual([X, 'annotation/a1/count']);
  });

  it('has no conflict with oneself, nor where all agree, nor when theirs is taken back (S90)', async () => {
    const { server, store, draft } = await opened();
    draft.set(A1, { x: 5, count: 1 });
    await store.set(X, 3).confirmed;
    expect(draft.conflicts).toEqual([]);
    server.commit([['u', 'annotation', ['a1'], { count: 1 }]]);
    await settled();
    expect(draft.conflicts).toEqual([]);
    server.commit([['u', 'annotation', ['a1'], { x: 9 }]]);
    await settled();
    expect(draft.conflicts).toMatchObject([{ path: X, theirs: 9 }]);
    server.commit([['u', 'annotation', ['a1'], { x: 3 }]]);
    await settled();
    expect(draft.conflicts).toEqual([]);
  });

  it('marks a row that it deletes and somebody else has changed (S90)', async () => {
    const { server, draft } = await opened();
    draft.tx((t) => t.delete('annotation/a2'));
    server.commit([['u', 'annotation', ['a2'], { x: 9 }]]);
    await settled();
    expect(draft.conflicts).toMatchObject([{ path: 'annotation/a2', mine: undefined }]);
    draft.resolve('annotation/a2', 'theirs');
    expect([draft.changes, draft.conflicts]).toEqual([[], []]);
  });

  it('keeps edits of a row that was deleted, and has them again when the row is back (S91)', async () => {
    const { server, store, draft } = await opened(A1);
    draft.set(A1, { x: 5, note: 'mine' });
    server.commit([['d', 'annotation', ['a1']]]);
    await settled();
    expect([draft.open, draft.changes, store.peek(A1)]).toEqual([true, [], undefined]);
    expect(draft.lost).toMatchObject([{ path: 'annotation/a1/note', value: 'mine', code: 'not_found' }, { path: X, value: 5, code: 'not_found' }]);
    expect(() => draft.set(X, 6)).toThrow(/not|no/);
    server.commit([['i', 'annotation', ['a1'], { name: 'Back', x: 2 }]]);
    await settled();
    expect([draft.lost, store.peek(X), store.peek('annotation/a1/note')]).toEqual([[], 5, 'mine']);
    await draft.save()!.confirmed;
    expect(server.read("SELECT name, x, note FROM annotation WHERE id='a1'")).toEqual([['Back', 5, 'mine']]);
  });

  it('saves what is left when a row is gone, and hears which rows were skipped (S91)', async () => {
    const { server, draft } = await opened();
    draft.set(X, 5);
    draft.set('annotation/a2/x', 6);
    server.holding = true;
    server.commit([['d', 'annotation', ['a2']]]);
    const { confirmed } = draft.save()!;
    server.holding = false;
    server.announce();
    expect(await confirmed).toMatchObject({ kind: 'committed', skipped: ['annotation/a2'] });
    expect(draft.state).toBe('saved');
  });

  it('is saved beside that of somebody else: each property is that of who saved last (S90)', async () => {
    const { server, draft } = await opened(A1);
    const other = await storeOn(server);
    const theirs = other.draft(A1);
    draft.set(A1, { x: 5, count: 1 });
    theirs.set(A1, { x: 8, note: 'theirs' });
    await draft.save()!.confirmed;
    await settled();
    expect(theirs.conflicts).toEqual([{ path: X, theirs: 5, mine: 8, by: 'ben' }]);
    await theirs.save()!.confirmed;
    expect(server.read("SELECT x, count, note FROM annotation WHERE id='a1'")).toEqual([[8, 1, 'theirs']]);
  });

  it('keeps what the contract has no more, apart from the rest, and gains new properties at once (S92)', async () => {
    const { server, store, draft } = await opened(A1);
    draft.set(A1, { x: 5, note: 'mine' });
    const properties = { ...SCENE.properties.annotation.items.properties, fresh: { type: 'integer', default: 3 } } as Record<string, unknown>;
    delete properties.note;
    const contract = { ...SCENE, properties: { ...SCENE.properties, annotation: { ...SCENE.properties.annotation, items: { ...SCENE.properties.annotation.items, properties } } } };
    server.append([], { kind: 'schema', contract, contract_hash: 'hash-2', steps: ['ALTER TABLE annotation DROP COLUMN note', 'ALTER TABLE annotation ADD COLUMN fresh INTEGER'] });
    await settled();
    expect(draft.lost).toMatchObject([{ path: 'annotation/a1/note', value: 'mine', code: 'invalid' }]);
    expect([draft.changes, store.peek(X), store.peek('annotation/a1/fresh')]).toEqual([[X], 5, 3]);
    draft.set('annotation/a1/fresh', 7);
    draft.revert('annotation/a1/x');
    expect([draft.changes, store.peek(X)]).toEqual([['annotation/a1/fresh'], 0]);
  });

  it('keeps apart, draft by draft, what a new contract takes from drafts that lie in each other (S92)', async () => {
    const { server, store, draft } = await opened();
    draft.set(A1, { x: 5, note: 'outer' });
    const inner = draft.draft(A1);
    inner.set(A1, { count: 2, note: 'inner' });
    const innermost = inner.draft();
    innermost.set('annotation/a1/note', 'innermost');
    const properties = { ...SCENE.properties.annotation.items.properties } as Record<string, unknown>;
    delete properties.note;
    const contract = { ...SCENE, properties: { ...SCENE.properties, annotation: { ...SCENE.properties.annotation, items: { ...SCENE.properties.annotation.items, properties } } } };
    server.append([], { kind: 'schema', contract, contract_hash: 'hash-2', steps: ['ALTER TABLE annotation DROP COLUMN note'] });
    await settled();
    expect([innermost, inner, draft].map(({ lost }) => lost.map(({ value }) => value))).toEqual([['innermost'], ['inner'], ['outer']]);
    expect([innermost.changes, inner.changes, draft.changes]).toEqual([[], ['annotation/a1/count'], [X]]);
    innermost.save();
    inner.save();
    expect(draft.changes).toEqual([X, 'annotation/a1/count']);
    await draft.save()!.confirmed;
    expect(server.pushes).toMatchObject([{ changes: [['u', 'annotation', ['a1'], { x: 5, count: 2 }]] }]);
    expect(store.peek(A1)).toMatchObject({ x: 5, count: 2 });
  });

  it('tells what would be refused, with path and code, before it is saved (S93)', async () => {
    const { draft } = await opened();
    draft.set('annotation/a1/anchor/offset', 3);
    draft.set(X, 2000);
    expect(draft.faults).toEqual([
      expect.objectContaining({ path: 'annotation/a1/anchor/target', code: 'invalid', table: 'annotation', key: ['a1'], pointer: '/anchor/target' }),
      expect.objectContaining({ path: X, code: 'invalid', pointer: '/x' }),
    ]);
    draft.set(X, 1);
    draft.set('annotation/a1/anchor/target', 'a2');
    draft.tx((t) => t.set('annotation/a1/points', Array.from({ length: 10 }, (_, i) => ({ id: `n${i}` }))));
    expect(draft.faults).toMatchObject([{ path: 'annotation/a1/points', code: 'invalid' }]);
    draft.revert('annotation/a1/points');
    expect(draft.faults).toEqual([]);
  });

  it('comes back with all that it had when the server refuses it, the reasons at their fields (S94)', async () => {
    const { server, store, draft } = await opened();
    const before = JSON.stringify(store.peek('annotation'));
    draft.tx((t) => {
      t.set(X, 5);
      t.insert('annotation', { id: 'a3', name: 'Three', points: [{ id: 'q' }] });
      t.delete('annotation/a2');
    });
    const filled = store.peek('annotation') as Tree;
    server.judge = () => 'invalid';
    server.censor = (text) => text.replace('"errors":[]', '"errors":[{"message":"too far","table":"annotation","key":["a1"],"pointer":"/x"}]');
    expect(await draft.save()!.confirmed).toMatchObject({ kind: 'refused', refusal: { errors: [{ path: X }] } });
    await settled();
    expect([draft.state, draft.faults, JSON.stringify(store.peek('annotation'))]).toMatchObject(['refused', [{ path: X, message: 'too far' }], before]);
    draft.reopen();
    expect(store.peek('annotation')).toEqual(filled);
    server.judge = () => undefined;
    server.censor = (text) => text;
    draft.set(X, 4);
    expect(await draft.save()!.confirmed).toMatchObject({ kind: 'committed' });
    expect(server.read('SELECT id, x FROM annotation ORDER BY id')).toEqual([['a1', 4], ['a3', null]]);
  });

  it('writes nowhere but in its scope (S95)', async () => {
    const { store, draft } = await opened([A1, 'scene/grid']);
    draft.set(X, 5);
    draft.set('scene/grid/step', 5);
    draft.tx((t) => void t.insert('annotation/a1/points', { id: 'p2' }));
    for (const write of [() => draft.set('annotation/a2/x', 1), () => draft.set('scene/title', 'x'), () => draft.tx((t) => t.sql('UPDATE annotation SET x = 7'))])
      expect(write).toThrow('is not in this draft, which is of annotation/a1, scene/grid');
    expect([store.peek('annotation/a2/x'), draft.changes.length]).toEqual([0, 3]);
    expect(() => store.draft('nowhere/x')).toThrow('nowhere');
  });

  it('holds drafts in it, which become part of it or leave it as it was (S96)', async () => {
    const { server, store, draft } = await opened();
    draft.set(X, 5);
    const beside = store.draft();
    beside.set('scene/title', 'Beside');
    const inner = draft.draft(A1);
    inner.set(X, 6);
    inner.set('annotation/a1/count', 2);
    expect([store.peek(X), draft.changes, store.drafts.length]).toEqual([6, [X], 3]);
    expect(() => draft.save()).toThrow('a draft in this draft is open');
    expect(inner.save()).toBeUndefined();
    expect([draft.changes, inner.state, store.peek(X)]).toEqual([[X, 'annotation/a1/count'], 'saved', 6]);
    const other = draft.draft();
    other.set(X, 9);
    other.cancel();
    expect(store.peek(X)).toBe(6);
    draft.draft().set(X, 10);
    draft.cancel();
    expect([store.peek(X), store.peek('scene/title'), store.drafts.length]).toEqual([0, 'Beside', 1]);
    await settled();
    expect(server.pushes).toEqual([]);
  });

  it('keeps its marks and its edits when the project is loaded again (S97)', async () => {
    const { server, store, draft } = await opened();
    draft.set(A1, { x: 5, count: 1 });
    server.reachable = false;
    await server.drop();
    server.commit([['u', 'annotation', ['a1'], { x: 8 }]]);
    server.epoch = 'd'.repeat(32);
    server.reachable = true;
    server.clock.advance(5000);
    for (let i = 0; i < 4; i++) await settled();
    expect(store.peek(A1)).toMatchObject({ x: 5, count: 1 });
    expect(draft.conflicts).toMatchObject([{ path: X, theirs: 8, mine: 5 }]);
  });
});
