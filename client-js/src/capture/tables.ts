/** Which tables a database has, read from the database itself. */
import type { ColumnType, TableInfo } from '../core/types.js';
import type { Db } from '../engine/types.js';

const TABLES = `select name from pragma_table_list
  where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\' and name not like '\\_%' escape '\\'
  order by name`;
/** hidden: 2 and 3 are generated columns, which no one writes. */
const COLUMNS = 'select name, type, pk from pragma_table_xinfo(?) where hidden = 0 order by cid';

const TYPES: readonly string[] = ['TEXT', 'INTEGER', 'REAL', 'BLOB'];

/** Every plain table with a primary key; ours (`_sharelite`), SQLite's and virtual ones are not the project's rows. */
export function readTables(db: Db): Map<string, TableInfo> {
  const infos = db.all(TABLES).map(([name]) => readTable(db, String(name)));
  return new Map(infos.filter((info) => info.key.length > 0).map((info) => [info.name, info]));
}

function readTable(db: Db, name: string): TableInfo {
  const columns = db.all(COLUMNS, [name]).map(([column, type, pk]) => ({
    name: String(column),
    type: columnType(String(type)),
    pk: Number(pk),
  }));
  const key = columns.filter((column) => column.pk > 0).sort((a, b) => a.pk - b.pk);
  return {
    name,
    key: key.map((column) => column.name),
    columns: columns.map((column) => column.name),
    types: new Map(columns.map((column) => [column.name, column.type])),
  };
}

function columnType(declared: string): ColumnType {
  const upper = declared.toUpperCase();
  if (upper === 'INT') return 'INTEGER';
  return TYPES.includes(upper) ? (upper as ColumnType) : 'ANY';
}
