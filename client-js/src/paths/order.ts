/** Order in lists: which rows keep their order text, and what the others get (fractional indexes). */
import { generateNKeysBetween } from 'fractional-indexing';

/**
 * Order texts for rows in the wanted order, given those they have now (null: a new row or none).
 * As few as possible change: the longest run that already ascends stays.
 */
export function arrange(current: (string | null)[]): string[] {
  const kept = ascending(current);
  const result: string[] = [];
  let from = 0;
  for (const at of [...kept, current.length]) {
    const before = from === 0 ? null : result[from - 1]!;
    const after = at < current.length ? current[at]! : null;
    result.push(...generateNKeysBetween(before, after, at - from));
    if (after !== null) result.push(after);
    from = at + 1;
  }
  return result;
}

export function orderAfter(last: string | null): string {
  return generateNKeysBetween(isOrder(last) ? last : null, null, 1)[0]!;
}

/**
 * `count` texts between two neighbours (null: none there); undefined if there is no room between them, because two people
 * put rows in one place, or another scheme made the texts.
 */
export function between(before: string | null, after: string | null, count: number): string[] | undefined {
  const usable = (text: string | null): boolean => text === null || isOrder(text);
  if (!usable(before) || !usable(after) || (before !== null && after !== null && before >= after)) return undefined;
  return generateNKeysBetween(before, after, count);
}

/** A text that this scheme could have made; another writer's may be anything. */
function isOrder(text: string | null): text is string {
  if (text === null) return false;
  try {
    generateNKeysBetween(text, null, 1);
    return true;
  } catch {
    return false;
  }
}

/** Positions of a longest strictly ascending subsequence (patience sorting). */
function ascending(texts: (string | null)[]): number[] {
  const ends: number[] = [];
  const previous: number[] = [];
  for (const [at, text] of texts.entries()) {
    if (!isOrder(text)) continue;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (texts[ends[middle]!]! < text) low = middle + 1;
      else high = middle;
    }
    previous[at] = low > 0 ? ends[low - 1]! : -1;
    ends[low] = at;
  }
  const run: number[] = [];
  for (let at = ends.at(-1) ?? -1; at >= 0; at = previous[at]!) run.push(at);
  return run.reverse();
}
