import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { rowDigest } from '../../src/core/digest.js';
import { sha256 } from '../../src/core/sha256.js';
import { type Cell, Real } from '../../src/engine/types.js';
import { ENGINES } from '../engines.js';

const INTEGERS = [0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 9007199254740993n, 2n ** 63n - 1n, -1, -32, -33, -128, -129,
  -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2n ** 63n)];
const CELLS: Cell[] = [...INTEGERS, new Real(0), new Real(1), -2.5, 1e300, '', 'x'.repeat(31), 'x'.repeat(32), 'é🌍'.repeat(100), 'y'.repeat(70000),
  new Uint8Array(), new Uint8Array([0, 255]), new Uint8Array(300).fill(0x7a), new Uint8Array(70000).fill(0x7a)];

describe.each(ENGINES)('the row digest on $name', (engine) => {
  it('is the number that the server computes for the same cells (S16)', () => {
    const db = engine.open();
    db.exec('CREATE TABLE t(id INTEGER PRIMARY KEY, v ANY, w TEXT) STRICT; CREATE TABLE _sharelite(id INTEGER PRIMARY KEY)');
    CELLS.forEach((cell, id) => db.run('INSERT INTO t VALUES(?, ?, NULL)', [id, cell]));
    // Made with Python: msgpack.packb(["t", [id], column, value]) and hashlib.sha256.
    expect(rowDigest(db)).toBe('be5ffff4b9d44ffc32584361f4cc48c0');
  });

  it('does not depend on the order in which rows came (S16)', () => {
    const digests = ['1, 2', '2, 1'].map((order) => {
      const db = engine.open();
      db.exec('CREATE TABLE t(k TEXT NOT NULL PRIMARY KEY, v ANY) STRICT');
      for (const id of order.split(', ')) db.run('INSERT INTO t VALUES(?, ?)', [id, Number(id)]);
      return rowDigest(db);
    });
    expect(digests[0]).toBe(digests[1]);
  });
});

it('hashes like everybody else (S16)', () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const bytes = new Uint8Array(length).map((_, i) => i * 7);
    const words = [...sha256(bytes)].map((word) => word.toString(16).padStart(8, '0')).join('');
    expect(words).toBe(createHash('sha256').update(bytes).digest('hex'));
  }
});
