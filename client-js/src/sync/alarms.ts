/** Timers by name: setting one again moves it, and all of them can be given up at once. */
import type { Timers } from './platform.js';

export class Alarms {
  private readonly stops = new Map<string, () => void>();

  constructor(private readonly timers: Timers) {}

  has(name: string): boolean {
    return this.stops.has(name);
  }

  set(name: string, ms: number, fn: () => void): void {
    this.cancel(name);
    this.stops.set(name, this.timers.after(ms, () => {
      this.stops.delete(name);
      fn();
    }));
  }

  cancel(...names: string[]): void {
    for (const name of names) {
      this.stops.get(name)?.();
      this.stops.delete(name);
    }
  }

  cancelAll(): void {
    this.cancel(...this.stops.keys());
  }
}
