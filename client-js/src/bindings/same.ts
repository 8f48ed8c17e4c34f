/** Equality of what a store shows: trees, rows and plain objects of them, by what they hold. */

export function sameTree(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) return a instanceof Uint8Array && b instanceof Uint8Array && sameItems(a, b);
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && sameItems(a, b);
  const names = Object.keys(a);
  const same = (name: string): boolean => Object.hasOwn(b, name) && sameTree((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]);
  return names.length === Object.keys(b).length && names.every(same);
}

function sameItems(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (!sameTree(a[at], b[at])) return false;
  return true;
}
