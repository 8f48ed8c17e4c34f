/** What of a file is not here yet, in as few pieces as make sense. */
import type { Span } from './pin.js';

/** Fetching so much again costs less than another request. */
const BRIDGE = 262_144;
/** One request brings at most so much: what is lost when a connection breaks off. */
const MOST = 8_388_608;

/** `have`: the numbers of blocks that are here. Spans in order, none overlapping; together with `have` they are everything. */
export function missing(size: number, block: number, have: Iterable<number>): Span[] {
  const spans: Span[] = [];
  let from = 0;
  for (const number of [...have].sort((a, b) => a - b)) {
    extend(spans, { from, to: Math.min(number * block, size) });
    from = Math.min((number + 1) * block, size);
  }
  extend(spans, { from, to: size });
  return spans.flatMap(pieces);
}

function extend(spans: Span[], next: Span): void {
  if (next.from >= next.to) return;
  const last = spans.at(-1);
  if (last !== undefined && next.from - last.to <= BRIDGE) last.to = next.to;
  else spans.push(next);
}

function pieces({ from, to }: Span): Span[] {
  const spans: Span[] = [];
  for (let at = from; at < to; at += MOST) spans.push({ from: at, to: Math.min(at + MOST, to) });
  return spans;
}
