/** The paths of rows and cells: the way back from what changed to how an editor names it. */
import type { Key } from '../api.js';
import type { Contract, Table } from '../contract/model.js';
import type { Change } from '../core/types.js';
import { keySegment } from './key.js';
import { nameText } from './place.js';

export function rowPath(table: Table, key: Key): string {
  const own = keySegment(key.slice(key.length - table.own.length));
  if (table.singleton) return table.name;
  return `${listPath(table, key.slice(0, key.length - table.own.length))}/${own}`;
}

/** `parent`: the key of the row that has the list; of a table of the top level: empty. */
export function listPath(table: Table, parent: Key): string {
  if (table.parent === undefined) return table.name;
  return [rowPath(table.parent, parent), ...names(table.name.slice(table.parent.name.length + 1))].join('/');
}

export function changedPaths(contract: Contract, changes: readonly Change[]): string[] {
  const paths = changes.flatMap((change) => {
    const table = contract.tables.get(change[1]);
    if (table === undefined) return [];
    const path = rowPath(table, change[2]);
    if (change[0] !== 'u') return [path];
    return Object.keys(change[3]).map((column) =>
      column === '_order' ? listPath(table, change[2].slice(0, -table.own.length)) : [path, ...names(column)].join('/'));
  });
  return [...new Set(paths)];
}

function names(column: string): string[] {
  return column.split('.').map(nameText);
}
