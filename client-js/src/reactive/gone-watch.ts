/** A place that the contract does not have (any more): nothing is there, until a later contract brings it back. */
import type { Seen, Watch } from './watch.js';

export class GoneWatch implements Watch {
  readonly scopes = [];
  value: unknown;

  constructor(readonly id: string) {}

  inherit(before: Watch): void {
    this.value = before.value;
  }

  look(): Seen | undefined {
    if (this.value === undefined) return undefined;
    this.value = undefined;
    return { value: undefined, paths: [] };
  }
}
