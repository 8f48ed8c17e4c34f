/** The row digest (design: Digests): one number that is equal wherever the rows are, in whatever order they came. */
import { quoted } from '../capture/sql.js';
import { readTables } from '../capture/tables.js';
import type { Value } from '../api.js';
import type { Db } from '../engine/types.js';
import { Packer } from './msgpack.js';
import { sha256 } from './sha256.js';
import { properties } from './statements.js';
import type { TableInfo } from './types.js';

const MODULUS = 1n << 128n;

/** Over all rows as they are seen at present, pending ones and drafts included: 32 hexadecimal digits. */
export function rowDigest(db: Db): string {
  let total = 0n;
  const packer = new Packer();
  for (const table of readTables(db).values()) total += tableDigest(db, table, packer);
  return (total % MODULUS).toString(16).padStart(32, '0');
}

function tableDigest(db: Db, table: TableInfo, packer: Packer): bigint {
  const columns = [...table.key, ...properties(table)];
  const cells = columns.flatMap((column) => [`typeof(${quoted(column)})='real'`, quoted(column)]);
  let total = 0n;
  for (const row of db.all(`SELECT ${cells.join(',')} FROM main.${quoted(table.name)}`)) {
    columns.forEach((column, i) => {
      const value = row[2 * i + 1]!;
      if (value === null) return;
      packer.array(4).text(table.name).array(table.key.length);
      table.key.forEach((_, k) => pack(packer, row[2 * k]!, row[2 * k + 1]!));
      pack(packer.text(column), row[2 * i]!, value);
      total += first128(sha256(packer.take()));
    });
  }
  return total;
}

function pack(packer: Packer, isReal: Value, value: Value): void {
  packer.cell(value!, isReal === 1);
}

function first128(words: Uint32Array): bigint {
  return words.subarray(0, 4).reduce((sum, word) => (sum << 32n) | BigInt(word), 0n as bigint);
}
