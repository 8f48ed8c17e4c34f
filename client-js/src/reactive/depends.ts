/**
 * Which columns a query depends on: from the authorizer where the engine has one, else read from the program that
 * SQLite makes of it (EXPLAIN). What the program does not say for certain counts as the whole table.
 */
import type { Value } from '../api.js';
import type { Db } from '../engine/types.js';
import type { Scope } from './watch.js';

/** Columns by table; undefined: all of them. */
type Reads = Map<string, Set<string> | undefined>;

/** Throws what the engine says if the query cannot be prepared. */
export function dependsOn(db: Db, sql: string, params: Value[]): Scope[] {
  const reads = db.reads === undefined ? explained(db, sql, params) : authorized(db, sql);
  return [...reads].map(([table, columns]) => ({ table, prefix: [], columns: columns && [...columns] }));
}

function authorized(db: Db, sql: string): Reads {
  const reads: Reads = new Map();
  for (const { table, column } of db.reads!(sql)) {
    const columns = reads.get(table) ?? new Set();
    reads.set(table, columns);
    if (column !== '') columns.add(column);
  }
  return reads;
}

/** A stored table or index; `known`: its columns stand in the program as they stand in `columns`. */
interface Root { table: string; columns: string[]; index: boolean; known: boolean }

/** p1 is the cursor, p2 the root page, p3 the database (0: main). */
const OPENS = new Set<Value>(['OpenRead', 'OpenWrite', 'ReopenIdx']);

function explained(db: Db, sql: string, params: Value[]): Reads {
  const program = db.all(`EXPLAIN ${sql}`, params).map(([, opcode, p1, p2, p3]) => ({ opcode: opcode!, p1, p2, p3 }));
  const roots = rootsOf(db);
  const cursors = new Map<Value | undefined, Root>();
  const reads: Reads = new Map();
  for (const { opcode, p1, p2, p3 } of program) {
    const root = OPENS.has(opcode) && p3 === 0 ? roots.get(p2 as number) : undefined;
    if (root === undefined) continue;
    cursors.set(p1, root);
    note(reads, root, root.known ? (root.index ? root.columns : []) : undefined);
  }
  for (const { opcode, p1, p2 } of program) {
    const root = opcode === 'Column' ? cursors.get(p1) : undefined;
    if (root === undefined || root.index) continue;
    const column = root.columns[p2 as number];
    note(reads, root, column === undefined ? undefined : [column]);
  }
  return reads;
}

function note(reads: Reads, { table }: Root, columns: string[] | undefined): void {
  const before = reads.has(table) ? reads.get(table) : new Set<string>();
  reads.set(table, before && columns && new Set([...before, ...columns]));
}

const ROOTS = "SELECT rootpage, type = 'index', name, tbl_name FROM main.sqlite_schema WHERE rootpage > 0";
/** Virtual generated columns are not stored. */
const COLUMNS = 'SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 2 ORDER BY cid';
/** Where the index holds an expression, a NULL says so. */
const INDEXED = 'SELECT name FROM pragma_index_info(?)';
const WITHOUT_ROWID = "SELECT 1 FROM pragma_table_list(?) WHERE schema = 'main' AND wr";

function rootsOf(db: Db): Map<number, Root> {
  return new Map(db.all(ROOTS).map(([page, index, name, table]) => [
    page as number, index ? indexOf(db, String(name), String(table)) : tableOf(db, String(table)),
  ]));
}

function indexOf(db: Db, name: string, table: string): Root {
  const columns = db.all(INDEXED, [name]).map(([column]) => column);
  const known = columns.every((column) => column !== null) && db.get(WITHOUT_ROWID, [table]) === undefined;
  return { table, columns: columns.map(String), index: true, known };
}

function tableOf(db: Db, table: string): Root {
  const columns = db.all(COLUMNS, [table]).map(([column]) => String(column));
  return { table, columns, index: false, known: db.get(WITHOUT_ROWID, [table]) === undefined };
}
