/** The few statements that write rows, as texts; values are always bound. */
import { quoted } from '../capture/sql.js';
import type { TableInfo } from './types.js';

export function insertSql(table: TableInfo): string {
  const columns = [...table.key, ...properties(table)];
  return `INSERT INTO main.${quoted(table.name)}(${columns.map(quoted).join(',')}) VALUES(${columns.map(() => '?').join(',')})`;
}

export function updateSql(table: TableInfo, columns: readonly string[]): string {
  return once(table, `u${columns.join('\0')}`, () => {
    const set = columns.map((column) => `${quoted(column)}=?`).join(',');
    return `UPDATE main.${quoted(table.name)} SET ${set} WHERE ${whereKey(table)}`;
  });
}

export function deleteSql(table: TableInfo): string {
  return `DELETE FROM main.${quoted(table.name)} WHERE ${whereKey(table)}`;
}

export function existsSql(table: TableInfo): string {
  return `SELECT 1 FROM main.${quoted(table.name)} WHERE ${whereKey(table)}`;
}

/** That a column holds exactly the bound cell; an ANY column needs its type bound as well. */
export function holdsSql(table: TableInfo, column: string): string {
  const name = quoted(column);
  const type = table.types.get(column);
  if (type === 'ANY') return `${name} IS ? COLLATE BINARY AND typeof(${name})=?`;
  return type === 'TEXT' ? `${name} IS ? COLLATE BINARY` : `${name} IS ?`;
}

export function properties(table: TableInfo): string[] {
  return table.columns.filter((column) => !table.key.includes(column));
}

const texts = new WeakMap<TableInfo, Map<string, string>>();

/** A rebase asks for the same few texts hundreds of times. */
export function once(table: TableInfo, name: string, make: () => string): string {
  let known = texts.get(table);
  if (known === undefined) texts.set(table, (known = new Map<string, string>()));
  let text = known.get(name);
  if (text === undefined) known.set(name, (text = make()));
  return text;
}

function whereKey(table: TableInfo): string {
  return table.key.map((column) => `${quoted(column)}=?`).join(' AND ');
}
