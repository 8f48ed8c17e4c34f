import { describe, expect, it } from 'vitest';
import type { Cell, Db } from '../../src/engine/types.js';
import { Real } from '../../src/engine/types.js';
import { withCasts } from '../../src/engine/params.js';
import { ENGINES } from '../engines.js';

const CELLS: [string, Cell, string][] = [
  ['a small integer', 3, 'integer'],
  ['an integer beyond 32 bits', 2 ** 40, 'integer'],
  ['the largest safe integer', 2 ** 53 - 1, 'integer'],
  ['an integer beyond 2^53', 9007199254740993n, 'integer'],
  ['the smallest int64', -(2n ** 63n), 'integer'],
  ['an integral real', new Real(3), 'real'],
  ['a real beyond 2^53', 1e300, 'real'],
  ['a fraction', 0.1, 'real'],
  ['text with U+0000', 'a\0b', 'text'],
  ['a long text that begins with a byte order mark', `\uFEFF${'x'.repeat(40)}`, 'text'],
  ['text beyond the basic plane', '🌍é', 'text'],
  ['no text', '', 'text'],
  ['bytes', new Uint8Array([0, 255, 1]), 'blob'],
  ['no bytes', new Uint8Array(), 'blob'],
  ['nothing', null, 'null'],
];

describe.each(ENGINES)('$name', (engine) => {
  const opened = (...statements: string[]): Db => {
    const db = engine.open();
    statements.forEach((sql) => db.exec(sql));
    return db;
  };

  it.each(CELLS)('stores and reads %s without loss (S1)', (_, cell, type) => {
    const db = opened('create table t(a any) strict');
    db.run('insert into t values (?)', [cell]);
    expect(db.get('select typeof(a), a, a is ? from t', [cell])).toEqual([type, cell instanceof Real ? cell.value : cell, 1]);
  });

  it('stores minus zero as zero (S1)', () => {
    const db = opened('create table t(a real) strict');
    db.run('insert into t values (?)', [-0]);
    expect(Object.is(db.get('select a from t')?.[0], 0)).toBe(true);
  });

  it.each([['a lone surrogate', '\ud800'], ['NaN', Number.NaN], ['65 bits', 2n ** 63n]])('refuses %s (S1)', (_, cell) => {
    const db = opened('create table t(a any) strict');
    expect(() => db.run('insert into t values (?)', [cell])).toThrow(RangeError);
  });

  it('does not change how a large parameter is compared (S1)', () => {
    const db = opened('create table t(a any) strict', "insert into t values ('4294967296')");
    expect(db.all('select 1 from t where a = ?', [2 ** 32])).toEqual([]);
  });

  it('never runs triggers of the file, but does run TEMP ones (S2)', () => {
    const file = opened('create table t(a); create table log(a)', `create trigger x after insert on t begin insert into log values ('file'); end`).export();
    const db = engine.open(file);
    db.exec(`create temp trigger y after insert on t begin insert into log values ('temp'); end`);
    db.run('insert into t values (1)');
    expect(db.all('select a from log')).toEqual([['temp']]);
  });

  it('keeps the triggers of the file in what it exports (S2)', () => {
    const file = opened('create table t(a)', 'create trigger x after insert on t begin select 1; end').export();
    const again = engine.open(engine.open(file).export());
    again.storedTriggers(true);
    expect(again.get("select name from sqlite_schema where type = 'trigger'")).toEqual(['x']);
  });

  it('opens a file whose header says WAL', () => {
    const file = opened('create table t(a)', 'insert into t values (7)').export();
    file[18] = file[19] = 2;
    expect(engine.open(file).get('select a from t')).toEqual([7]);
  });

  it('says which statement failed and why', () => {
    const db = opened('create table t(a unique)', 'insert into t values (1)');
    expect(() => db.run('insert into t values (?)', [1])).toThrow(/UNIQUE constraint failed: t.a in: insert/);
  });

  it('goes on with a statement after it failed', () => {
    const db = opened('create table t(a unique)', 'insert into t values (1)');
    expect(() => db.run('insert into t values (?)', [1])).toThrow();
    expect(db.run('insert into t values (?)', [2])).toBe(1);
  });

  it('names the columns of a query, also after the table has changed', () => {
    const db = opened('create table t(a, b)');
    expect(db.columns('select * from t')).toEqual(['a', 'b']);
    db.exec('alter table t add column c');
    expect(db.columns('select * from t')).toEqual(['a', 'b', 'c']);
  });
});

describe.each(ENGINES.filter((engine) => engine.caps.authorizer))('$name with an authorizer', (engine) => {
  it('says which columns a query reads', () => {
    const db = engine.open();
    db.exec('create table t(a, b); create table u(c)');
    const reads = db.reads?.('select t.b from t where exists (select 1 from u where c = a)') ?? [];
    expect(reads.map((read) => `${read.table}.${read.column}`).sort()).toEqual(['t.a', 't.b', 'u.c']);
  });
});

it('casts only parameters, not question marks in texts, names and comments', () => {
  const sql = `select ?, '?', "?", [?], ?1, ?3 -- ?\n/* ? */, ?`;
  expect(withCasts(sql, [undefined, undefined, 'REAL', 'INTEGER'])).toBe(
    `select ?, '?', "?", [?], ?1, (+CAST(?3 AS REAL)) -- ?\n/* ? */, (+CAST(?4 AS INTEGER))`,
  );
});
