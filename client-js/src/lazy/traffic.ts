/** What reading cost, and how much one question may cost. */
import { StoreError } from '../errors.js';

/** What reading has cost, or may cost. */
export interface Traffic {
  /** That came over the network, whether they were of use or not. */
  bytes: number;
  requests: number;
}

/** The most that one question may fetch. */
export type Budget = Traffic;

/** Counts the fetches of one question and stops it before the one that would be too many. */
export class Meter implements Traffic {
  bytes = 0;
  requests = 0;

  constructor(private readonly budget?: Budget) {}

  /** Throws StoreError `budget`. */
  ask(bytes: number): void {
    const { budget } = this;
    if (budget === undefined || (this.bytes + bytes <= budget.bytes && this.requests < budget.requests)) return;
    throw new StoreError('budget', `this needs more than ${kib(budget.bytes)} or ${budget.requests} requests of the project's file`
      + ` (${kib(this.bytes)} and ${this.requests} so far); ask for less, use an index, raise \`budget\`, or join()`);
  }

  count(bytes: number): void {
    this.bytes += bytes;
    this.requests += 1;
  }

  get spent(): Traffic {
    return { bytes: this.bytes, requests: this.requests };
  }
}

function kib(bytes: number): string {
  return `${Math.round(bytes / 1024).toLocaleString('en')} KiB`;
}
