/** The light engine: two thirds of the size, without full text, R*Tree and an authorizer. */
import type { Value } from '../api.js';
import type { Database, SqlJs, Statement } from 'sql.js';
import { refuseUnstorable, SqlError } from './errors.js';
import { type Cast, withCasts } from './params.js';
import { settle, withoutWal } from './settle.js';
import { StatementCache } from './statements.js';
import type { Cell, Db, Engine, EngineOptions } from './types.js';
import { Real } from './types.js';

export async function sqljs(options: EngineOptions = {}): Promise<Engine> {
  const { default: init } = await import('sql.js');
  const wasmUrl = options.wasmUrl ?? besideThisScript();
  const library = await init({
    useOldExtensionFunctions: false,
    ...(wasmUrl === undefined ? {} : { locateFile: () => wasmUrl }),
  });
  return {
    name: 'sqljs',
    caps: { authorizer: false, bigint: 'text', fts5: false },
    open: (bytes) => settle(new SqlJsDb(library, bytes)),
  };
}

/** In Node the library finds its own; in a page it would look beside the page. */
function besideThisScript(): string | undefined {
  const inNode = typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === 'string';
  return inNode ? undefined : new URL('./sql-wasm.wasm', import.meta.url).href;
}

class SqlJsDb implements Db {
  private readonly db: Database;
  private readonly statements: StatementCache<Statement>;
  /** Triggers of the file, taken out of the copy in memory because this engine cannot be told to ignore them. */
  private stored: { name: string; sql: string }[] = [];

  constructor(library: SqlJs, bytes?: Uint8Array) {
    this.db = new library.Database(bytes === undefined ? undefined : withoutWal(bytes));
    this.statements = new StatementCache(
      (sql) => this.prepare(sql),
      (statement) => statement.free(),
    );
  }

  exec(sql: string): void {
    this.statements.clear();
    this.guard(sql, () => this.db.exec(sql));
  }

  run(sql: string, params: readonly Cell[] = []): number {
    this.each(sql, params, () => undefined);
    return this.db.getRowsModified();
  }

  all(sql: string, params: readonly Cell[] = []): Value[][] {
    const rows: Value[][] = [];
    this.each(sql, params, (statement) => void rows.push(exactRow(statement)));
    return rows;
  }

  get(sql: string, params: readonly Cell[] = []): Value[] | undefined {
    let first: Value[] | undefined;
    this.each(sql, params, (statement) => {
      first ??= exactRow(statement);
    });
    return first;
  }

  columns(sql: string): string[] {
    const statement = this.prepare(sql);
    try {
      return statement.getColumnNames();
    } finally {
      statement.free();
    }
  }

  storedTriggers(on: boolean): void {
    if (on) {
      for (const { sql } of this.stored) this.exec(sql);
      return;
    }
    const rows = this.all("select name, sql from main.sqlite_schema where type = 'trigger'");
    this.stored = rows.map(([name, sql]) => ({ name: String(name), sql: String(sql) }));
    for (const { name } of this.stored) this.exec(`drop trigger main."${name.replaceAll('"', '""')}"`);
  }

  export(): Uint8Array {
    this.storedTriggers(true);
    try {
      return this.db.export();
    } finally {
      this.storedTriggers(false);
    }
  }

  close(): void {
    this.statements.clear();
    this.db.close();
  }

  private each(sql: string, params: readonly Cell[], visit: (statement: Statement) => void): void {
    params.forEach(refuseUnstorable);
    const statement = this.statements.get(withCastsWhereNeeded(sql, params));
    this.guard(sql, () => {
      try {
        statement.bind(params.map(bindable));
        while (statement.step()) visit(statement);
      } finally {
        statement.reset();
      }
    });
  }

  private prepare(sql: string): Statement {
    return this.guard(sql, () => this.db.prepare(sql));
  }

  private guard<T>(sql: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw new SqlError(error instanceof Error ? error.message : String(error), sql);
    }
  }
}

function withCastsWhereNeeded(sql: string, params: readonly Cell[]): string {
  const casts = params.map(castFor);
  return casts.some((cast) => cast !== undefined) ? withCasts(sql, casts) : sql;
}

/** This engine binds a bigint as text, an integer beyond 32 bits as a double and 3.0 as an integer. */
function castFor(cell: Cell): Cast {
  if (cell instanceof Real) return 'REAL';
  if (typeof cell === 'bigint') return 'INTEGER';
  return typeof cell === 'number' && cell !== (cell | 0) && Number.isSafeInteger(cell) ? 'INTEGER' : undefined;
}

function bindable(cell: Cell): Value {
  if (cell instanceof Real) return cell.value;
  return typeof cell === 'number' && castFor(cell) === 'INTEGER' ? String(cell) : cell;
}

/** The row again, where the plain reading of it would lose something. */
function exactRow(statement: Statement): Value[] {
  const cells = statement.get(null);
  if (cells.some(isBeyondDouble)) return withBigInts(statement, cells).map((cell, i) => exactText(statement, cell, i));
  return cells.some(isText) ? cells.map((cell, i) => exactText(statement, cell, i)) : cells;
}

function withBigInts(statement: Statement, cells: Value[]): Value[] {
  const exact = statement.get(null, { useBigInt: true });
  return cells.map((cell, i) => (isBeyondDouble(cell) ? (exact[i] ?? null) : cell));
}

function isBeyondDouble(cell: Value): boolean {
  return typeof cell === 'number' && Number.isInteger(cell) && !Number.isSafeInteger(cell);
}

function isText(cell: Value): boolean {
  return typeof cell === 'string';
}

/** sql.js decodes texts of more than 16 bytes with a decoder that swallows a leading U+FEFF. */
const MAY_HAVE_LOST_ITS_MARK = 5;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

function exactText(statement: Statement, cell: Value, column: number): Value {
  if (typeof cell !== 'string' || cell.length < MAY_HAVE_LOST_ITS_MARK) return cell;
  const bytes = statement.getBlob(column);
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return marked ? decoder.decode(bytes) : cell;
}
