/** A wide table with many rows, as a scene has: 110 properties, few of them set. */
import type { Engine } from '../src/engine/types.js';

export const WIDTH = 110;
export const ROWS = 5000;

export function wideProject(engine: Engine): Uint8Array {
  const db = engine.open();
  db.exec('CREATE TABLE "_sharelite"(id INTEGER PRIMARY KEY, project TEXT, epoch TEXT, seq BLOB, version BLOB, contract_hash TEXT, contract TEXT) STRICT');
  db.exec(`INSERT INTO "_sharelite"(id, epoch, version) VALUES(1, 'e', x'0000000000000001'), (2, NULL, NULL)`);
  const columns = Array.from({ length: WIDTH }, (_, i) => `"style.p${i}" REAL`).join(', ');
  db.exec(`CREATE TABLE item(id TEXT NOT NULL PRIMARY KEY, x REAL, y REAL, name TEXT, ${columns}) STRICT`);
  db.exec('CREATE TABLE "item.points"("_parent.id" TEXT NOT NULL REFERENCES item(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, id TEXT NOT NULL, x REAL, y REAL, PRIMARY KEY("_parent.id", id)) STRICT');
  db.exec('BEGIN');
  for (let i = 0; i < ROWS; i++) {
    db.run('INSERT INTO item(id, x, y, name, "style.p7") VALUES(?, ?, ?, ?, ?)', [`k${i}`, i, -i, `item ${i}`, i / 2]);
  }
  db.exec('COMMIT');
  const file = new Uint8Array(db.export());
  db.close();
  return file;
}
