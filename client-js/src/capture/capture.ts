/** Captures what SQL really does to the rows: installs the triggers, and reads their log as changes. */
import type { Key, Value } from '../api.js';
import type { Change, Row, TableInfo } from '../core/types.js';
import type { Cell, Db } from '../engine/types.js';
import { CLEAR_LOG, drainSql, dropSql, type LogOp, logSql, SET_SWITCH, triggersSql } from './triggers.js';
import { real, row } from './wire.js';

export class Capture {
  private readonly tables: readonly TableInfo[];
  private readonly keyWidth: number;
  private readonly drainText: string;
  private installed = false;

  constructor(
    private readonly db: Db,
    tables: Iterable<TableInfo>,
  ) {
    this.tables = [...tables];
    this.keyWidth = Math.max(1, ...this.tables.map((table) => table.key.length));
    this.drainText = drainSql(this.keyWidth);
  }

  get ready(): boolean {
    return this.installed;
  }

  /** Must be called outside of a transaction: a rollback would take the triggers away. */
  install(): void {
    const triggers = this.tables.flatMap(triggersSql);
    this.db.exec(['begin', ...logSql(this.keyWidth), ...triggers, 'commit'].join(';\n'));
    this.installed = true;
  }

  remove(): void {
    if (this.installed) this.db.exec(dropSql(this.tables).join(';\n'));
    this.installed = false;
  }

  /** Off while rows of the server are applied: those are no changes of ours. */
  turn(on: boolean): void {
    if (this.installed) this.db.run(SET_SWITCH, [on ? 1 : 0]);
  }

  /** The changes since the last drain, in the order in which they happened. */
  drain(): Change[] {
    if (!this.installed) return [];
    const lines = this.db.all(this.drainText);
    if (lines.length === 0) return [];
    this.db.run(CLEAR_LOG);
    return this.changes(lines);
  }

  private changes(lines: readonly Value[][]): Change[] {
    const changes: Change[] = [];
    for (const [t, op, c, oldType, old, newType, now, ...key] of lines) {
      const table = this.tables[Number(t)]!;
      const line = { op: op as LogOp, table, key: key.slice(0, table.key.length) as Key };
      if (op === 'I') changes.push(['i', table.name, line.key, row()]);
      else if (op === 'D') changes.push(['d', table.name, line.key, null, row()]);
      else addCell(changes, line, table.columns[Number(c)]!, typed(table, c!, newType!, now!), typed(table, c!, oldType!, old!));
    }
    return changes;
  }
}

interface Line {
  op: LogOp;
  table: TableInfo;
  key: Key;
}

/** Cells of a row follow its header; properties that one statement changes in one row follow each other. */
function addCell(changes: Change[], line: Line, column: string, now: Cell, old: Cell): void {
  const last = changes.at(-1)!;
  if (line.op === 'i') (last[3] as Row)[column] = now;
  else if (line.op === 'd') (last[4] as Row)[column] = old;
  else if (continues(last, line, column)) setProperty(last, column, now, old);
  else changes.push(['u', line.table.name, line.key, row([[column, now]]), row([[column, old]])]);
}

function continues(last: Change | undefined, line: Line, column: string): last is Extract<Change, ['u', ...unknown[]]> {
  return last?.[0] === 'u' && last[1] === line.table.name && sameKey(last[2], line.key) && !(column in last[3]);
}

function setProperty(change: Extract<Change, ['u', ...unknown[]]>, column: string, now: Cell, old: Cell): void {
  change[3][column] = now;
  change[4][column] = old;
}

function typed(table: TableInfo, c: Value, type: Value, value: Value): Cell {
  if (type !== 'real') return value;
  if (!Number.isFinite(value)) throw new RangeError(`${String(value)} cannot be stored; write null or a finite number`);
  const name = table.columns[Number(c)]!;
  const number = value === 0 ? 0 : (value as number);
  return table.types.get(name) === 'ANY' ? real(number) : number;
}

function sameKey(a: Key, b: Key): boolean {
  return a.length === b.length && a.every((part, i) => sameCell(part, b[i]!));
}

/** Typed equality: the integer 3 is not the real 3, bytes are compared by content. */
export function sameCell(a: Cell, b: Cell): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (!(a instanceof Uint8Array)) return !(b instanceof Uint8Array) && a.value === b.value;
  return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
}
