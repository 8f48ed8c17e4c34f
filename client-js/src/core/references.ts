/** References between tables, checked for the rows that an edit touched: the server would refuse what points nowhere. */
import { quoted } from '../capture/sql.js';
import { keyText } from '../capture/wire.js';
import type { Db } from '../engine/types.js';
import { CannotApply } from './errors.js';
import type { Cell, Change, Key, Row, TableInfo } from './types.js';

interface Reference {
  table: string;
  columns: string[];
  target: string;
  targetColumns: string[];
}

const LIST = 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq';

export class References {
  private readonly outgoing = new Map<string, Reference[]>();
  private readonly incoming = new Map<string, Reference[]>();

  constructor(
    private readonly db: Db,
    private readonly tables: ReadonlyMap<string, TableInfo>,
  ) {
    for (const table of tables.values()) for (const reference of this.read(table)) this.know(reference);
  }

  /** Whether all of them are deferred by the schema; else the transaction must be told. */
  get deferred(): boolean {
    const texts = this.db.all("SELECT sql FROM main.sqlite_schema WHERE type='table' AND sql LIKE '%REFERENCES%'");
    return texts.every(([sql]) => count(sql, /\bREFERENCES\b/gi) === count(sql, /\bDEFERRABLE\s+INITIALLY\s+DEFERRED\b/gi));
  }

  /** Whether these changes could make SQLite change other rows by itself. */
  mayAct(changes: readonly Change[]): boolean {
    return changes.some(([op, name, , now]) => {
      const references = op === 'i' ? [] : (this.incoming.get(name) ?? []);
      return references.some((reference) => now === null || reference.targetColumns.some((column) => column in now));
    });
  }

  /** The rows that name this one, rows of its nested lists included: what its deletion would change, take along or be refused for. */
  users(name: string, key: Key, row: Row): [table: string, key: Key][] {
    return (this.incoming.get(name) ?? []).flatMap((reference) => {
      const values = this.valuesBefore(name, key, row, reference.targetColumns);
      const where = reference.columns.map(equals).join(' AND ');
      const keys = this.tables.get(reference.table)!.key.map(quoted).join(',');
      return this.db.all(`SELECT ${keys} FROM main.${quoted(reference.table)} WHERE ${where}`, values).map((found): [string, Key] => [reference.table, found]);
    });
  }

  /** Throws `CannotApply` with code `reference`. */
  check(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change[0] !== 'd') this.checkOutgoing(change);
      if (change[0] !== 'i') this.checkIncoming(change);
    }
  }

  private checkOutgoing([op, name, key, now]: Change): void {
    for (const reference of this.outgoing.get(name) ?? []) {
      if (op === 'u' && !reference.columns.some((column) => column in now)) continue;
      const values = this.valuesNow(name, key, reference.columns);
      if (values.length === 0 || values.includes(null) || this.exists(reference.target, reference.targetColumns, values)) continue;
      const nowhere = `${reference.columns.join(', ')} names a ${reference.target} that is not there`;
      throw new CannotApply('reference', `${name} ${keyText(key)}: ${nowhere}`, name, key);
    }
  }

  private checkIncoming([op, name, key, , old]: Change): void {
    for (const reference of this.incoming.get(name) ?? []) {
      if (op === 'u' && !reference.targetColumns.some((column) => column in old!)) continue;
      const values = this.valuesBefore(name, key, old as Row, reference.targetColumns);
      if (values.includes(null) || !this.exists(reference.table, reference.columns, values)) continue;
      if (this.exists(name, reference.targetColumns, values)) continue;
      throw new CannotApply('reference', `${name} ${keyText(key)} is still named by ${reference.table}`, name, key);
    }
  }

  /** Empty if the row is gone. */
  private valuesNow(name: string, key: Key, columns: readonly string[]): Cell[] {
    const where = this.tables.get(name)!.key.map(equals).join(' AND ');
    return this.db.get(`SELECT ${columns.map(quoted).join(',')} FROM main.${quoted(name)} WHERE ${where}`, key) ?? [];
  }

  private valuesBefore(name: string, key: Key, old: Row, columns: readonly string[]): Cell[] {
    const keyColumns = this.tables.get(name)!.key;
    return columns.map((column) => (keyColumns.includes(column) ? key[keyColumns.indexOf(column)]! : (old[column] ?? null)));
  }

  private exists(name: string, columns: readonly string[], values: readonly Cell[]): boolean {
    return this.db.get(`SELECT 1 FROM main.${quoted(name)} WHERE ${columns.map(equals).join(' AND ')}`, values) !== undefined;
  }

  private read(table: TableInfo): Reference[] {
    const byId = new Map<unknown, Reference>();
    for (const [id, target, from, to] of this.db.all(LIST, [table.name])) {
      const reference = byId.get(id) ?? { table: table.name, columns: [], target: String(target), targetColumns: [] };
      byId.set(id, reference);
      reference.columns.push(String(from));
      // Without a name it is the key of the target, part by part.
      reference.targetColumns.push(to === null ? (this.tables.get(String(target))?.key[reference.columns.length - 1] ?? '') : String(to));
    }
    return [...byId.values()].filter((reference) => this.tables.has(reference.target));
  }

  private know(reference: Reference): void {
    this.outgoing.set(reference.table, [...(this.outgoing.get(reference.table) ?? []), reference]);
    this.incoming.set(reference.target, [...(this.incoming.get(reference.target) ?? []), reference]);
  }
}

function equals(column: string): string {
  return `${quoted(column)}=?`;
}

function count(text: unknown, pattern: RegExp): number {
  return String(text).match(pattern)?.length ?? 0;
}
