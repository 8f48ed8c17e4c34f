/**
 * The default engine: SQLite's own build. Bound to the C functions directly, because the wrapper's checks cost more
 * than the statements that an editor runs sixty times a second.
 */
import type { Value } from '../api.js';
import { refuseUnstorable, SqlError } from './errors.js';
import { settle, withoutWal } from './settle.js';
import { StatementCache } from './statements.js';
import type { Cell, ColumnRead, Db, Engine, EngineOptions } from './types.js';
import { Real } from './types.js';

type Pointer = number;

/** The exported C functions that are used here: int64 is a bigint, everything else a number. */
interface C {
  sqlite3_prepare_v3(db: Pointer, sql: Pointer, bytes: number, flags: number, out: Pointer, tail: Pointer): number;
  sqlite3_step(statement: Pointer): number;
  sqlite3_reset(statement: Pointer): number;
  sqlite3_clear_bindings(statement: Pointer): number;
  sqlite3_finalize(statement: Pointer): number;
  sqlite3_changes(db: Pointer): number;
  sqlite3_errmsg(db: Pointer): Pointer;
  sqlite3_bind_null(statement: Pointer, index: number): number;
  sqlite3_bind_int(statement: Pointer, index: number, value: number): number;
  sqlite3_bind_int64(statement: Pointer, index: number, value: bigint): number;
  sqlite3_bind_double(statement: Pointer, index: number, value: number): number;
  sqlite3_bind_text(statement: Pointer, index: number, text: Pointer, bytes: number, destructor: number): number;
  sqlite3_bind_blob(statement: Pointer, index: number, blob: Pointer, bytes: number, destructor: number): number;
  sqlite3_bind_parameter_count(statement: Pointer): number;
  sqlite3_column_count(statement: Pointer): number;
  sqlite3_column_name(statement: Pointer, index: number): Pointer;
  sqlite3_column_type(statement: Pointer, index: number): number;
  sqlite3_column_double(statement: Pointer, index: number): number;
  sqlite3_column_int64(statement: Pointer, index: number): bigint;
  sqlite3_column_text(statement: Pointer, index: number): Pointer;
  sqlite3_column_blob(statement: Pointer, index: number): Pointer;
  sqlite3_column_bytes(statement: Pointer, index: number): number;
  sqlite3_set_authorizer(db: Pointer, callback: Pointer, context: Pointer): number;
}

export type Sqlite3 = Awaited<ReturnType<typeof import('@sqlite.org/sqlite-wasm').default>>;

const OK = 0;
const ROW = 100;
const DONE = 101;
const INTEGER = 1;
const FLOAT = 2;
const TEXT = 3;
const BLOB = 4;
const ACTION_READ = 20;
const PERSISTENT = 1;
const STEPS_BETWEEN = 20_000;
/** SQLite copies what is bound: the scratch memory is used again at once. */
const TRANSIENT = -1;

export async function sqliteWasm(options: EngineOptions = {}): Promise<Engine> {
  const sqlite3 = await loadSqlite3(options);
  return {
    name: 'sqlite-wasm',
    caps: { authorizer: true, bigint: 'native', fts5: true },
    open: (bytes) => settle(new WasmDb(sqlite3, new sqlite3.oo1.DB(':memory:'), bytes)),
  };
}

export async function loadSqlite3({ wasmUrl }: EngineOptions): Promise<Sqlite3> {
  const { default: init } = await import('@sqlite.org/sqlite-wasm');
  const load = init as (module?: { locateFile(file: string): string }) => Promise<Sqlite3>;
  return load(wasmUrl === undefined ? undefined : { locateFile: () => wasmUrl });
}

/** A file in a file system of one's own, to be read only. While a statement runs, `stop` is asked now and then whether it is to end. */
export function openFile(sqlite3: Sqlite3, filename: string, vfs: string, stop: () => boolean): Db {
  const file = new sqlite3.oo1.DB({ filename, flags: 'r', vfs });
  sqlite3.capi.sqlite3_progress_handler(Number(file.pointer), STEPS_BETWEEN, () => Number(stop()), 0);
  return settle(new WasmDb(sqlite3, file));
}

class WasmDb implements Db {
  private readonly db: Pointer;
  private readonly memory: Memory;
  private readonly c: C;
  private readonly statements: StatementCache<Pointer>;
  private seen: ColumnRead[] | undefined;

