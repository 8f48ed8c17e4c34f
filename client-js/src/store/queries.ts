/** Queries: reading only, whatever their text says. */
import type { Value } from '../api.js';
import type { Db } from '../engine/types.js';
import { StoreError } from '../errors.js';
import { SqlError } from '../engine/errors.js';
import { rowsOf, type Rows } from '../reactive/query-watch.js';

export function query(db: Db, sql: string, params: Value[] = []): Rows {
  try {
    refuseWriting(db, sql, params);
    return rowsOf(db.columns(sql), db.all(sql, params));
  } catch (error) {
    throw error instanceof SqlError ? new StoreError('failed', error.message) : error;
  }
}

const READS = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|\()*(?:select|with|values|explain)\b/i;
const checked = new WeakMap<Db, Set<string>>();

/** A write beside `tx` would be in nobody's log. (`WITH ... DELETE` begins like a query: its program says what it is.) */
export function refuseWriting(db: Db, sql: string, params: Value[]): void {
  let known = checked.get(db);
  if (known === undefined) checked.set(db, (known = new Set()));
  if (known.has(sql)) return;
  const reads = READS.test(sql) && (/^\s*explain/i.test(sql) || !db.all(`EXPLAIN ${sql}`, params).some(([, opcode, , p2]) => opcode === 'Transaction' && p2 !== 0));
  if (!reads) throw new StoreError('invalid', 'a query only reads; write with tx');
  if (known.size > 1000) known.clear();
  known.add(sql);
}
