/**
 * Values, changes and commits as they travel (design: Wire), to and from what the core works with.
 *
 * What comes in was written by others: every shape is checked, and rows have no prototype.
 */
import type { Key, MutationId, Value } from '../api.js';
import type { Change, ColumnType, Commit, Operation, Row } from '../core/types.js';
import { type Cell, Real } from '../engine/types.js';
import { fromBase64, toBase64 } from './base64.js';

export type Json = null | boolean | number | string | Json[] | { [property: string]: Json };
export type WireChange = [string, string, Json[], ...Json[]];

/** A message of the server that does not have the shape it should have. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Cells by column, without a prototype: `__proto__` is a column like any other. */
export function row(cells: Iterable<readonly [string, Cell]> = []): Row {
  const made = Object.create(null) as Row;
  for (const [column, cell] of cells) made[column] = cell;
  return made;
}

/** `type` decides between 3 and 3.0, and only an ANY column can hold both. */
export function encodeValue(cell: Cell, type: ColumnType = 'ANY'): Json {
  if (cell === null || typeof cell === 'string') return cell;
  if (cell instanceof Real) return type === 'REAL' ? cell.value : { $r: cell.value };
  if (typeof cell === 'bigint') return encodeInteger(cell);
  if (typeof cell === 'number') return encodeNumber(cell, type);
  return { $b: toBase64(cell) };
}

export function decodeValue(json: unknown): Cell {
  if (json === null || typeof json === 'string') return json;
  if (typeof json === 'boolean') return json ? 1 : 0;
  if (typeof json === 'number') return decodeNumber(json);
  const [tag, inner, ...more] = isObject(json) ? Object.entries(json).flat() : [];
  if (more.length > 0) throw new WireError(`a value has one tag, not ${JSON.stringify(json)}`);
  if (tag === '$i' && typeof inner === 'string') return decodeInteger(inner);
  if (tag === '$r' && typeof inner === 'number') return real(decodeNumber(inner));
  if (tag === '$b' && typeof inner === 'string') return bytesOf(inner);
  throw new WireError(`a value is null, a string, a number, {"$i"}, {"$r"} or {"$b"}, not ${JSON.stringify(json)}`);
}

/** The key as the server writes it in JSON: the same text for the same row, so it serves as a Map key too. */
export function keyText(key: Key): string {
  return JSON.stringify(encodeKey(key));
}

export function parseKeyText(text: string): Key {
  return decodeKey(JSON.parse(text));
}

export function encodeKey(key: Key): Json[] {
  return key.map((part) => encodeValue(part));
}

export function decodeKey(json: unknown): Key {
  if (!Array.isArray(json)) throw new WireError(`a key is a list of values, not ${JSON.stringify(json)}`);
  return json.map(decodeKeyPart);
}

/** A change or operation of a push, or of a commit. `typesOf` has the column types of its table. */
export function encodeChange(change: Operation, types: ReadonlyMap<string, ColumnType>): WireChange {
  const [op, table, key, ...rows] = change;
  return [op, table, encodeKey(key), ...rows.map((cells) => (cells ? encodeRow(cells, types) : null))];
}

export function decodeChange(json: unknown): Change {
  if (!Array.isArray(json)) throw new WireError('a change is a list');
  const [op, table, key, next, old] = json as unknown[];
  if (typeof table !== 'string') throw new WireError('a change names its table');
  const place = [table, decodeKey(key)] as const;
  if (op === 'i') return ['i', ...place, decodeRow(next)];
  if (op === 'u') return ['u', ...place, decodeRow(next), decodeRow(old)];
  if (op === 'd') return ['d', ...place, null, decodeRow(old)];
  throw new WireError(`a change is i, u or d, not ${JSON.stringify(op)}`);
}

const KINDS: readonly string[] = ['edit', 'sql', 'call', 'schema', 'rollback', 'merge', 'import'];

export function decodeCommit(json: unknown): Commit {
  if (!isObject(json)) throw new WireError('a commit is an object');
  const { v, kind, changes, id, steps, skipped } = json;
  if (!Number.isSafeInteger(v)) throw new WireError('a commit has a version');
  if (typeof kind !== 'string' || !KINDS.includes(kind)) throw new WireError(`${JSON.stringify(kind)} is no kind of commit`);
  if (!Array.isArray(changes)) throw new WireError('a commit has changes');
  if (steps !== undefined && !isStrings(steps)) throw new WireError('the steps of a commit are SQL texts');
  if (id !== undefined && id !== null && !isMutationId(id)) throw new WireError('a mutation id is a client and a counter');
  const commit: Commit = { ...(json as unknown as Commit), changes: changes.map(decodeChange) };
  if (id === null) delete commit.id;
  if (skipped !== undefined) commit.skipped = skippedOf(skipped);
  return commit;
}

function skippedOf(json: unknown): [string, Key][] {
  if (!Array.isArray(json)) throw new WireError('what a commit skipped is a list');
  return json.map((item: unknown) => {
    if (!Array.isArray(item) || typeof item[0] !== 'string') throw new WireError('what a commit skipped are rows');
    return [item[0], decodeKey(item[1])];
  });
}

function encodeRow(cells: Row, types: ReadonlyMap<string, ColumnType>): Json {
  const encoded = Object.create(null) as { [column: string]: Json };
  for (const column of Object.keys(cells)) encoded[column] = encodeValue(cells[column] ?? null, types.get(column));
  return encoded;
}

function decodeRow(json: unknown): Row {
  if (!isObject(json)) throw new WireError('a row is an object');
  return row(Object.entries(json).map(([column, value]) => [column, decodeValue(value)] as const));
}

function decodeKeyPart(json: unknown): Value {
  const cell = decodeValue(json);
  return cell instanceof Real ? cell.value : cell;
}

function encodeInteger(value: bigint): Json {
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : { $i: String(value) };
}

function encodeNumber(value: number, type: ColumnType): Json {
  if (!Number.isFinite(value)) throw new RangeError(`${value} cannot be stored; write null or a finite number`);
  if (Object.is(value, -0)) return 0;
  if (!Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  // JSON.stringify writes 1e20 as an integer, and the server takes no integer beyond 64 bits.
  return type === 'INTEGER' ? { $i: String(BigInt(value)) } : { $r: value };
}

function decodeNumber(value: number): number {
  if (!Number.isFinite(value)) throw new WireError('a number is too large');
  return Object.is(value, -0) ? 0 : value;
}

const INTEGER_TEXT = /^-?\d{1,19}$/;

function decodeInteger(text: string): number | bigint {
  const value = INTEGER_TEXT.test(text) ? BigInt(text) : undefined;
  if (value === undefined || BigInt.asIntN(64, value) !== value) throw new WireError(`${text} is no integer of 64 bits`);
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : value;
}

/** Only where a plain number would say an integer. */
export function real(value: number): number | Real {
  return Number.isSafeInteger(value) ? new Real(value) : value;
}

function bytesOf(text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes === undefined) throw new WireError('{"$b"} holds base64 with its padding');
  return bytes;
}

function isObject(json: unknown): json is { [property: string]: unknown } {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function isStrings(json: unknown): json is string[] {
  return Array.isArray(json) && json.every((item) => typeof item === 'string');
}

function isMutationId(json: unknown): json is MutationId {
  return Array.isArray(json) && json.length === 2 && typeof json[0] === 'string' && Number.isSafeInteger(json[1]);
}
