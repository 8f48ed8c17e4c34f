/**
 * What a person did, as steps that can be taken back: which writes make one step, and what its reverse would be.
 *
 * Plain values: no clock, no database. A step holds what really happened to the rows (old and new values), so that its
 * reverse can tell what is still as the step left it.
 */
import { keyText } from '../capture/wire.js';
import { Net, net, reversed } from '../core/net.js';
import type { Change, MutationId } from '../core/types.js';

/** One mutation of a step. */
export interface Write {
  /** undefined: answered before the page was loaded again. */
  id: MutationId | undefined;
  changes: readonly Change[];
}

export interface Step {
  tag?: string;
  /** When its last write was made, in milliseconds. */
  at: number;
  writes: Write[];
  /** The step that this one took back. */
  of?: Step;
}

/** What the step did, at most one change for each row. */
export function changesOf(step: Step): Change[] {
  const all = new Net();
  for (const change of step.writes.flatMap((write) => write.changes)) {
    all.meet(change);
    all.add(change);
  }
  return all.changes();
}

/** Everything that leads from after the step to before it, in the order in which it can be done. */
export function reverse(step: Step): Change[] {
  return changesOf(step).reverse().map(reversed);
}

/** What the server really did for a write; others may have been quicker, then its old values are theirs. */
export function confirm(steps: readonly Step[], id: MutationId, changes: readonly Change[]): void {
  for (const { writes } of steps.toReversed()) {
    const write = writes.findLast((one) => isSame(one.id, id));
    if (write !== undefined) return void (write.changes = net(changes));
  }
}

/**
 * Forgets a write that was refused. The next write to the same cell found what the refused one had written: it gets the
 * old value of that one instead. Returns the step that is empty now, if it is.
 */
export function forget(steps: readonly Step[], id: MutationId): Step | undefined {
  const writes = steps.flatMap((step) => step.writes.map((write) => ({ step, write })));
  const at = writes.findIndex(({ write }) => isSame(write.id, id));
  if (at < 0) return undefined;
  const { step, write } = writes[at]!;
  const later = writes.slice(at + 1).map((one) => one.write);
  for (const change of write.changes) if (change[0] === 'u') hand(change, later);
  step.writes = step.writes.filter((one) => one !== write);
  return step.writes.length === 0 ? step : undefined;
}

type Update = Extract<Change, ['u', ...unknown[]]>;

function hand([, table, key, now, old]: Update, later: Write[]): void {
  for (const column of Object.keys(now)) {
    const next = later.flatMap((write) => write.changes).find((change): change is Update =>
      change[0] === 'u' && change[1] === table && keyText(change[2]) === keyText(key) && column in change[3]);
    if (next !== undefined) next[4][column] = old[column] ?? null;
  }
}

export function isSame(a: MutationId | undefined, b: MutationId): boolean {
  return a !== undefined && a[0] === b[0] && a[1] === b[1];
}
