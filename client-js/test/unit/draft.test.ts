import { describe, expect, it } from 'vitest';
import { Core } from '../../src/core/core.js';
import type { Change, Commit, Operation } from '../../src/core/types.js';
import type { Db } from '../../src/engine/types.js';
import { ENGINES } from '../engines.js';
import { dump, projectFile } from '../project.js';

const SEED = ["INSERT INTO node(id, x, y, code) VALUES('a', 1, 1, 1), ('b', 2, 2, 2)", "INSERT INTO \"node.points\" VALUES('a', 'p', 'V', 5)"];
const set = (key: string, cells: Record<string, number | string | null>): Operation => ['u', 'node', [key], cells];
const commit = (v: number, ...changes: Change[]): Commit => ({ v, kind: 'edit', changes });

describe.each(ENGINES)('drafts on $name', (engine) => {
  function opened(): { db: Db; core: Core; draft: number; x(key?: string): unknown; write(draft: number, ...operations: Operation[]): void } {
    const db = engine.open(projectFile(engine, SEED));
    const core = new Core(db);
    return {
      db,
      core,
      draft: core.openDraft(),
      x: (key = 'a') => db.get('SELECT x FROM node WHERE id=?', [key])?.[0],
      write: (draft, ...operations) => void core.editDraft(draft, (writer) => writer.applyAll(operations)),
    };
  }

  it('is seen at once and puts everything back when cancelled (S9)', () => {
    const { db, core, draft, write, x } = opened();
    const before = dump(db, core.tables.keys());
    write(draft, set('a', { x: 7 }), ['d', 'node', ['b']], ['i', 'node', ['n'], { code: 2 }]);
    expect(x()).toBe(7);
    const { touched } = core.cancelDraft(draft);
    expect(dump(db, core.tables.keys())).toBe(before);
    expect(touched.get('node')).toEqual(new Map<string, unknown>([['["a"]', new Set(['x'])], ['["b"]', 'row'], ['["n"]', 'row']]));
  });

  it('sends one change per row, with only what differs (S10)', () => {
    const { core, draft, write } = opened();
    for (let x = 2; x <= 50; x++) write(draft, set('a', { x, y: x % 2 }));
    write(draft, set('a', { y: 1 }), set('b', { x: 99 }), set('b', { x: 2 }), ['i', 'node', ['n'], {}], ['d', 'node', ['n']]);
    expect(core.saveDraft(draft).changes).toEqual([['u', 'node', ['a'], { x: 50 }, { x: 1 }]]);
  });

  it('sends nothing if everything was put back (S10)', () => {
    const { core, draft, write } = opened();
    write(draft, set('a', { x: 7 }), ['d', 'node', ['b']]);
    write(draft, set('a', { x: 1 }), ['i', 'node', ['b'], { x: 2, y: 2, code: 2 }]);
    expect(core.draftChanges(draft)).toEqual([]);
    expect(core.saveDraft(draft).changes).toEqual([]);
  });

  it('sends a row that was deleted and made again as an update (S10)', () => {
    const { core, draft, write } = opened();
    write(draft, ['d', 'node', ['b']], ['i', 'node', ['b'], { x: 2, name: 'new' }]);
    expect(core.saveDraft(draft).changes).toEqual([['u', 'node', ['b'], { name: 'new', y: null, code: null }, { name: null, y: 2, code: 2 }]]);
  });

  it('deletes last, so that a row which left its parent is not taken with it (S10)', () => {
    const { db, core, draft, write } = opened();
    core.pend(['c', 1], core.edit((writer) => writer.apply(['i', 'link', [1], { target: 'a' }])).changes);
    write(draft, ['u', 'link', [1], { target: 'b' }], ['d', 'node', ['a']], ['u', 'link', [1], { weight: 3 }]);
    const { changes } = core.saveDraft(draft);
    expect(changes.map((change) => change.slice(0, 3))).toEqual([['u', 'link', [1]], ['d', 'node.points', ['a', 'p']], ['d', 'node', ['a']]]);
    expect(db.all('SELECT target, weight FROM link')).toEqual([['b', 3]]);
  });

  it('survives what others do, and sends what differs from that (S11)', () => {
    const { core, draft, write, x } = opened();
    write(draft, set('a', { x: 7, y: 8 }));
    core.receive([commit(2, ['u', 'node', ['a'], { x: 3, code: 5 }, { x: 1, code: 1 }])]);
    expect(x()).toBe(7);
    expect(core.saveDraft(draft).changes).toEqual([['u', 'node', ['a'], { x: 7, y: 8 }, { x: 3, y: 1 }]]);
  });

  it('keeps a value that somebody else set too, and then changed again (S11)', () => {
    const { core, draft, write, x } = opened();
    write(draft, set('a', { x: 7 }));
    core.receive([commit(2, ['u', 'node', ['a'], { x: 7 }, { x: 1 }])]);
    expect(core.draftChanges(draft)).toEqual([]);
    core.receive([commit(3, ['u', 'node', ['a'], { x: 4 }, { x: 7 }])]);
    expect(x()).toBe(7);
    expect(core.draftChanges(draft)).toEqual([['u', 'node', ['a'], { x: 7 }, { x: 4 }]]);
  });

  it('does not hold on to a value that was put back (S11)', () => {
    const { core, draft, write, x } = opened();
    write(draft, set('a', { x: 7 }));
    write(draft, set('a', { x: 1 }));
    core.receive([commit(2, ['u', 'node', ['a'], { x: 4 }, { x: 1 }])]);
    expect(x()).toBe(4);
  });

  it('drops what no longer fits and says so (S11)', () => {
    const { core, draft, write } = opened();
    write(draft, set('a', { x: 7 }), set('b', { x: 8 }));
    const { dropped } = core.receive([commit(2, ['d', 'node', ['b'], null, { x: 2, y: 2, code: 2 }])]);
    expect(dropped.map(({ operation, error }) => [operation[2], error.message])).toEqual([[['b'], 'there is no node ["b"]']]);
    expect(core.saveDraft(draft).changes).toEqual([['u', 'node', ['a'], { x: 7 }, { x: 1 }]]);
  });

  it('lies above edits made while it is open (S12)', () => {
    const { core, draft, write, x } = opened();
    write(draft, set('a', { x: 7 }));
    const edited = core.edit((writer) => writer.apply(set('a', { x: 3, y: 3 })));
    expect(edited.changes).toEqual([['u', 'node', ['a'], { x: 3, y: 3 }, { x: 1, y: 1 }]]);
    expect(x()).toBe(7);
    core.pend(['c', 1], edited.changes);
    core.cancelDraft(draft);
    expect(x()).toBe(3);
  });

  it('lies beside other drafts, each saved or cancelled alone (S12)', () => {
    const { db, core, draft, write } = opened();
    const second = core.openDraft();
    write(draft, set('a', { x: 7 }));
    write(second, set('a', { y: 8 }), set('b', { y: 9 }));
    write(draft, set('b', { x: 6 }));
    core.cancelDraft(draft);
    expect(db.all('SELECT x, y FROM node ORDER BY id')).toEqual([[1, 8], [2, 9]]);
    expect(core.saveDraft(second).changes).toHaveLength(2);
    expect(() => core.cancelDraft(draft)).toThrow('draft 1 is not open');
  });

  it('stays open if it cannot be saved (S12)', () => {
    const { core, draft, write, x } = opened();
    const second = core.openDraft();
    write(draft, ['i', 'node', ['n'], { x: 5 }]);
    write(second, set('n', { x: 6 }));
    expect(() => core.saveDraft(second)).toThrow('there is no node ["n"]');
    expect(x('n')).toBe(6);
    core.pend(['c', 1], core.saveDraft(draft).changes);
    expect(core.saveDraft(second).changes).toEqual([['u', 'node', ['n'], { x: 6 }, { x: 5 }]]);
  });

  it('survives a statement that rolls back the whole transaction, in a lower draft too (S12)', () => {
    const { db, core, draft, write } = opened();
    const second = core.openDraft();
    write(draft, set('a', { x: 7 }));
    write(second, set('a', { y: 8 }));
    const edit = (): unknown => core.editDraft(draft, (writer) => writer.sql("INSERT OR ROLLBACK INTO node(id) VALUES('a')"));
    expect(edit).toThrow('UNIQUE');
    expect(db.get("SELECT x, y FROM node WHERE id='a'")).toEqual([7, 8]);
    core.cancelDraft(draft);
    core.cancelDraft(second);
    expect(db.get("SELECT x, y FROM node WHERE id='a'")).toEqual([1, 1]);
  });
});
