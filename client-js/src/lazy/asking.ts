/** Asks until there is an answer: again after what passes, with a new address where the old one has expired. */
import { StoreError } from '../errors.js';
import type { Timers } from '../sync/platform.js';
import type { Answers } from '../worker/messages.js';
import type { QueryOptions } from './api.js';
import type { Calls, Question } from './calls.js';
import { PASSING } from './pin.js';
import type { Budget } from './traffic.js';

/** Milliseconds before each further try. */
const WAITS = [300, 1500];

/** An address that leads somewhere until `end` is called. */
export interface Sign {
  token: string;
  end: () => void;
}

/** What asking needs of the page and the viewer. */
export interface Desk {
  timers: Timers;
  /** An address that leads somewhere until it is ended, as a sign for a worker that hears nothing while it works. */
  sign(): Sign;
  /** Whether the image has another address now, which the worker was told. */
  readdress(): Promise<boolean>;
  answered(): void;
  failed(error: StoreError): void;
}

type Extra = { budget: Budget; token?: string };

export class Asking {
  constructor(
    private readonly calls: Calls,
    private readonly desk: Desk,
    private readonly budget: Budget,
  ) {}

  /** Rejects with StoreError; `aborted` as soon as the signal says so. */
  async ask<O extends 'read' | 'query'>(question: (extra: Extra) => Question<O>, { budget, signal, traffic }: QueryOptions = {}): Promise<Answers[O]> {
    const sign = signal && this.desk.sign();
    const extra = { budget: { ...this.budget, ...budget }, ...(sign === undefined ? {} : { token: sign.token }) };
    const aborted = new Promise<never>((_, reject) => {
      const leave = (): void => (sign?.end(), reject(new StoreError('aborted', 'the question was taken back')));
      if (signal?.aborted) leave();
      else signal?.addEventListener('abort', leave, { once: true });
    });
    // It may come when nobody listens any more.
    aborted.catch(() => undefined);
    try {
      return await this.persist(() => Promise.race([aborted, this.calls.ask<O>(question(extra), { traffic })]), aborted);
    } finally {
      sign?.end();
    }
  }

  /** Also for what is no question of a user (opening, loading the rest). */
  async persist<T>(attempt: () => Promise<T>, aborted: Promise<never> = new Promise(() => undefined)): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        const answer = await attempt();
        this.desk.answered();
        return answer;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.desk.failed(error);
        if (!(await Promise.race([aborted, this.mayHelp(error.code, tries)]))) throw error;
      }
    }
  }

  private async mayHelp(code: string, tries: number): Promise<boolean> {
    if (code === 'forbidden') return tries === 0 && this.desk.readdress();
    const wait = WAITS[tries];
    if (!PASSING.has(code) || wait === undefined) return false;
    await new Promise<void>((resolve) => void this.desk.timers.after(wait, resolve));
    return true;
  }
}
