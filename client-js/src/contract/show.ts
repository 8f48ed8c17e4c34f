/**
 * From a row of cells to the tree that an editor sees: defaults resolved, absent objects absent.
 *
 * Trees are frozen: one tree is shown to every subscriber, and unchanged parts are shared from one change to the next.
 */
import type { Tree, Value } from '../api.js';
import type { Branch, Leaf, List } from './model.js';
import { toBase64 } from '../capture/base64.js';

export type Fields = { [property: string]: Tree };

/** The nested lists of the row being shown; undefined leaves a list out. */
export type ListsOf = (list: List) => Tree[] | undefined;

/** undefined: the property is absent. */
export function showLeaf(leaf: Leaf, cell: Value | undefined): Tree | undefined {
  if (cell === null || cell === undefined) {
    if (leaf.default !== undefined) return leaf.default;
    return leaf.required && leaf.nullable ? null : undefined;
  }
  if (leaf.form === 'boolean') return cell === 1 ? true : cell === 0 ? false : cell;
  if (leaf.form === 'json') return typeof cell === 'string' ? parsed(cell) : cell;
  if (leaf.form === 'base64') return cell instanceof Uint8Array ? toBase64(cell) : cell;
  return cell;
}

/** SQL may have stored a text that is no JSON; validation says so, reading shows it. */
function parsed(text: string): Tree {
  try {
    return freeze(JSON.parse(text) as Tree);
  } catch {
    return text;
  }
}

export function isBlank(branch: Branch, row: readonly Value[]): boolean {
  for (const leaf of branch.leaves) if (row[leaf.index] !== null) return false;
  return true;
}

/** undefined: the object is absent. */
export function showBranch(branch: Branch, row: readonly Value[], listsOf: ListsOf): Tree | undefined {
  if (isBlank(branch, row)) {
    if (branch.sparse) return undefined;
    if (branch.blank !== undefined) return branch.blank;
  }
  const fields: Fields = {};
  for (const [name, node] of branch.properties) {
    const value =
      node.kind === 'leaf' ? showLeaf(node, row[node.index])
      : node.kind === 'branch' ? showBranch(node, row, listsOf)
      : listsOf(node);
    if (value !== undefined) put(fields, name, value);
  }
  return Object.freeze(fields);
}

/** What a branch without lists reads as while all its leaves are NULL. */
export function blankOf(branch: Branch): Tree | undefined {
  if (branch.lists.length > 0) return undefined;
  const fields: Fields = {};
  for (const [name, node] of branch.properties) {
    const value = node.kind === 'leaf' ? showLeaf(node, null) : node.kind === 'branch' && !node.sparse ? node.blank : undefined;
    if (value !== undefined) put(fields, name, freeze(value));
  }
  return Object.freeze(fields);
}

/** A property called `__proto__` is a property like any other. */
export function put(fields: Fields, name: string, value: Tree): void {
  if (name !== '__proto__') fields[name] = value;
  else Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true });
}

export function freeze(value: Tree): Tree {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) freeze(inner as Tree);
  return Object.freeze(value) as Tree;
}
