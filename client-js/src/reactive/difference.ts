/** What differs between two trees of one place, as paths; what does not differ is shared with the tree shown before. */
import type { Tree, Value } from '../api.js';
import type { Branch, Node, Table } from '../contract/model.js';
import { put, type Fields } from '../contract/show.js';
import { keySegment } from '../paths/key.js';
import { nameText } from '../paths/place.js';

/** Returns the tree to show now, `before` itself if nothing differs; adds the path of each difference. */
export function merge(node: Node, before: Tree | undefined, now: Tree | undefined, path: string, paths: string[]): Tree | undefined {
  if (before === now) return before;
  if (before === undefined || now === undefined) return paths.push(path), now;
  if (node.kind === 'branch') return mergeBranch(node, before as Fields, now as Fields, path, paths);
  if (node.kind === 'list') return mergeList(node.table, before as Tree[], now as Tree[], path, paths);
  if (sameTree(before, now)) return before;
  paths.push(path);
  return now;
}

export function mergeBranch(branch: Branch, before: Fields, now: Fields, path: string, paths: string[]): Tree {
  const fields: Fields = {};
  let same = true;
  // Not of the branch: the hidden key of a row, which never changes while the row stays.
  for (const name of ['_id', '_key']) if (Object.hasOwn(now, name) && !branch.properties.has(name)) fields[name] = now[name]!;
  for (const [name, node] of branch.properties) {
    const old = own(before, name);
    const value = merge(node, old, own(now, name), `${path}/${nameText(name)}`, paths);
    same &&= value === old;
    if (value !== undefined) put(fields, name, value);
  }
  return same ? before : Object.freeze(fields);
}

function own(fields: Fields, name: string): Tree | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

export function mergeList(table: Table, before: Tree[], now: Tree[], path: string, paths: string[]): Tree[] {
  const old = new Map(before.map((item) => [itemSegment(table, item), item]));
  let sameOrder = before.length === now.length;
  const items = now.map((item, at) => {
    const segment = itemSegment(table, item);
    sameOrder &&= before[at] !== undefined && itemSegment(table, before[at]) === segment;
    const was = old.get(segment);
    old.delete(segment);
    return merge(table.root, was, item, `${path}/${segment}`, paths) as Tree;
  });
  for (const segment of old.keys()) paths.push(`${path}/${segment}`);
  if (sameOrder && items.every((item, at) => item === before[at])) return before;
  if (!sameOrder && moved(table, before, now)) paths.push(path);
  return Object.freeze(items) as Tree[];
}

/** Whether the items that stayed are in another order. */
function moved(table: Table, before: Tree[], now: Tree[]): boolean {
  const there = new Set(now.map((item) => itemSegment(table, item)));
  const stayed = before.map((item) => itemSegment(table, item)).filter((segment) => there.has(segment));
  const was = new Set(stayed);
  const order = now.map((item) => itemSegment(table, item)).filter((segment) => was.has(segment));
  return order.some((segment, at) => segment !== stayed[at]);
}

/** The key of an item, read from its tree. */
export function itemSegment(table: Table, item: Tree): string {
  return keySegment(table.own.map((column) => valueAt(item as Fields, column)));
}

function valueAt(fields: Fields, column: string): Value {
  if (!column.includes('.')) return fields[column] as Value;
  return column.split('.').reduce<Tree>((inner, name) => (inner as Fields)[name]!, fields) as Value;
}

/** Equality of values; of JSON values by what they hold. */
export function sameTree(a: Tree | undefined, b: Tree | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length && a.every((byte, at) => byte === b[at]);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length
    && names.every((name) => Object.hasOwn(b, name) && sameTree((a as Fields)[name], (b as Fields)[name]));
}

