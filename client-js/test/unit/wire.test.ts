import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeChange, decodeCommit, decodeValue, encodeChange, encodeValue, type Json, keyText, parseKeyText, WireError } from '../../src/capture/wire.js';
import { Real } from '../../src/engine/types.js';
import type { Operation, Row } from '../../src/core/types.js';
import type { ColumnType } from '../../src/core/types.js';
import { ENGINES } from '../engines.js';

interface Vector {
  name: string;
  column: ColumnType;
  sql: string;
  wire: Json;
  also?: Json[];
}

const file = new URL('../../../tests/vectors/values.json', import.meta.url);
const { values, refused } = JSON.parse(readFileSync(file, 'utf8')) as { values: Vector[]; refused: Json[] };

describe.each(ENGINES)('values on $name', (engine) => {
  function table(type: string): ReturnType<typeof engine.open> {
    const db = engine.open();
    db.exec(`CREATE TABLE t(v ${type}) STRICT`);
    return db;
  }

  it.each(values)('travel as agreed: $name (S13)', ({ column, sql, wire }) => {
    const db = table(column);
    db.exec(`INSERT INTO t VALUES(${sql})`);
    const [type, value] = db.get('SELECT typeof(v), v FROM t')!;
    const cell = column === 'ANY' && type === 'real' && Number.isSafeInteger(value) ? new Real(value as number) : value!;
    expect(encodeValue(cell, column)).toEqual(wire);
  });

  it.each(values)('are stored as they were: $name (S13)', ({ column, sql, wire, also = [] }) => {
    for (const form of [wire, ...also]) {
      const db = table(column);
      db.run('INSERT INTO t VALUES(?)', [decodeValue(form)]);
      db.exec(`INSERT INTO t VALUES(${sql})`);
      expect(db.all('SELECT DISTINCT typeof(v), quote(v) FROM t')).toHaveLength(1);
    }
  });
});

it.each(refused.map((json) => [JSON.stringify(json), json]))('refuses %s as a value (S13)', (_, json) => {
  expect(() => decodeValue(json)).toThrow(WireError);
});

it('writes a large real so that nobody takes it for an integer (S13)', () => {
  expect(encodeValue(1e20, 'REAL')).toEqual({ $r: 1e20 });
});

it('refuses to send what JSON cannot say (S13)', () => {
  expect(() => encodeValue(Infinity, 'REAL')).toThrow(RangeError);
});

it('reads back every key that it writes (S13)', () => {
  const keys = [['a', 1], ['a,1'], [9007199254740993n], ['\0'], [new Uint8Array([1, 2])], ['"']];
  for (const key of keys) expect(parseKeyText(keyText(key))).toEqual(key);
  expect(new Set(keys.map(keyText)).size).toBe(keys.length);
});

it('never reaches a prototype through a column called __proto__ (S13)', () => {
  const change = decodeChange(JSON.parse('["u","t",["a"],{"__proto__":1},{"__proto__":{"$r":2}}]'));
  expect(Object.keys(change[3]!)).toEqual(['__proto__']);
  expect(JSON.stringify(encodeChange(change, new Map()))).toBe('["u","t",["a"],{"__proto__":1},{"__proto__":{"$r":2}}]');
  expect(({} as { polluted?: unknown }).polluted).toBe(undefined);
});

it('writes a push as the server reads it (S13)', () => {
  const types = new Map<string, ColumnType>([['x', 'REAL'], ['data', 'ANY']]);
  const changes: Operation[] = [['i', 't', ['a'], { x: 3, data: 3 }], ['d', 't', ['a']], ['s', 't', [1], { data: new Real(3) } as Row]];
  expect(changes.map((change) => JSON.stringify(encodeChange(change, types)))).toEqual([
    '["i","t",["a"],{"x":3,"data":3}]',
    '["d","t",["a"]]',
    '["s","t",[1],{"data":{"$r":3}}]',
  ]);
});

it.each([
  [null],
  [{ v: 1 }],
  [{ v: '1', kind: 'edit', changes: [] }],
  [{ v: 1, kind: 'magic', changes: [] }],
  [{ v: 1, kind: 'edit', changes: [['s', 't', ['a'], {}]] }],
  [{ v: 1, kind: 'edit', changes: [['i', 't', 'a', {}]] }],
  [{ v: 1, kind: 'edit', changes: [['u', 't', ['a'], {}]] }],
  [{ v: 1, kind: 'schema', changes: [], steps: [1] }],
  [{ v: 1, kind: 'edit', changes: [], id: ['c'] }],
])('refuses a commit of another shape: %j (S13)', (json) => {
  expect(() => decodeCommit(json)).toThrow(WireError);
});

it('keeps what a commit says of itself (S13)', () => {
  const commit = { v: 2, id: ['c', 1], at: 5, by: 'ann', kind: 'edit', tag: 'drag', changes: [['d', 't', ['a'], null, { x: 1 }]] };
  expect(decodeCommit(commit)).toEqual(commit);
});
