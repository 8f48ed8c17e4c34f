/**
 * The text of the capture: TEMP triggers that write what really happens to each row into a TEMP log, typed.
 *
 * Measured and attacked in four ways that each lose changes: no COLLATE BINARY ('abc' to 'ABC' in a NOCASE column),
 * no typeof (1 to 1.0), a list behind the key's UPDATE (`SET rowid =` is missed), recursive_triggers off (victims of
 * REPLACE). test/fuzz/capture.test.ts makes each mistake and must notice it.
 */
import type { TableInfo } from '../core/types.js';
import { quoted } from './sql.js';

/** Reserved by the contract: no table of a project begins with an underscore. */
const LOG = '_capture';
const SWITCH = '_capture_on';
/** SQLite takes 500 terms at most. */
const COMPOUND_LIMIT = 400;
const ON = `(SELECT v FROM temp.${SWITCH} WHERE k=1)`;

/** Ops in the log: a row came or went (`I`, `D`, followed by its cells `i`, `d`), or one property changed (`U`). */
export type LogOp = 'I' | 'i' | 'D' | 'd' | 'U';

/** `t` and `c` are places in the list of tables and in a table's columns: shorter to write than names. */
export function logSql(keyWidth: number): string[] {
  // No declared types, so that every value stays what it is.
  const key = keyColumns(keyWidth).join(', ');
  return [
    `CREATE TEMP TABLE ${LOG}(seq INTEGER PRIMARY KEY, t, op, c, ${key}, old, new)`,
    `CREATE TEMP TABLE ${SWITCH}(k INTEGER PRIMARY KEY, v)`,
    `INSERT INTO ${SWITCH} VALUES(1,1)`,
  ];
}

export const SET_SWITCH = `UPDATE temp.${SWITCH} SET v=? WHERE k=1`;
export const CLEAR_LOG = `DELETE FROM temp.${LOG}`;

/** typeof tells 3 from 3.0, which JavaScript does not. */
export function drainSql(keyWidth: number): string {
  return `SELECT t, op, c, typeof(old), old, typeof(new), new, ${keyColumns(keyWidth).join(', ')} FROM temp.${LOG} ORDER BY seq`;
}

export function dropSql(tables: Iterable<TableInfo>): string[] {
  const triggers = [...tables].flatMap(triggerNames).map((name) => `DROP TRIGGER IF EXISTS temp.${quoted(name)}`);
  return [...triggers, `DROP TABLE IF EXISTS temp.${LOG}`, `DROP TABLE IF EXISTS temp.${SWITCH}`];
}

/** The triggers of one table. Inside them the log has no `temp.`: older SQLite refuses a qualified target there. */
export function triggersSql(table: TableInfo, place: number): string[] {
  const text = new TriggerText(table, place);
  const properties = table.columns.filter((column) => !table.key.includes(column));
  return [
    text.trigger('i', 'INSERT', ON, text.rowLines('I', 'NEW')),
    text.trigger('d', 'DELETE', ON, text.rowLines('D', 'OLD')),
    text.trigger('k', 'UPDATE', `${ON} AND ${text.keyDiffers}`, [...text.rowLines('D', 'OLD'), ...text.rowLines('I', 'NEW')]),
    ...properties.map((column) =>
      text.trigger(
        updateName(column),
        `UPDATE OF ${quoted(column)}`,
        `${differs(column)} AND NOT ${text.keyDiffers} AND ${ON}`,
        [text.propertyLine(column)],
      ),
    ),
  ];
}

class TriggerText {
  readonly keyDiffers: string;
  private readonly target: string;

  constructor(
    private readonly table: TableInfo,
    private readonly place: number,
  ) {
    this.keyDiffers = `(${table.key.map(differs).join(' OR ')})`;
    this.target = keyColumns(table.key.length).join(', ');
  }

  trigger(name: string, event: string, when: string, lines: readonly string[]): string {
    const full = quoted(triggerName(this.table, name));
    return `CREATE TEMP TRIGGER ${full} AFTER ${event} ON main.${quoted(this.table.name)} WHEN ${when} BEGIN ${lines.join(' ')} END`;
  }

  /** The row's header, then its cells but those of the key and NULL. */
  rowLines(op: 'I' | 'D', side: 'NEW' | 'OLD'): string[] {
    const value = side === 'NEW' ? 'new' : 'old';
    const key = this.key(side);
    const header = `INSERT INTO ${LOG}(t, op, ${this.target}) VALUES(${this.place}, '${op}', ${key});`;
    const into = `INSERT INTO ${LOG}(t, op, c, ${this.target}, ${value})`;
    const select = `SELECT ${this.place}, '${op.toLowerCase()}', c, ${key}, v`;
    const parts = this.cells(side).map((cells) => `${into} ${select} FROM (${cells}) WHERE v IS NOT NULL;`);
    return [header, ...parts];
  }

  propertyLine(column: string): string {
    const c = this.table.columns.indexOf(column);
    const cells = `OLD.${quoted(column)}, NEW.${quoted(column)}`;
    return `INSERT INTO ${LOG}(t, op, c, ${this.target}, old, new) VALUES(${this.place}, 'U', ${c}, ${this.key('NEW')}, ${cells});`;
  }

  private key(side: 'NEW' | 'OLD'): string {
    return this.table.key.map((column) => `${side}.${quoted(column)}`).join(', ');
  }

  /** A compound of SELECTs, because VALUES has no column names inside a trigger. */
  private cells(side: 'NEW' | 'OLD'): string[] {
    const cells = this.table.columns.flatMap((column, c) =>
      this.table.key.includes(column) ? [] : [`SELECT ${c} AS c, ${side}.${quoted(column)} AS v`],
    );
    const parts = Math.ceil(cells.length / COMPOUND_LIMIT);
    return Array.from({ length: parts }, (_, i) =>
      cells.slice(i * COMPOUND_LIMIT, (i + 1) * COMPOUND_LIMIT).join(' UNION ALL '),
    );
  }
}

function differs(column: string): string {
  const old = `OLD.${quoted(column)}`;
  const now = `NEW.${quoted(column)}`;
  return `(${old} IS NOT ${now} COLLATE BINARY OR typeof(${old})<>typeof(${now}))`;
}

function keyColumns(width: number): string[] {
  return Array.from({ length: width }, (_, i) => `k${i}`);
}

function triggerNames(table: TableInfo): string[] {
  return ['i', 'd', 'k', ...table.columns.map(updateName)].map((name) => triggerName(table, name));
}

function updateName(column: string): string {
  return `u ${column}`;
}

/** A space parts table and column: `a` + `b c` and `a b` + `c` would otherwise need one name. */
function triggerName(table: TableInfo, name: string): string {
  return `_capture ${table.name.length} ${table.name} ${name}`;
}
