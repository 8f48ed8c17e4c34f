/** Where a fault is, as a path: what a form needs to show it at its field. */
import type { Fault, Key } from '../api.js';
import { decodeKey } from '../capture/wire.js';
import type { Contract, Node, Table } from '../contract/model.js';
import { nameText } from './place.js';
import { listPath, rowPath } from './of.js';

/** Adds the path to each fault that names a table of the contract. */
export function placed(contract: Contract, faults: readonly Fault[]): Fault[] {
  return faults.map((fault) => {
    const path = pathOf(contract, fault);
    return path === undefined ? fault : { ...fault, path };
  });
}

function pathOf(contract: Contract, { table: name, key, pointer }: Fault): string | undefined {
  const table = contract.tables.get(String(name));
  if (table === undefined) return undefined;
  try {
    const parts = decodeKey(key ?? []);
    // The length of a list is a fault of the list.
    return parts.length < table.key.length ? listPath(table, parts) : inRow(table, parts, String(pointer ?? ''));
  } catch {
    return undefined;
  }
}

function inRow(table: Table, key: Key, pointer: string): string {
  const path = [rowPath(table, key)];
  let node: Node | undefined = table.root;
  for (const step of pointer.split('/').slice(1).map((text) => text.replaceAll('~1', '/').replaceAll('~0', '~'))) {
    node = node.kind === 'branch' ? node.properties.get(step) : undefined;
    if (node === undefined) break;
    path.push(nameText(step));
  }
  return path.join('/');
}
