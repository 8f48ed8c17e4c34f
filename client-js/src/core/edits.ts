/** One edit: what may be written, what really happened, whether it may stay. The caller holds the savepoint `edit`. */
import { Capture } from '../capture/capture.js';
import type { Value } from '../api.js';
import type { Cell, Db } from '../engine/types.js';
import { CannotApply, explained } from './errors.js';
import { guardStatement } from './guard.js';
import { idOf, net } from './net.js';
import { type Failure, Operations } from './operations.js';
import { References } from './references.js';
import { difference, readRow, tellWhatHappened } from './rows.js';
import { touch } from './touched.js';
import type { Change, Check, Edited, Operation, Row, TableInfo, Writer } from './types.js';

export class Edits {
  readonly capture: Capture;
  private readonly operations: Operations;
  readonly references: References;
  /** References need no word at each BEGIN. */
  readonly deferred: boolean;
  private ranSql = false;
  private readonly writer: Writer = {
    apply: (operation) => this.operations.apply(operation),
    applyAll: (operations) => this.applyAll(operations),
    sql: (sql, params) => this.sql(sql, params),
  };

  constructor(
    private readonly db: Db,
    private readonly tables: ReadonlyMap<string, TableInfo>,
  ) {
    this.capture = new Capture(db, tables.values());
    this.operations = new Operations(db, tables);
    this.references = new References(db, tables);
    this.deferred = this.references.deferred;
  }

  /** If it throws, the caller rolls the savepoint back. */
  run(fn: (writer: Writer) => void, check?: Check): Edited {
    this.ranSql = false;
    fn(this.writer);
    const happened = this.verified(this.capture.drain());
    const changes = net(happened);
    this.references.check(changes);
    const edited = { changes, touched: touch(new Map(), happened), dropped: [] };
    check?.(edited);
    return edited;
  }

  /** What was asked for before, upon other rows: which operations failed, and what the others did. */
  again(operations: readonly Operation[], missing?: 'refuse' | 'skip'): { failures: Failure[]; effects: Change[] } {
    const failures = this.operations.applyAll(operations, missing);
    return { failures, effects: this.capture.drain() };
  }

  /** Several mutations after each other, and what they did; undefined as soon as an operation fails. */
  againEach(mutations: readonly { operations: readonly Operation[]; missing: 'refuse' | 'skip' }[]): Change[] | undefined {
    for (const { operations, missing } of mutations) if (this.operations.applyAll(operations, missing).length > 0) return undefined;
    return this.capture.drain();
  }

  private applyAll(operations: readonly Operation[]): void {
    const failed = this.operations.applyAll(operations)[0];
    if (failed) throw failed.error;
  }

  private sql(sql: string, params?: readonly Cell[]): Value[][] {
    guardStatement(sql);
    this.ranSql = true;
    try {
      return this.db.all(sql, params);
    } catch (error) {
      throw explained(error, sql);
    }
  }

  /**
   * SQL may do things that SQLite tells in another order than they happened (a cascade that changes a key of its own
   * table). Then the rows are read as they are and as they were, and exactly that difference is done instead.
   */
  private verified(happened: Change[]): Change[] {
    if (!this.ranSql || tellWhatHappened(this.db, this.tables, happened)) return happened;
    const restated = this.restated(happened);
    if (tellWhatHappened(this.db, this.tables, restated)) return restated;
    throw new CannotApply('failed', 'this SQL changes keys and references in a way that cannot be told as changes of rows');
  }

  private restated(happened: readonly Change[]): Change[] {
    const places = [...new Map(happened.map((change) => [idOf(change), change])).values()];
    const read = (): (Row | undefined)[] => places.map(([, table, key]) => readRow(this.db, this.tables.get(table)!, key));
    const after = read();
    this.db.run('ROLLBACK TO edit');
    const before = read();
    const changes = places.map(([, table, key], i) => difference(table, key, before[i], after[i]));
    this.applyAll(net(changes.filter((change) => change !== undefined)));
    return this.capture.drain();
  }
}
