import { describe, expect, it } from 'vitest';
import type { ChangeInfo, Store, Tree } from '../../src/api.js';
import { keepDrafts } from '../../src/drafts/keep.js';
import { shareDraft, showDrafts } from '../../src/drafts/share.js';
import type { LocalDraft } from '../../src/store/draft.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { FakeShelf } from '../fake/shelf.js';
import { settled, storeOn } from '../fake/store.js';

const A1 = 'annotation/a1';
const X = 'annotation/a1/x';

async function started(engine: (typeof ENGINES)[number]): Promise<FakeServer> {
  const server = new FakeServer(engine, SCENE);
  server.commit([
    ['i', 'annotation', ['a1'], { name: 'One', order: 'a0' }],
    ['i', 'annotation', ['a2'], { name: 'Two', order: 'a1' }],
    ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
  ]);
  return server;
}

describe.each(ENGINES)('a draft over a reload on $name', (engine) => {
  async function left(shelf: FakeShelf, begin: (store: Store) => unknown): Promise<FakeServer> {
    const server = await started(engine);
    const store = await storeOn(server);
    keepDrafts(store, { shelf });
    begin(store);
    await server.clock.advance(1000);
    store.close();
    return server;
  }

  it('is there again with its name, its scope and the drafts in it (S98)', async () => {
    const shelf = new FakeShelf();
    let shown: Tree | undefined;
    const server = await left(shelf, (store) => {
      const draft = store.draft(A1, { name: 'panel' });
      draft.tx((t) => {
        t.set(A1, { x: 5, label: 7, icon: new Uint8Array([1, 2]) });
        t.set('annotation/a1/points', [{ id: 'p2', x: 3, marks: [{ size: 1 }] }]);
      });
      draft.draft('annotation/a1/text').set('annotation/a1/text/font/size', 20);
      store.draft().tx((t) => t.delete('annotation/a2'));
      shown = store.peek('annotation');
    });
    const store = await storeOn(server);
    const { drafts, full } = keepDrafts(store, { shelf });
    expect(store.peek('annotation')).toEqual(shown);
    expect(drafts.map(({ name, scope, conflicts, lost }) => [name, scope, conflicts, lost])).toEqual([
      ['panel', [A1], [], []], [undefined, ['annotation/a1/text'], [], []], [undefined, [], [], []],
    ]);
    expect([full, store.drafts.length]).toEqual([false, 3]);
    drafts[1]!.save();
    await drafts[0]!.save()!.confirmed;
    expect(server.read("SELECT x, label, icon, \"text.font.size\" FROM annotation WHERE id='a1'")).toEqual([[5, 7, new Uint8Array([1, 2]), 20]]);
  });

  it('is as it was last, also where the page closes the store as it is left (S98)', async () => {
    const shelf = new FakeShelf();
    const server = await started(engine);
    const first = await storeOn(server);
    keepDrafts(first, { shelf });
    first.draft(A1).set(X, 9);
    first.close();
    const second = await storeOn(server);
    const [draft] = keepDrafts(second, { shelf }).drafts;
    expect(second.peek(X)).toBe(9);
    draft!.cancel();
    second.close();
    expect(keepDrafts(await storeOn(server), { shelf }).drafts).toEqual([]);
  });

  it('is there in a window that was made from this one, and saved in both it is one change (S98)', async () => {
    const shelf = new FakeShelf();
    const server = await left(shelf, (store) => store.draft(A1, { name: 'panel' }).set(X, 5));
    const twin = new FakeShelf();
    for (const [name, text] of shelf.texts) twin.setItem(name, text);
    const [anna, ben] = [await storeOn(server), await storeOn(server)];
    const [mine, other] = [keepDrafts(anna, { shelf }).drafts[0]!, keepDrafts(ben, { shelf: twin }).drafts[0]!];
    expect([mine.changes, other.changes]).toEqual([[X], [X]]);
    await mine.save()!.confirmed;
    await settled();
    expect([other.conflicts, other.changes, other.save()]).toEqual([[], [], undefined]);
    expect([server.pushes.length, ben.peek(X)]).toEqual([1, 5]);
    expect(keepDrafts(await storeOn(server), { shelf: twin }).drafts).toEqual([]);
  });

  it('marks what others did meanwhile, and keeps what does not fit (S98)', async () => {
    const shelf = new FakeShelf();
    const server = await left(shelf, (store) => {
      const draft = store.draft();
      draft.set(A1, { x: 5, count: 1 });
      draft.set('annotation/a2/x', 6);
    });
    server.commit([['u', 'annotation', ['a1'], { x: 8 }], ['d', 'annotation', ['a2']]]);
    const [draft] = keepDrafts(await storeOn(server), { shelf }).drafts;
    expect(draft!.conflicts).toEqual([{ path: X, theirs: 8, mine: 5 }]);
    expect(draft!.lost).toMatchObject([{ path: 'annotation/a2/x', value: 6, code: 'not_found' }]);
    expect(draft!.changes.sort()).toEqual(['annotation/a1/count', X]);
  });

  it('that was saved is kept until the answer, and is no draft any more if it had arrived (S98)', async () => {
    const shelf = new FakeShelf();
    const server = await started(engine);
    const save = async (arrives: boolean): Promise<number> => {
      const store = await storeOn(server);
      const kept = keepDrafts(store, { shelf });
      kept.drafts.forEach((draft) => draft.cancel());
      const draft = store.draft();
      draft.tx((t) => {
        t.set(X, arrives ? 5 : 6);
        t.insert('annotation', { id: `new${String(arrives)}`, name: 'New' });
      });
      if (!arrives) server.judge = () => 'unavailable';
      server.censor = () => undefined;
      draft.save();
      await settled();
      kept.stop();
      store.close();
      server.censor = (text) => text;
      const again = await storeOn(server);
      const found = keepDrafts(again, { shelf }).drafts.length;
      again.close();
      return found;
    };
    expect([await save(true), await save(false)]).toEqual([0, 1]);
  });

  it('is kept within bounds, and a spoilt text is no draft (S98)', async () => {
    const server = await started(engine);
    const store = await storeOn(server);
    const shelf = new FakeShelf();
    const kept = keepDrafts(store, { shelf, most: 500 });
    store.draft().set(X, 5);
    store.draft().set('scene/title', 'x'.repeat(600));
    await server.clock.advance(1000);
    expect([kept.full, [...shelf.texts.values()].join('').length < 600]).toEqual([true, true]);
    shelf.setItem = () => {
      throw new Error('the quota is exceeded');
    };
    store.draft().set(X, 6);
    await server.clock.advance(1000);
    expect(kept.full).toBe(true);
    for (const text of ['{', '{"format":2}', '{"format":1,"drafts":[null,{"scope":[],"changes":[["?"]]}]}']) {
      const spoilt = { ...new FakeShelf(), getItem: () => text };
      expect(keepDrafts(await storeOn(server), { shelf: spoilt }).drafts).toEqual([]);
    }
    expect(keepDrafts(await storeOn(server)).drafts).toEqual([]);
  });
});

