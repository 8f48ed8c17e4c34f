/** Callbacks of one event: one that throws is reported and stops nobody; whoever leaves meanwhile is not called. */
import type { Unsubscribe } from '../api.js';
import { report } from '../errors.js';

export class Callbacks<Args extends unknown[]> {
  private readonly all = new Set<(...args: Args) => void>();

  get size(): number {
    return this.all.size;
  }

  /** The same function may be added twice; each has its own end. */
  add(callback: (...args: Args) => void): Unsubscribe {
    const own = (...args: Args): void => callback(...args);
    this.all.add(own);
    return () => void this.all.delete(own);
  }

  emit(...args: Args): void {
    for (const callback of [...this.all]) {
      try {
        if (this.all.has(callback)) callback(...args);
      } catch (error) {
        report(error);
      }
    }
  }

  clear(): void {
    this.all.clear();
  }
}
