/** From a tree that an editor writes to cells: what is equal to its default is NULL, objects become columns. */
import type { Tree, Value } from '../api.js';
import { sameCell } from '../capture/capture.js';
import { invalid } from '../errors.js';
import { fromBase64 } from '../capture/base64.js';
import { canonical, isWellFormed } from './canonical.js';
import type { Branch, Leaf, List } from './model.js';

/** What a write does to one row: cells by column, and the nested lists that it replaces. */
export interface Writing {
  cells: Map<string, Value>;
  lists: [List, Tree[], pointer: string][];
}

export type Mode = 'merge' | 'replace';

/** Where a value stands, as a JSON pointer into the row. */
export function pointerTo(...steps: string[]): string {
  return steps.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Spreads an object over the columns below a branch. `replace`: what is not given is reset; `merge`: it is left alone. */
export function spread(branch: Branch, value: Tree, mode: Mode, into: Writing, pointer: string): void {
  if (value === null) return reset(branch, into);
  if (!isObject(value)) throw invalid(`${pointer || '/'} must be an object`, { pointer });
  for (const name of Object.keys(value))
    if (!branch.properties.has(name)) throw invalid(`the contract has no property ${name} here`, { pointer: pointer + pointerTo(name) });
  for (const [name, node] of branch.properties) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined && mode === 'merge') continue;
    const inner = pointer + pointerTo(name);
    if (node.kind === 'leaf') into.cells.set(node.column, storeLeaf(node, given ?? null, inner));
    else if (node.kind === 'branch') spread(node, given ?? null, mode, into, inner);
    else into.lists.push([node, listOf(given ?? null, inner), inner]);
  }
}

function reset(branch: Branch, into: Writing): void {
  for (const leaf of branch.leaves) into.cells.set(leaf.column, null);
  for (const list of branch.lists) into.lists.push([list, [], '']);
}

export function listOf(value: Tree, pointer: string): Tree[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${pointer || '/'} must be a list`, { pointer });
  return value;
}

export function isObject(value: Tree | undefined): value is { [property: string]: Tree } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

export function storeLeaf(leaf: Leaf, value: Tree, pointer: string): Value {
  if (value === null) return null;
  const cell = FORMS[leaf.form](leaf, value, pointer);
  return isDefault(leaf, cell) ? null : cell;
}

/** The cell that says the value, also where it is the default. */
export function cellOf(leaf: Leaf, value: Tree, pointer: string): Value {
  return value === null ? null : FORMS[leaf.form](leaf, value, pointer);
}

const DEFAULTS = new WeakMap<Leaf, Value>();

function isDefault(leaf: Leaf, cell: Value): boolean {
  if (leaf.default === undefined) return false;
  let stored = DEFAULTS.get(leaf);
  if (stored === undefined) DEFAULTS.set(leaf, (stored = FORMS[leaf.form](leaf, leaf.default, '')));
  return sameCell(stored, cell);
}

const FORMS: Record<Leaf['form'], (leaf: Leaf, value: Tree, pointer: string) => Value> = {
  plain: plainCell,
  boolean: (leaf, value, pointer) =>
    typeof value === 'boolean' ? Number(value)
    : typeof value === 'string' && leaf.kinds.has('string') ? plainCell(leaf, value, pointer)
    : wrong(leaf, wanted(leaf), pointer),
  json: (leaf, value, pointer) => {
    try {
      return canonical(value);
    } catch (error) {
      return wrong(leaf, `a JSON value (${(error as Error).message})`, pointer);
    }
  },
  base64: (leaf, value, pointer) => {
    const bytes = typeof value === 'string' ? fromBase64(value) : value;
    return bytes instanceof Uint8Array ? bytes : wrong(leaf, 'base64 text or a Uint8Array', pointer);
  },
};

const INT64 = 2n ** 63n;

function plainCell(leaf: Leaf, value: Tree, pointer: string): Value {
  if (typeof value === 'string' && leaf.kinds.has('string'))
    return isWellFormed(value) ? value : wrong(leaf, 'text without half surrogate pairs', pointer);
  if (typeof value === 'number' && isNumeric(leaf)) return numberCell(leaf, value, pointer);
  if (typeof value === 'bigint' && isNumeric(leaf)) return bigintCell(leaf, value, pointer);
  if (value instanceof Uint8Array && leaf.kinds.has('bytes')) return value;
  return wrong(leaf, wanted(leaf), pointer);
}

function isNumeric(leaf: Leaf): boolean {
  return leaf.kinds.has('number') || leaf.kinds.has('integer');
}

function numberCell(leaf: Leaf, value: number, pointer: string): Value {
  if (!Number.isFinite(value)) return wrong(leaf, 'a finite number', pointer);
  if (!leaf.kinds.has('number') && !Number.isSafeInteger(value)) return wrong(leaf, wanted(leaf), pointer);
  return value === 0 ? 0 : value;
}

function bigintCell(leaf: Leaf, value: bigint, pointer: string): Value {
  if (leaf.type === 'REAL') return Number(value);
  if (value < -INT64 || value >= INT64) return wrong(leaf, 'an integer of 64 bits', pointer);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

const KINDS: Record<string, string> = {
  string: 'text', integer: 'an integer (a bigint beyond 2^53)', number: 'a number', boolean: 'true or false', bytes: 'a Uint8Array',
};

function wanted(leaf: Leaf): string {
  return [...leaf.kinds].map((kind) => KINDS[kind]).join(' or ');
}

function wrong(leaf: Leaf, needed: string, pointer: string): never {
  throw invalid(`${leaf.column} must be ${needed}`, { pointer });
}
