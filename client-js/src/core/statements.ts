/** The few statements that write rows, as texts; values are always bound. */
import { quoted } from '../capture/sql.js';
import type { TableInfo } from './types.js';

export function insertSql(table: TableInfo): string {
  const columns = [...table.key, ...properties(table)];
  return `INSERT INTO main.${quoted(table.name)}(${columns.map(quoted).join(',')}) VALUES(${columns.map(() => '?').join(',')})`;
}

export function updateSql(table: TableInfo, columns: readonly string[]): string {
  const set = columns.map((column) => `${quoted(column)}=?`).join(',');
  return `UPDATE main.${quoted(table.name)} SET ${set} WHERE ${whereKey(table)}`;
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

function whereKey(table: TableInfo): string {
  return table.key.map((column) => `${quoted(column)}=?`).join(' AND ');
}
