/** RFC 8785: one JSON text for one value, so that equal values are equal texts on every node and in every browser. */

export function canonical(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return textOf(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is no JSON number`);
    return JSON.stringify(value === 0 ? 0 : value);
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && !(value instanceof Uint8Array)) return objectOf(value as Record<string, unknown>);
  throw new TypeError(`${typeof value === 'object' ? 'bytes' : typeof value} cannot be in a JSON value`);
}

function objectOf(value: Record<string, unknown>): string {
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort();
  return `{${names.map((name) => `${textOf(name)}:${canonical(value[name])}`).join(',')}}`;
}

function textOf(text: string): string {
  if (!isWellFormed(text)) throw new TypeError('a text with half of a surrogate pair cannot be stored');
  return JSON.stringify(text);
}

export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
