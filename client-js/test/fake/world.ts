/** A world in which nothing happens by itself: a clock that is turned by hand, sockets that end in a fake server. */
import type { Platform, Socket } from '../../src/sync/platform.js';

export class Clock {
  time = 1_000_000;
  private readonly waiting = new Set<{ at: number; fn: () => void }>();

  readonly timers = {
    now: (): number => this.time,
    random: (): number => 0.5,
    after: (ms: number, fn: () => void): (() => void) => {
      const entry = { at: this.time + ms, fn };
      this.waiting.add(entry);
      return () => void this.waiting.delete(entry);
    },
  };

  /** Runs what is due in the next so many milliseconds, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    for (let due = this.next(end); due !== undefined; due = this.next(end)) {
      this.time = Math.max(this.time, due.at);
      this.waiting.delete(due);
      due.fn();
      for (let i = 0; i < 5; i++) await turn();
    }
    this.time = end;
  }

  private next(end: number): { at: number; fn: () => void } | undefined {
    return [...this.waiting].filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
  }
}

/** Lets everything that was promised happen. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

export class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  open = true;

  constructor(private readonly received: (text: string) => void, private readonly left: () => void) {}

  send(text: string): void {
    if (!this.open) throw new Error('the socket is closed');
    this.received(text);
  }

  close(): void {
    this.open = false;
    this.left();
  }
}

let counter = 0;

export function fakePlatform(clock: Clock, rest: Pick<Platform, 'fetch' | 'socket'>): Partial<Platform> {
  return { ...rest, timers: clock.timers, awake: () => () => undefined, randomHex: (digits) => (++counter).toString(16).padStart(digits, '0') };
}
