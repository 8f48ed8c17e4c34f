/** Where a row stands in its list, as far as its writer says it. */
import type { Key, Tree } from '../api.js';
import { quoted } from '../capture/sql.js';
import { keyText } from '../capture/wire.js';
import type { Table } from '../contract/model.js';
import { where } from '../contract/sql.js';
import { isObject, type Writing } from '../contract/store.js';
import { orderAfter } from './order.js';
import type { Target } from './write.js';

/** A row that does not say where it stands goes to the end of its list. */
export function place(to: Target, table: Table, key: Key, writing: Writing, order: string | undefined): void {
  const list = table.name + keyText(key.slice(0, key.length - table.own.length));
  const given = order ?? (writing.cells.get(table.order!) ?? null);
  const text = typeof given === 'string' ? given : orderAfter(lastOrder(to, table, key));
  writing.cells.set(table.order!, text);
  const last = to.lastOrders.get(list);
  if (given === null || (last !== undefined && last !== null && text > last)) to.lastOrders.set(list, text);
}

/** Of an item whose order is a property like any other. */
export function orderIn(table: Table, item: Tree): string | null {
  const value = table.order === undefined || table.order === '_order' ? undefined : valueAt(item, table.order);
  return typeof value === 'string' ? value : null;
}

export function valueAt(item: Tree, column: string): Tree | undefined {
  return column.split('.').reduce<Tree | undefined>((inner, name) => (isObject(inner) ? inner[name] : undefined), item);
}

function lastOrder(to: Target, table: Table, key: Key): string | null {
  const parent = key.slice(0, key.length - table.own.length);
  const list = table.name + keyText(parent);
  const known = to.lastOrders.get(list);
  if (known !== undefined) return known;
  const sql = `SELECT max(${quoted(table.order!)}) FROM ${quoted(table.name)} WHERE ${where(table, parent.length)}`;
  return (to.db.get(sql, parent)?.[0] ?? null) as string | null;
}
