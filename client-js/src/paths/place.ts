/** The grammar of paths (see api.ts): a path names a list, a row, an object in it or one property. */
import type { Key } from '../api.js';
import { SINGLETON, type Branch, type Contract, type Leaf, type Table } from '../contract/model.js';
import { StoreError, invalid } from '../errors.js';
import { keySegment, parseKey } from './key.js';

interface InRow { table: Table; key: Key; path: string }
/** A table, or with `parent` the nested list of that row. */
export interface ListPlace { kind: 'list'; table: Table; parent: Key; path: string }
export interface RowPlace extends InRow { kind: 'row'; node: Branch }
export interface BranchPlace extends InRow { kind: 'branch'; node: Branch; sparse: Branch[] }
/** `sparse`: the objects around it that may be absent, outermost first; where one is, the default does not count. */
export interface LeafPlace extends InRow { kind: 'leaf'; node: Leaf; sparse: Branch[] }
export type Place = ListPlace | RowPlace | BranchPlace | LeafPlace;

/** Paths of one contract; parsed once each, since an editor asks for the same ones over and over. */
export class Paths {
  private readonly known = new Map<string, Place>();

  constructor(private readonly contract: Contract) {}

  place(path: string): Place {
    let place = this.known.get(path);
    if (place === undefined) {
      if (this.known.size >= KEPT) this.known.clear();
      this.known.set(path, (place = parsePath(this.contract, path)));
    }
    return place;
  }
}

const KEPT = 20_000;

export function parsePath(contract: Contract, path: string): Place {
  const segments = path.split('/');
  const table = contract.tables.get(segments[0]!);
  if (table === undefined || table.parent !== undefined)
    throw new StoreError('not_found', `${path}: the contract has no part ${segments[0]}`);
  return inList(table, [], segments.slice(1), path, segments[0]!);
}

function inList(table: Table, parent: Key, rest: string[], path: string, at: string): Place {
  if (table.singleton) return inRow(table, SINGLETON, rest, path, at);
  const [segment, ...further] = rest;
  if (segment === undefined) return { kind: 'list', table, parent, path: at };
  const own = parseKey(table, segment, path);
  return inRow(table, [...parent, ...own], further, path, `${at}/${keySegment(own)}`);
}

function inRow(table: Table, key: Key, rest: string[], path: string, at: string): Place {
  let branch = table.root;
  const sparse: Branch[] = [];
  // One segment may hold several names (`text.font.size`); names have no dots of their own.
  const names = rest.flatMap((segment, index) => segment.split('.').map((name) => ({ name: nameOf(name), index })));
  for (const [position, { name }] of names.entries()) {
    const node = branch.properties.get(name);
    if (node === undefined) throw new StoreError('not_found', `${path}: ${table.name} has no property ${joined(branch, name)}`);
    at += `/${nameText(name)}`;
    if (node.kind === 'list') return inList(node.table, key, followers(rest, names, position, path), path, at);
    if (node.kind === 'leaf') {
      if (position < names.length - 1) throw invalid(`${path}: ${node.column} is one value; nothing in it has a path`);
      return { kind: 'leaf', table, key, node, sparse, path: at };
    }
    if (node.sparse) sparse.push(node);
    branch = node;
  }
  return branch === table.root ? { kind: 'row', table, key, node: branch, path: at } : { kind: 'branch', table, key, node: branch, sparse, path: at };
}

/** What follows a list's name; its key is a segment of its own. */
function followers(rest: string[], names: { index: number }[], position: number, path: string): string[] {
  const { index } = names[position]!;
  if (names[position + 1]?.index === index) throw invalid(`${path}: a key must be a segment of its own, after a slash`);
  return rest.slice(index + 1);
}

/** A property's name as a segment: a name may have a slash. */
export function nameText(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2F');
}

function nameOf(text: string): string {
  return text.replaceAll('%2F', '/').replaceAll('%25', '%');
}

function joined(branch: Branch, name: string): string {
  return branch.prefix ? `${branch.prefix}.${name}` : name;
}
