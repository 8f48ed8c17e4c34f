/** What every engine does with a database it has just opened. */
import type { Db } from './types.js';

/**
 * recursive_triggers: without it the victims of REPLACE are not captured. journal_mode memory: sql.js would write
 * its journal into a file system of its own, three times slower. trusted_schema off: the file is somebody else's.
 */
const SETTINGS = [
  'pragma journal_mode = memory',
  'pragma temp_store = memory',
  'pragma synchronous = off',
  'pragma trusted_schema = off',
  'pragma recursive_triggers = on',
  'pragma foreign_keys = on',
];

export function settle(db: Db): Db {
  for (const setting of SETTINGS) db.all(setting);
  db.storedTriggers(false);
  return db;
}

const WAL_FILE = 2;

/** A copy whose header does not say WAL: an engine in memory has nowhere to put one. */
export function withoutWal(bytes: Uint8Array): Uint8Array {
  if (bytes[18] !== WAL_FILE && bytes[19] !== WAL_FILE) return bytes;
  const copy = bytes.slice();
  copy[18] = copy[19] = 1;
  return copy;
}
