/** The first file of a project, made from its contract as the server would make it. */
import { quoted } from '../../src/capture/sql.js';
import type { Contract, Table } from '../../src/contract/model.js';
import { readContract } from '../../src/contract/read.js';
import type { Engine } from '../../src/engine/types.js';

const SHARELITE = `CREATE TABLE "_sharelite"(id INTEGER PRIMARY KEY, project TEXT, epoch TEXT, seq BLOB, version BLOB,
  log_digest BLOB, row_digest BLOB, contract_hash TEXT, contract TEXT) STRICT`;

export function firstFile(engine: Engine, document: object, project: string, epoch: string): Uint8Array {
  const contract = readContract(document as Record<string, unknown>, 'hash-1');
  const db = engine.open();
  db.exec(SHARELITE);
  db.run('INSERT INTO "_sharelite"(id, project, epoch, version) VALUES(1, ?, ?, ?)', [project, epoch, version(1)]);
  db.run('INSERT INTO "_sharelite"(id, contract_hash, contract) VALUES(2, ?, ?)', [contract.hash, JSON.stringify(document)]);
  for (const sql of createSql(contract)) db.exec(sql);
  for (const table of contract.tables.values()) if (table.singleton) db.exec(`INSERT INTO ${quoted(table.name)}(_id) VALUES(1)`);
  const bytes = new Uint8Array(db.export());
  db.close();
  return bytes;
}

export function createSql(contract: Contract): string[] {
  return [...contract.tables.values()].map(tableSql);
}

function tableSql(table: Table): string {
  const columns = table.columns.map((column) => `${quoted(column)} ${table.types.get(column)}${table.key.includes(column) ? ' NOT NULL' : ''}`);
  const parent = table.key.slice(0, -table.own.length).map(quoted).join(', ');
  const reference = table.parent === undefined ? [] : [
    `FOREIGN KEY(${parent}) REFERENCES ${quoted(table.parent.name)}(${table.parent.key.map(quoted).join(', ')}) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED`,
  ];
  return `CREATE TABLE ${quoted(table.name)}(${[...columns, `PRIMARY KEY(${table.key.map(quoted).join(', ')})`, ...reference].join(', ')}) STRICT`;
}

function version(number: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  return bytes;
}
