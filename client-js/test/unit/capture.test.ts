import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Capture } from '../../src/capture/capture.js';
import { readTables } from '../../src/capture/tables.js';
import { encodeChange, type Json } from '../../src/capture/wire.js';
import type { Db } from '../../src/engine/types.js';
import { ENGINES } from '../engines.js';

interface Case {
  name: string;
  schema: string[];
  setup: string[];
  statements: string[];
  changes: Json[][];
}

const file = new URL('../../../tests/vectors/capture.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

/** Runs each statement and tells its changes; one that SQLite refuses tells what it told. */
function told(db: Db, capture: Capture, sql: string): Json[] {
  const tables = readTables(db);
  try {
    db.run(sql);
  } catch (error) {
    expect(String(error)).toContain('constraint');
  }
  return capture.drain().map((change) => encodeChange(change, tables.get(change[1])!.types));
}

describe.each(ENGINES)('the capture on $name', (engine) => {
  function captured(...statements: string[]): { db: Db; capture: Capture } {
    const db = engine.open();
    for (const sql of statements) db.exec(sql);
    const capture = new Capture(db, readTables(db).values());
    capture.install();
    return { db, capture };
  }

  it.each(cases)('tells what really happened: $name (S14)', ({ schema, setup, statements, changes }) => {
    const { db, capture } = captured(...schema, ...setup);
    expect(statements.map((sql) => told(db, capture, sql))).toEqual(changes);
  });

  it('tells a row of a thousand columns (S14)', () => {
    const columns = Array.from({ length: 999 }, (_, i) => `c${i}`);
    const { db, capture } = captured(`CREATE TABLE wide(id INTEGER PRIMARY KEY, ${columns.join(',')})`);
    db.run(`INSERT INTO wide VALUES(1, ${columns.map((_, i) => i).join(',')})`);
    const [change] = capture.drain();
    expect(Object.values(change![3]!)).toEqual(columns.map((_, i) => i));
  });

  it('is silent while it is turned off (S14)', () => {
    const { db, capture } = captured('CREATE TABLE t(id INTEGER PRIMARY KEY)');
    capture.turn(false);
    db.run('INSERT INTO t VALUES(1)');
    capture.turn(true);
    db.run('INSERT INTO t VALUES(2)');
    expect(capture.drain().map((change) => change[2])).toEqual([[2]]);
  });

  it('goes away without a trace (S14)', () => {
    const { db, capture } = captured('CREATE TABLE t(id INTEGER PRIMARY KEY, "a b" TEXT)');
    capture.remove();
    expect(db.all('SELECT name FROM sqlite_temp_schema')).toEqual([]);
  });

  it('refuses to tell an infinite number (S14)', () => {
    const { db, capture } = captured('CREATE TABLE t(id INTEGER PRIMARY KEY, x REAL)');
    db.run('INSERT INTO t VALUES(1, 9e999)');
    expect(() => capture.drain()).toThrow('Infinity cannot be stored');
  });
});