  constructor(
    private readonly sqlite3: Sqlite3,
    private readonly oo1: InstanceType<Sqlite3['oo1']['DB']>,
    bytes?: Uint8Array,
  ) {
    this.c = sqlite3.wasm.exports as unknown as C;
    this.memory = new Memory(sqlite3);
    this.db = Number(this.oo1.pointer);
    this.statements = new StatementCache(
      (sql) => this.prepare(sql, PERSISTENT),
      (statement) => this.c.sqlite3_finalize(statement),
    );
    if (bytes !== undefined) this.load(withoutWal(bytes));
    this.installAuthorizer();
  }

  exec(sql: string): void {
    this.statements.clear();
    try {
      this.oo1.exec(sql);
    } catch (error) {
      throw new SqlError(this.message() || String(error), sql);
    }
  }

  run(sql: string, params: readonly Cell[] = []): number {
    this.each(sql, params, () => undefined);
    return this.c.sqlite3_changes(this.db);
  }

  all(sql: string, params: readonly Cell[] = []): Value[][] {
    const rows: Value[][] = [];
    this.each(sql, params, (statement, width) => void rows.push(this.row(statement, width)));
    return rows;
  }

  get(sql: string, params: readonly Cell[] = []): Value[] | undefined {
    let first: Value[] | undefined;
    this.each(sql, params, (statement, width) => {
      first ??= this.row(statement, width);
    });
    return first;
  }

  columns(sql: string): string[] {
    const statement = this.prepare(sql, 0);
    try {
      const width = this.c.sqlite3_column_count(statement);
      return Array.from({ length: width }, (_, i) => this.memory.cString(this.c.sqlite3_column_name(statement, i)));
    } finally {
      this.c.sqlite3_finalize(statement);
    }
  }

  reads(sql: string): ColumnRead[] {
    this.seen = [];
    try {
      this.c.sqlite3_finalize(this.prepare(sql, 0));
      return distinct(this.seen);
    } finally {
      this.seen = undefined;
    }
  }

  /** Nothing to do: the connection does not run stored triggers, see `load`. */
  storedTriggers(): void {}

  export(): Uint8Array {
    return this.sqlite3.capi.sqlite3_js_db_export(this.oo1);
  }

  close(): void {
    this.statements.clear();
    this.memory.free();
    this.oo1.close();
  }

  private load(bytes: Uint8Array): void {
    const { capi, wasm } = this.sqlite3;
    // A Buffer of node is refused by the allocator, its plain view is not.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const pointer = wasm.allocFromTypedArray(view);
    const flags = capi.SQLITE_DESERIALIZE_FREEONCLOSE | capi.SQLITE_DESERIALIZE_RESIZEABLE;
    const size = view.byteLength;
    const code = capi.sqlite3_deserialize(this.oo1, 'main', pointer, size, size, flags);
    if (code !== OK) throw new SqlError(this.message(), 'deserialize');
  }

  private installAuthorizer(): void {
    const { capi, wasm } = this.sqlite3;
    capi.sqlite3_db_config(this.oo1, capi.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, 0);
    const callback = (_: Pointer, action: number, table: Pointer, column: Pointer): number => {
      if (action === ACTION_READ && this.seen !== undefined) {
        this.seen.push({ table: this.memory.cString(table), column: this.memory.cString(column) });
      }
      return OK;
    };
    const pointer = wasm.installFunction('i(pipppp)', callback);
    this.c.sqlite3_set_authorizer(this.db, Number(pointer), 0);
    this.oo1.onclose = { after: () => void wasm.uninstallFunction(pointer) };
  }

  private each(sql: string, params: readonly Cell[], visit: (statement: Pointer, width: number) => void): void {
    const statement = this.statements.get(sql);
    try {
      this.bind(statement, params, sql);
      const width = this.c.sqlite3_column_count(statement);
      let code = this.c.sqlite3_step(statement);
      for (; code === ROW; code = this.c.sqlite3_step(statement)) visit(statement, width);
      if (code !== DONE) throw new SqlError(this.message(), sql);
    } finally {
      this.c.sqlite3_reset(statement);
    }
  }

  private prepare(sql: string, flags: number): Pointer {
    const bytes = this.memory.write(sql);
    const out = this.memory.out;
    const code = this.c.sqlite3_prepare_v3(this.db, this.memory.scratch, bytes, flags, out, 0);
    if (code !== OK) throw new SqlError(this.message(), sql);
    const statement = this.memory.pointerAt(out);
    if (statement === 0) throw new SqlError('there is no statement', sql);
    return statement;
  }

  private bind(statement: Pointer, params: readonly Cell[], sql: string): void {
    const wanted = this.c.sqlite3_bind_parameter_count(statement);
    if (wanted !== params.length) throw new SqlError(`${wanted} parameters are needed, ${params.length} were given`, sql);
    params.forEach((cell, index) => {
      refuseUnstorable(cell);
      const code = this.bindOne(statement, index + 1, cell);
      if (code !== OK) throw new SqlError(this.message(), sql);
    });
  }

