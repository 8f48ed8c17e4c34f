/** What lies above the confirmed rows: pending mutations, then drafts, each able to be applied again. */
import { idOf, Net, net } from './net.js';
import type { Failure } from './operations.js';
import { merge, touch } from './touched.js';
import type { Change, DraftId, Edited, MutationId, Operation, Touched } from './types.js';

export interface Pending {
  id: MutationId;
  operations: readonly Operation[];
  missing: 'refuse' | 'skip';
  /** What it does to the rows at present. */
  touched: Touched;
  failing: boolean;
}

export class Draft {
  readonly net = new Net();
  touched: Touched = new Map();

  constructor(readonly id: DraftId) {}

  get begin(): string {
    return `SAVEPOINT draft_${this.id}`;
  }

  /** Ends it and every draft above it. */
  get end(): string[] {
    return [`ROLLBACK TO draft_${this.id}`, `RELEASE draft_${this.id}`];
  }

  add(edited: Edited): void {
    edited.changes.forEach((change) => this.net.add(change));
    merge(this.touched, edited.touched);
  }

  /** After its intents were applied upon other rows: what they did there is what it would send now. */
  refresh(intents: readonly Change[], failures: readonly Failure[], effects: readonly Change[]): void {
    for (const failure of failures) this.net.forget(failure.operation);
    const byRow = new Map(net(effects).map((effect) => [idOf(effect), effect]));
    for (const intent of intents) this.net.refresh(intent, byRow.get(idOf(intent)));
    this.touched = touch(new Map(), effects);
  }
}

export function isSameId(a: MutationId, b: MutationId): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
