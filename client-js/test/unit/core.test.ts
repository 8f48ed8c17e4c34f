import { describe, expect, it } from 'vitest';
import { Core } from '../../src/core/core.js';
import { CannotApply, Diverged } from '../../src/core/errors.js';
import type { Change, Commit, MutationId, Operation } from '../../src/core/types.js';
import type { Db } from '../../src/engine/types.js';
import { ENGINES } from '../engines.js';
import { dump, projectFile } from '../project.js';

const ME = 'c'.repeat(32);
const id = (counter: number): MutationId => [ME, counter];
const commit = (v: number, changes: Change[], mutation?: MutationId): Commit => ({ v, kind: 'edit', changes, ...(mutation && { id: mutation }) });
const move = (x: number, old: number, key = 'a'): Change => ['u', 'node', [key], { x }, { x: old }];

describe.each(ENGINES)('the core on $name', (engine) => {
  const SEED = ["INSERT INTO node(id, x, y, code) VALUES('a', 1, 1, 1), ('b', 2, 2, 2)", "INSERT INTO \"node.points\" VALUES('a', 'p', 'V', 5)"];

  function opened(): { db: Db; core: Core; x(key?: string): unknown } {
    const db = engine.open(projectFile(engine, SEED));
    const core = new Core(db);
    return { db, core, x: (key = 'a') => db.get('SELECT x FROM node WHERE id=?', [key])?.[0] };
  }

  function pending(core: Core, counter: number, operations: Operation[]): void {
    core.pend(id(counter), core.edit((writer) => writer.applyAll(operations)).changes);
  }

  it('shows an edit at once, and tells what really happened (S3)', () => {
    const { core, x } = opened();
    const edited = core.edit((writer) => writer.apply(['u', 'node', ['a'], { x: 7, y: 1 }]));
    expect(edited.changes).toEqual([move(7, 1)]);
    expect(edited.touched).toEqual(new Map([['node', new Map([['["a"]', new Set(['x'])]])]]));
    expect(x()).toBe(7);
  });

  it('captures what a cascade takes with it, children first (S3)', () => {
    const { core } = opened();
    const { changes } = core.edit((writer) => writer.apply(['d', 'node', ['a']]));
    expect(changes).toEqual([
      ['d', 'node.points', ['a', 'p'], null, { _order: 'V', x: 5 }],
      ['d', 'node', ['a'], null, { x: 1, y: 1, code: 1 }],
    ]);
  });

  it('leaves nothing of an edit that throws (S3)', () => {
    const { db, core } = opened();
    const before = dump(db, core.tables.keys());
    const edit = (): unknown =>
      core.edit((writer) => {
        writer.apply(['d', 'node', ['a']]);
        writer.apply(['u', 'node', ['missing'], { x: 1 }]);
      });
    expect(edit).toThrow(CannotApply);
    expect(dump(db, core.tables.keys())).toBe(before);
    expect(core.edit(() => undefined).changes).toEqual([]);
  });

  it('leaves nothing of an edit that its check refuses (S3)', () => {
    const { core, x } = opened();
    const check = (): void => {
      throw new RangeError('too far');
    };
    expect(() => core.edit((writer) => writer.apply(['u', 'node', ['a'], { x: 7 }]), check)).toThrow('too far');
    expect(x()).toBe(1);
  });

  it('survives a statement that rolls back the whole transaction (S3)', () => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    const edit = (): unknown => core.edit((writer) => writer.sql("INSERT OR ROLLBACK INTO node(id, code) VALUES('c', 1)"));
    expect(edit).toThrow('UNIQUE');
    expect(x()).toBe(7);
    expect(core.receive([commit(2, [move(3, 1)])]).failing).toEqual([]);
  });

  it.each([
    'UPDATE _sharelite SET version = NULL', "UPDATE '_sharelite' SET version = NULL", 'DELETE FROM main."_sharelite"', 'INSERT INTO[_capture] DEFAULT VALUES',
    'UPDATE "a\'b" SET x = 1 FROM temp . `_CAPTURE_ON`', "UPDATE sqlite_sequence SET seq = 1 -- '", "WITH x AS (SELECT 1) UPDATE main/**/._sharelite SET version = 'x'",
  ])('cannot reach what is not the project\'s: %s (S64)', (sql) => {
    const { core } = opened();
    expect(() => core.edit((writer) => void writer.sql(sql))).toThrow("not one of the project's");
  });

  it('may speak of such tables in texts (S64)', () => {
    const { core } = opened();
    core.edit((writer) => void writer.sql("UPDATE node SET name = 'about _sharelite; and sqlite_sequence', x = length(sqlite_version()) -- _capture"));
  });

  it.each(['COMMIT', 'DROP TABLE node', 'PRAGMA foreign_keys=0', '-- x\nROLLBACK', "DELETE FROM node WHERE id=';'; DROP TABLE node"])(
    'refuses %s within a mutation (S3)',
    (sql) => {
      const { core } = opened();
      expect(() => core.edit((writer) => writer.sql(sql))).toThrow(CannotApply);
    },
  );

  it('gives an operation the meaning that the server gives it (S4)', () => {
    const { core } = opened();
    const code = (operation: Operation): string => {
      try {
        return core.edit((writer) => writer.apply(operation)).changes.map((change) => change[0]).join() || 'nothing';
      } catch (error) {
        return (error as CannotApply).code;
      }
    };
    expect(code(['i', 'node', ['a'], {}])).toBe('exists');
    expect(code(['u', 'node', ['z'], { x: 1 }])).toBe('not_found');
    expect(code(['d', 'node', ['z']])).toBe('nothing');
    expect(code(['s', 'node', ['a'], { x: 9 }])).toBe('u');
    expect(code(['s', 'node', ['n'], { x: 9 }])).toBe('i');
    expect(code(['u', 'node', ['b'], { code: 1 }])).toBe('unique');
    expect(code(['u', 'node', ['b'], { nope: 1 }])).toBe('invalid');
    expect(code(['u', 'nope', ['b'], {}])).toBe('invalid');
    expect(code(['u', 'node', ['b'], { id: 'c' }])).toBe('invalid');
  });

  it('restates what SQLite tells in the wrong order: a key that its own row refers to (S3)', () => {
    const tree = `CREATE TABLE tree(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree(id) ON UPDATE CASCADE ON DELETE CASCADE, v REAL) STRICT`;
    const db = engine.open(projectFile(engine, ['INSERT INTO tree VALUES(1, 1, 0.5), (2, 1, 1.5)'], [tree]));
    const core = new Core(db);
    const { changes, touched } = core.edit((writer) => writer.sql('UPDATE tree SET id = 9 WHERE id = 1'));
    expect(db.all('SELECT * FROM tree ORDER BY id')).toEqual([[2, 9, 1.5], [9, 9, 0.5]]);
    expect(changes).toEqual([
      ['u', 'tree', [2], { parent: 9 }, { parent: 1 }],
      ['i', 'tree', [9], { parent: 9, v: 0.5 }],
      ['d', 'tree', [1], null, { parent: 1, v: 0.5 }],
    ]);
    expect([...touched.get('tree')!.keys()].sort()).toEqual(['[1]', '[2]', '[9]']);
  });

  it('refuses a reference that points nowhere, at the end of the edit and not before (S4)', () => {
    const { core } = opened();
    const link: Operation = ['i', 'link', [1], { target: 'n' }];
    expect(() => core.edit((writer) => writer.apply(link))).toThrow('link [1]: target names a node that is not there');
    expect(core.edit((writer) => writer.applyAll([link, ['i', 'node', ['n'], {}]])).changes).toHaveLength(2);
    const rename = (): unknown => core.edit((writer) => writer.sql("UPDATE node SET id='z' WHERE id='a'"));
    expect(rename).toThrow('node ["a"] is still named by node.points');
  });

  it('lets two rows swap a unique value (S4)', () => {
    const { db, core } = opened();
    const { changes } = core.edit((writer) =>
      writer.applyAll([
        ['u', 'node', ['a'], { code: 2 }],
        ['u', 'node', ['b'], { code: 1 }],
      ]),
    );
    expect(changes.map((change) => change[3])).toEqual([{ code: 2 }, { code: 1 }]);
    expect(db.all('SELECT id, code FROM node ORDER BY id')).toEqual([['a', 2], ['b', 1]]);
  });

  it('keeps a pending edit above what the server ordered (S5)', () => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    const rebased = core.receive([commit(2, [move(3, 1)])]);
    expect(x()).toBe(7);
    expect(core.version).toBe(2);
    expect(rebased.touched.get('node')?.get('["a"]')).toEqual(new Set(['x']));
  });

  it('lets go of a pending edit when its commit comes (S5)', () => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    core.receive([commit(2, [move(7, 1)], id(1)), commit(3, [move(8, 7)])]);
    expect([x(), core.pending]).toEqual([8, []]);
  });

  it('takes a refused edit back, and no other one (S5)', () => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    pending(core, 2, [['u', 'node', ['b'], { x: 8 }]]);
    core.receive([], [id(1)]);
    expect([x('a'), x('b'), core.pending]).toEqual([1, 8, [id(2)]]);
  });

  it('keeps a pending edit that does not apply at present, until it is answered (S5)', () => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['b'], { x: 7 }]]);
    const gone: Change = ['d', 'node', ['b'], null, { x: 2, y: 2, code: 2 }];
    expect(core.receive([commit(2, [gone])]).failing).toEqual([id(1)]);
    expect(x('b')).toBe(undefined);
    core.receive([commit(3, [['i', 'node', ['b'], { x: 3 }]])]);
    expect(x('b')).toBe(7);
  });

  it('skips commits that it has, and refuses a gap (S6)', () => {
    const { core, x } = opened();
    core.receive([commit(2, [move(3, 1)])]);
    core.receive([commit(2, [move(3, 1)]), commit(3, [move(4, 3)])]);
    expect([x(), core.version]).toEqual([4, 3]);
    expect(() => core.receive([commit(5, [move(9, 4)])])).toThrow(/version 4 is missing/);
  });

  it.each<[string, Change]>([
    ['an old value', move(5, 99)],
    ['a missing row', ['u', 'node', ['z'], { x: 1 }, { x: 2 }]],
    ['a row that is there', ['i', 'node', ['a'], { x: 1 }]],
    ['a deleted row with other cells', ['d', 'node', ['b'], null, { x: 2 }]],
    ['an unknown table', ['i', 'nope', ['a'], {}]],
    ['a reference to nothing', ['i', 'link', [1], { target: 'z' }]],
  ])('notices %s that is not the server\'s, and changes nothing (S6)', (_, change) => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    expect(() => core.receive([commit(2, [move(3, 1, 'a')]), commit(3, [change])])).toThrow(Diverged);
    expect([x(), core.version, core.pending]).toEqual([7, 1, [id(1)]]);
  });

  it('tells the integer 3 from the real 3 when it compares old values (S6)', () => {
    const { core } = opened();
    core.receive([commit(2, [['u', 'node', ['a'], { data: 3 }, { data: null }]])]);
    const change: Change = ['u', 'node', ['a'], { data: 'x' }, { data: 3.5 }];
    expect(() => core.receive([commit(3, [change])])).toThrow(Diverged);
    core.receive([commit(3, [['u', 'node', ['a'], { data: 'x' }, { data: 3 }]])]);
    expect(core.version).toBe(3);
  });

  it('applies commits without cascades of its own (S6)', () => {
    const { db, core } = opened();
    core.receive([
      commit(2, [['d', 'node', ['a'], null, { x: 1, y: 1, code: 1 }], ['i', 'node', ['a'], { x: 5 }]]),
      commit(3, [['u', 'node.points', ['a', 'p'], { x: 6 }, { x: 5 }]]),
    ]);
    expect(db.all('SELECT x FROM "node.points"')).toEqual([[6]]);
  });

  it('exports the confirmed rows with their version, and nothing that is pending (S7)', () => {
    const { core, x } = opened();
    core.receive([commit(2, [move(3, 1)])]);
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    const copy = engine.open(core.exportConfirmed());
    expect(copy.get('SELECT x, hex(version) FROM node, _sharelite WHERE node.id=? AND _sharelite.id=1', ['a'])).toEqual([3, '0000000000000002']);
    expect(copy.all("SELECT name FROM sqlite_schema WHERE name LIKE '%capture%'")).toEqual([]);
    expect(x()).toBe(7);
  });

  it('takes pending edits and drafts over to a new file (S7)', () => {
    const { core } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    const draft = core.openDraft();
    core.editDraft(draft, (writer) => writer.apply(['u', 'node', ['a'], { y: 8 }]));
    const db = engine.open(projectFile(engine, ["INSERT INTO node(id, x, y) VALUES('a', 50, 60)"]));
    const next = new Core(db);
    next.adopt(core);
    expect(db.get("SELECT x, y FROM node WHERE id='a'")).toEqual([7, 8]);
    expect(next.saveDraft(draft).changes).toEqual([['u', 'node', ['a'], { y: 8 }, { y: 60 }]]);
  });

  it('refuses a database that is not the file of a project', () => {
    const db = engine.open();
    expect(() => new Core(db)).toThrow(/_sharelite/);
  });

  it('follows a schema commit, and applies pending edits to the new tables (S8)', () => {
    const { db, core } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    pending(core, 2, [['u', 'node', ['a'], { name: 'gone' }]]);
    const steps = ['ALTER TABLE node DROP COLUMN name', 'ALTER TABLE node ADD COLUMN z REAL', 'CREATE TABLE settings(_id INTEGER PRIMARY KEY, dark INTEGER) STRICT'];
    const schema: Commit = { v: 2, kind: 'schema', contract: { title: 't' }, contract_hash: 'h', steps, changes: [['i', 'settings', [1], {}]] };
    const rebased = core.receive([schema]);
    expect([rebased.schema, rebased.failing]).toEqual([true, [id(2)]]);
    expect(core.edit((writer) => writer.apply(['u', 'settings', [1], { dark: 1 }])).changes).toHaveLength(1);
    expect(db.get("SELECT x, z FROM node WHERE id='a'")).toEqual([7, null]);
    expect(db.get('SELECT contract_hash, contract FROM _sharelite WHERE id=2')).toEqual(['h', '{"title":"t"}']);
  });

  it('keeps the old tables if a schema commit fails (S8)', () => {
    const { core, x } = opened();
    pending(core, 1, [['u', 'node', ['a'], { x: 7 }]]);
    expect(() => core.receive([{ v: 2, kind: 'schema', steps: ['DROP TABLE link', 'DROP TABLE nope'], changes: [] }])).toThrow(Diverged);
    expect([core.tables.has('link'), core.version, x()]).toEqual([true, 1, 7]);
    expect(core.edit((writer) => writer.apply(['i', 'link', [1], { target: 'a' }])).changes).toHaveLength(1);
  });
});
