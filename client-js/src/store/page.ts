/** What the page around the store offers: a shelf for texts that lasts a reload, and a word when it is left. */
import type { Shelf } from '../api.js';

/** The page's sessionStorage; a page may be forbidden to keep anything, then even asking throws. */
export function shelfOf(given: Shelf | null | undefined): Shelf | undefined {
  if (given !== undefined) return given ?? undefined;
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

/** Calls back when the page is left, as far as anybody can know. */
export function onLeaving(fn: () => void): () => void {
  const target = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener'>>;
  target.addEventListener?.('pagehide', fn);
  return () => target.removeEventListener?.('pagehide', fn);
}
