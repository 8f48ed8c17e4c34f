/** Keys in paths: percent-encoded, the parts of a composite key joined with a comma. */
import type { Key, Value } from '../api.js';
import type { Table } from '../contract/model.js';
import { invalid } from '../errors.js';

export function keySegment(own: readonly Value[]): string {
  return own.map((part) => encodeURIComponent(String(part))).join(',');
}

/** The own key of a row as its path segment says it; the text becomes what the column holds. */
export function parseKey(table: Table, segment: string, path: string): Key {
  const parts = segment.split(',').map((part) => decoded(part, path));
  if (parts.length !== table.own.length)
    throw invalid(`${path}: the key of ${table.name} has ${table.own.length} parts (${table.own.join(', ')}), not ${parts.length}`);
  return parts.map((part, at) => keyPart(table, table.own[at]!, part, path));
}

function decoded(text: string, path: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(`${path}: ${text} is not percent-encoded text`);
  }
}

/** A key column that may hold text or integers takes what reads as an integer for one. */
function keyPart(table: Table, column: string, text: string, path: string): Value {
  const type = table.types.get(column);
  const integral = /^(0|-?[1-9]\d{0,18})$/.test(text);
  if (type === 'TEXT' || (type === 'ANY' && !integral)) return text;
  if (!integral) throw invalid(`${path}: ${text} is no integer, as ${table.name}.${column} wants`);
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}
