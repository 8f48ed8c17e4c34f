/** A small project file for tests of the core: its tables, and the row that says which version it is. */
import { quoted } from '../src/capture/sql.js';
import type { Db, Engine } from '../src/engine/types.js';

export const EPOCH = '0123456789abcdef0123456789abcdef';

const SHARELITE = `CREATE TABLE "_sharelite"(id INTEGER PRIMARY KEY, project TEXT, epoch TEXT, seq BLOB, version BLOB,
  log_digest BLOB, row_digest BLOB, contract_hash TEXT, contract TEXT) STRICT`;

/** References as a contract makes them: judged at the end of the transaction. */
export const TABLES = [
  `CREATE TABLE node(id TEXT NOT NULL PRIMARY KEY, x REAL, y REAL, name TEXT, "text.font.size" INTEGER, data ANY, code INTEGER UNIQUE) STRICT`,
  `CREATE TABLE "node.points"("_parent.id" TEXT NOT NULL REFERENCES node(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, id TEXT NOT NULL, _order TEXT, x REAL,
    PRIMARY KEY("_parent.id", id)) STRICT`,
  `CREATE TABLE link(id INTEGER PRIMARY KEY, target TEXT REFERENCES node(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, weight REAL) STRICT`,
];

/** The same where the schema does not say so. */
export const IMMEDIATE = TABLES.map((sql) => sql.replace(' DEFERRABLE INITIALLY DEFERRED', ''));

export function projectFile(engine: Engine, statements: readonly string[] = [], tables: readonly string[] = TABLES): Uint8Array {
  const db = engine.open();
  db.exec(SHARELITE);
  for (const sql of tables) db.exec(sql);
  db.exec(`INSERT INTO "_sharelite"(id, epoch, version) VALUES(1, '${EPOCH}', x'0000000000000001'), (2, NULL, NULL)`);
  for (const sql of statements) db.exec(sql);
  const file = new Uint8Array(db.export());
  db.close();
  return file;
}

/** Every cell with its type, in an order that does not depend on how the rows got there. */
export function dump(db: Db, tables: Iterable<string>): string {
  return [...tables].map((table) => `${table}\n${rows(db, table).sort().join('\n')}`).join('\n');
}

function rows(db: Db, table: string): string[] {
  const columns = db.columns(`SELECT * FROM "${table}"`);
  const cells = columns.map(quoted).map((name) => `typeof(${name}) || CASE typeof(${name}) WHEN 'text' THEN hex(${name}) ELSE quote(${name}) END`);
  return db.all(`SELECT ${cells.join(', ')} FROM ${quoted(table)}`).map((row) => row.join(' '));
}
