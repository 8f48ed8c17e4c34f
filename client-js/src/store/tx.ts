/** The body of a transaction: writes by path or by SQL, reads that see them. */
import type { Tree, Tx, Value } from '../api.js';
import type { Operation, Writer } from '../core/types.js';
import { CannotApply } from '../core/errors.js';
import { SqlError } from '../engine/errors.js';
import { StoreError, invalid } from '../errors.js';
import { keySegment } from '../paths/key.js';
import type { Place } from '../paths/place.js';
import { deletePlace, insertRow, setPlace, shown, type Target } from '../paths/write.js';
import type { Loaded } from './loaded.js';
import { query } from './queries.js';

export class TxBody implements Tx {
  private open = true;
  private readonly lastOrders: Target['lastOrders'] = new Map();

  constructor(
    private readonly loaded: Loaded,
    private readonly writer: Writer,
    private readonly newId: () => string,
  ) {}

  /** Runs `fn` with this body, which ends with it. */
  run(fn: (t: Tx) => void): void {
    try {
      const returned: unknown = fn(this);
      if (returned instanceof Promise) throw invalid('a transaction is synchronous: fetch first, then write');
    } catch (error) {
      throw asStoreError(error);
    } finally {
      this.open = false;
    }
  }

  set(path: string, value: Tree): void {
    this.lastOrders.clear();
    this.write(path, (to, place) => setPlace(to, place, value));
  }

  insert(listPath: string, value: { [property: string]: Tree }): string {
    return this.write(listPath, (to, place) => {
      if (place.kind !== 'list') throw invalid(`${listPath} is not a list; a row is inserted into a list`);
      const key = insertRow(to, place.table, place.parent, value);
      return `${place.path}/${keySegment(key.slice(place.parent.length))}`;
    });
  }

  delete(path: string): void {
    this.lastOrders.clear();
    this.write(path, deletePlace);
  }

  sql(sql: string, params: Value[] = []): void {
    this.mustBeOpen();
    this.lastOrders.clear();
    this.writer.sql(sql, params);
  }

  get(path: string): Tree | undefined {
    this.mustBeOpen();
    return this.loaded.read(path);
  }

  query(sql: string, params: Value[] = []): Record<string, Value>[] {
    this.mustBeOpen();
    return query(this.loaded.db, sql, params);
  }

  /** What one call writes goes in together: two rows may swap a unique value. */
  private write<T>(path: string, fn: (to: Target, place: Place) => T): T {
    this.mustBeOpen();
    const operations: Operation[] = [];
    const to = { db: this.loaded.db, apply: (operation: Operation) => void operations.push(operation), newId: this.newId, lastOrders: this.lastOrders };
    const result = fn(to, this.loaded.place(path));
    if (operations.length === 1) this.writer.apply(operations[0]!);
    else if (operations.length > 1) this.writer.applyAll(operations);
    return result;
  }

  private mustBeOpen(): void {
    if (!this.open) throw invalid('this transaction is over; begin another one');
  }
}

/** Errors of the rooms below, as the caller knows them. */
export function asStoreError(error: unknown): unknown {
  if (error instanceof CannotApply) {
    const place = { ...(error.table === undefined ? {} : { table: error.table }), ...(error.key === undefined ? {} : { key: shown(error.key) }) };
    return new StoreError(error.code, error.message, [{ message: error.message, ...place }]);
  }
  if (error instanceof SqlError) return new StoreError('failed', error.message);
  return error;
}
