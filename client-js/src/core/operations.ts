/** Row operations with the server's meaning, run here on the rows that the user sees. */
import { sameCell } from '../capture/capture.js';
import { keyText } from '../capture/wire.js';
import type { Db } from '../engine/types.js';
import { CannotApply, explained } from './errors.js';
import { deleteSql, existsSql, insertSql, properties, updateSql } from './statements.js';
import type { Key, Operation, Row, TableInfo } from './types.js';

export interface Failure {
  operation: Operation;
  error: Error;
}

export class Operations {
  constructor(
    private readonly db: Db,
    private readonly tables: ReadonlyMap<string, TableInfo>,
  ) {}

  apply(operation: Operation, missing: 'refuse' | 'skip' = 'refuse'): void {
    const [op, name, key] = operation;
    const table = this.table(name, key);
    try {
      if (op === 'd') this.db.run(deleteSql(table), key);
      else if (op === 'i') this.insert(table, key, operation[3]);
      else if (op === 'u') this.update(table, key, operation[3], missing);
      else if (this.exists(table, key)) this.update(table, key, operation[3], missing);
      else this.insert(table, key, operation[3]);
    } catch (error) {
      throw explained(error, `${name} ${keyText(key)}`, name, key);
    }
  }

  /**
   * All of them; those that collide with another one's old value are tried again after it, and a ring of them (two
   * rows that swap a unique value) is broken by taking its values away first, as the server does it.
   */
  applyAll(operations: readonly Operation[], missing: 'refuse' | 'skip' = 'refuse'): Failure[] {
    let failures = this.attemptEach(operations, missing);
    for (let before = Infinity; failures.length > 0 && failures.length < before; ) {
      before = failures.length;
      failures = this.attemptEach(failures.map((failure) => failure.operation), missing);
    }
    return failures.some(isCollision) ? this.breakRing(failures, missing) : failures;
  }

  private attemptEach(operations: readonly Operation[], missing: 'refuse' | 'skip'): Failure[] {
    return operations.flatMap((operation) => {
      try {
        this.apply(operation, missing);
        return [];
      } catch (error) {
        return [{ operation, error: error as Error }];
      }
    });
  }

  private breakRing(failures: readonly Failure[], missing: 'refuse' | 'skip'): Failure[] {
    const others = failures.filter((failure) => !isCollision(failure));
    const ring = failures.filter(isCollision).map((failure) => failure.operation);
    this.db.run('SAVEPOINT ring');
    this.attemptEach(ring.map(emptied).filter((operation) => operation !== undefined), missing);
    const left = this.attemptEach(ring, missing);
    if (left.length > 0) this.db.run('ROLLBACK TO ring');
    this.db.run('RELEASE ring');
    return left.length > 0 ? [...failures] : others;
  }

  private table(name: string, key: Key): TableInfo {
    const table = this.tables.get(name);
    if (table === undefined) throw new CannotApply('invalid', `there is no table ${name}`, name, key);
    if (key.length === table.key.length) return table;
    throw new CannotApply('invalid', `the key of ${name} has ${table.key.length} parts, not ${key.length}`, name, key);
  }

  private insert(table: TableInfo, key: Key, now: Row): void {
    const known = this.columnsOf(table, key, now);
    if (this.exists(table, key)) throw new CannotApply('exists', `${table.name} ${keyText(key)} is there already`, table.name, key);
    const cells = properties(table).map((column) => (known.includes(column) ? (now[column] ?? null) : null));
    this.db.run(insertSql(table), [...key, ...cells]);
  }

  private update(table: TableInfo, key: Key, now: Row, missing: 'refuse' | 'skip'): void {
    const columns = this.columnsOf(table, key, now);
    const found = columns.length === 0 ? this.exists(table, key) : this.write(table, key, columns, now) === 1;
    if (found || missing === 'skip') return;
    throw new CannotApply('not_found', `there is no ${table.name} ${keyText(key)}`, table.name, key);
  }

  private write(table: TableInfo, key: Key, columns: readonly string[], now: Row): number {
    return this.db.run(updateSql(table, columns), [...columns.map((column) => now[column] ?? null), ...key]);
  }

  /** The property columns of a row that may repeat its key. */
  private columnsOf(table: TableInfo, key: Key, now: Row): string[] {
    return Object.keys(now).filter((column) => {
      if (!table.types.has(column)) throw new CannotApply('invalid', `${table.name} has no ${column}`, table.name, key);
      const part = table.key.indexOf(column);
      if (part >= 0 && !sameCell(key[part]!, now[column] ?? null)) {
        throw new CannotApply('invalid', `${column} of ${table.name} is part of the key, which does not change`, table.name, key);
      }
      return part < 0;
    });
  }

  private exists(table: TableInfo, key: Key): boolean {
    return this.db.get(existsSql(table), key) !== undefined;
  }
}

function emptied(operation: Operation): Operation | undefined {
  if (operation[0] !== 'u' && operation[0] !== 's') return undefined;
  const cells = Object.create(null) as Row;
  for (const column of Object.keys(operation[3])) cells[column] = null;
  return ['u', operation[1], operation[2], cells];
}

function isCollision(failure: Failure): boolean {
  return failure.error instanceof CannotApply && failure.error.code === 'unique';
}