describe.each(ENGINES)('a shared draft on $name', (engine) => {
  async function two(): Promise<{ server: FakeServer; anna: Store; ben: Store }> {
    const server = await started(engine);
    return { server, anna: await storeOn(server), ben: await storeOn(server) };
  }

  it('is seen by those who watch while it moves, is never stored, and ends with it (S99)', async () => {
    const { server, anna, ben } = await two();
    const shown = showDrafts(ben);
    const told: [Tree | undefined, ChangeInfo['origin']][] = [];
    ben.subscribe(X, (value, { origin }) => told.push([value, origin]));
    const draft = anna.draft(A1);
    shareDraft(anna, draft);
    for (let x = 1; x <= 30; x++) {
      draft.set(X, x);
      await server.clock.advance(10);
      await settled();
    }
    await server.clock.advance(50);
    await settled();
    expect(ben.peek(X)).toBe(30);
    expect(told.length).toBeLessThan(12);
    expect([...new Set(told.map(([, origin]) => origin))]).toEqual(['remote']);
    expect([...shown.paths.values()].at(0)).toEqual([X]);
    expect([server.pushes, ben.status.pending, ben.drafts]).toEqual([[], 0, []]);
    draft.cancel();
    await settled();
    expect([ben.peek(X), shown.paths.size]).toEqual([0, 0]);
  });

  it('gives way to a draft of one\'s own, and becomes the commit without a jump (S99)', async () => {
    const { server, anna, ben } = await two();
    showDrafts(ben);
    const mine = ben.draft();
    const theirs = anna.draft();
    shareDraft(anna, theirs);
    theirs.set(A1, { x: 7, count: 1 });
    await server.clock.advance(100);
    await settled();
    expect([ben.peek(X), ben.peek('annotation/a1/count')]).toEqual([7, 1]);
    mine.set(X, 3);
    expect([ben.peek(X), ben.peek('annotation/a1/count')]).toEqual([3, 1]);
    const counts: unknown[] = [];
    ben.subscribe('annotation/a1/count', (value) => counts.push(value));
    theirs.save();
    await settled();
    await settled();
    expect([ben.peek(X), ben.peek('annotation/a1/count'), counts]).toEqual([3, 1, []]);
    expect(mine.conflicts).toMatchObject([{ path: X, theirs: 7, mine: 3 }]);
  });

  it('of somebody who is gone, or says what is no draft, is not shown for long (S99)', async () => {
    const { server, anna, ben } = await two();
    const shown = showDrafts(ben);
    const draft = anna.draft();
    shareDraft(anna, draft);
    draft.set(X, 7);
    await server.clock.advance(100);
    await settled();
    for (const data of [null, 3, { draft: 1, changes: [['u']] }, { draft: 2, changes: [['u', 'nowhere', ['x'], { y: 1 }, {}]] }, { draft: 3, changes: 'all' }])
      anna.signal('sharelite draft', data);
    await settled();
    expect(ben.peek(X)).toBe(7);
    anna.close();
    await server.clock.advance(15_000);
    await settled();
    expect([ben.peek(X), shown.paths.size]).toEqual([0, 0]);
    shown.stop();
  });

  it('ends at once where presence tells that who showed it has left (S99)', async () => {
    const { server, anna, ben } = await two();
    const shown = showDrafts(ben);
    const draft = anna.draft();
    shareDraft(anna, draft);
    draft.set(X, 7);
    server.say({ type: 'presence', peers: { [anna.status.client]: {} }, users: {} });
    await server.clock.advance(100);
    await settled();
    expect(ben.peek(X)).toBe(7);
    server.say({ type: 'presence', peers: { [anna.status.client]: null }, users: {} });
    await settled();
    expect([ben.peek(X), shown.paths.size]).toEqual([0, 0]);
  });

  it('becomes the commit without a jump where sharing is ended right after saving, and the end is heard before the commit (S99)', async () => {
    const { server, anna, ben } = await two();
    showDrafts(ben);
    const seen: unknown[] = [];
    ben.subscribe(X, (x) => seen.push(x));
    const draft = anna.draft();
    const stop = shareDraft(anna, draft);
    draft.set(X, 7);
    await server.clock.advance(100);
    await settled();
    server.holding = true;
    draft.save();
    stop();
    await settled();
    anna.signal('sharelite draft', { draft: (draft as LocalDraft).core, version: ben.status.version + 1 });
    await settled();
    expect(ben.peek(X)).toBe(7);
    server.holding = false;
    server.announce();
    await settled();
    expect([ben.peek(X), seen, ben.status.version]).toEqual([7, [7], anna.status.version]);
  });
});
