/** Which rows and columns a step may have changed. */
import { keyText } from '../capture/wire.js';
import type { Operation, Touched } from './types.js';

export function touch(touched: Touched, changes: readonly Operation[]): Touched {
  for (const change of changes) {
    const rows = rowsOf(touched, change[1]);
    const key = keyText(change[2]);
    const columns = rows.get(key);
    if (change[0] !== 'u') rows.set(key, 'row');
    else if (columns === undefined) rows.set(key, new Set(Object.keys(change[3])));
    else if (columns !== 'row') for (const column of Object.keys(change[3])) columns.add(column);
  }
  return touched;
}

export function merge(touched: Touched, more: Touched): Touched {
  for (const [table, rows] of more) {
    const into = rowsOf(touched, table);
    for (const [key, columns] of rows) {
      const known = into.get(key);
      if (known === 'row') continue;
      into.set(key, columns === 'row' ? 'row' : new Set([...(known ?? []), ...columns]));
    }
  }
  return touched;
}

function rowsOf(touched: Touched, table: string): Map<string, Set<string> | 'row'> {
  const known = touched.get(table);
  if (known !== undefined) return known;
  const rows = new Map<string, Set<string> | 'row'>();
  touched.set(table, rows);
  return rows;
}