  private bindOne(statement: Pointer, index: number, cell: Cell): number {
    if (cell === null) return this.c.sqlite3_bind_null(statement, index);
    if (typeof cell === 'number') return this.bindNumber(statement, index, cell);
    if (typeof cell === 'bigint') return this.c.sqlite3_bind_int64(statement, index, cell);
    if (cell instanceof Real) return this.c.sqlite3_bind_double(statement, index, cell.value);
    const bytes = this.memory.write(cell);
    const bind = typeof cell === 'string' ? this.c.sqlite3_bind_text : this.c.sqlite3_bind_blob;
    return bind(statement, index, this.memory.scratch, bytes, TRANSIENT);
  }

  private bindNumber(statement: Pointer, index: number, value: number): number {
    if (value === (value | 0)) return this.c.sqlite3_bind_int(statement, index, value);
    if (Number.isSafeInteger(value)) return this.c.sqlite3_bind_int64(statement, index, BigInt(value));
    return this.c.sqlite3_bind_double(statement, index, value);
  }

  private row(statement: Pointer, width: number): Value[] {
    const cells: Value[] = new Array<Value>(width);
    for (let i = 0; i < width; i++) cells[i] = this.cell(statement, i);
    return cells;
  }

  private cell(statement: Pointer, i: number): Value {
    switch (this.c.sqlite3_column_type(statement, i)) {
      case INTEGER:
        return this.integer(statement, i);
      case FLOAT:
        return this.c.sqlite3_column_double(statement, i);
      case TEXT: {
        const start = this.c.sqlite3_column_text(statement, i);
        return this.memory.text(start, this.c.sqlite3_column_bytes(statement, i));
      }
      case BLOB: {
        const start = this.c.sqlite3_column_blob(statement, i);
        return this.memory.copy(start, this.c.sqlite3_column_bytes(statement, i));
      }
      default:
        return null;
    }
  }

  /** Through a double where that loses nothing: a bigint is dear to make. */
  private integer(statement: Pointer, i: number): number | bigint {
    const value = this.c.sqlite3_column_double(statement, i);
    return Number.isSafeInteger(value) ? value : this.c.sqlite3_column_int64(statement, i);
  }

  private message(): string {
    return this.memory.cString(this.c.sqlite3_errmsg(this.db));
  }
}

/** The engine's memory: one scratch area for what goes in, decoders for what comes out. */
class Memory {
  private size = 4096;
  private area: Pointer;
  readonly out: Pointer;
  private readonly encoder = new TextEncoder();
  /** ignoreBOM, or a text that begins with U+FEFF would lose it. */
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(private readonly sqlite3: Sqlite3) {
    this.area = Number(sqlite3.wasm.alloc(this.size));
    this.out = Number(sqlite3.wasm.alloc(8));
  }

  get scratch(): Pointer {
    return this.area;
  }

  /** Puts a text (UTF-8) or bytes into the scratch area and says how many bytes they are. */
  write(content: string | Uint8Array): number {
    this.reserve(typeof content === 'string' ? content.length * 3 : content.length);
    if (typeof content === 'string') return this.encoder.encodeInto(content, this.heap.subarray(this.area)).written;
    this.heap.set(content, this.area);
    return content.length;
  }

  text(start: Pointer, bytes: number): string {
    return this.decoder.decode(this.heap.subarray(start, start + bytes));
  }

  copy(start: Pointer, bytes: number): Uint8Array {
    return this.heap.slice(start, start + bytes);
  }

  cString(start: Pointer): string {
    if (start === 0) return '';
    return this.text(start, this.heap.indexOf(0, start) - start);
  }

  pointerAt(address: Pointer): Pointer {
    return Number(this.sqlite3.wasm.peekPtr(address));
  }

  free(): void {
    this.sqlite3.wasm.dealloc(this.area);
    this.sqlite3.wasm.dealloc(this.out);
  }

  private get heap(): Uint8Array {
    return this.sqlite3.wasm.heap8u() as Uint8Array;
  }

  private reserve(bytes: number): void {
    if (bytes <= this.size) return;
    this.size = bytes * 2;
    this.sqlite3.wasm.dealloc(this.area);
    this.area = Number(this.sqlite3.wasm.alloc(this.size));
  }
}

function distinct(reads: readonly ColumnRead[]): ColumnRead[] {
  const byName = new Map(reads.map((read) => [JSON.stringify([read.table, read.column]), read]));
  return [...byName.values()];
}
