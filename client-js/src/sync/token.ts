/** Tokens: where the next one comes from, and when the present one is to be renewed. */
import type { OpenOptions } from '../api.js';

/** When a JWT expires, in milliseconds of the clock; undefined: never, or it is none of ours to read. */
export function expiryOf(token: string | undefined): number | undefined {
  const payload = token?.split('.')[1];
  if (payload === undefined) return undefined;
  try {
    const { exp } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))) as { exp?: unknown };
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

export function tokenOf(given: OpenOptions['token']): () => Promise<string | undefined> {
  return async () => (typeof given === 'function' ? given() : given);
}
