/** A value that others may watch: the little state of the page itself (what is selected, which theme). */
import { useSyncExternalStore } from 'react';

export class Cell<T> {
  private readonly watchers = new Set<(value: T) => void>();
  constructor(private value: T) {}

  get(): T { return this.value; }

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher(value);
  }

  watch(watcher: (value: T) => void): () => void {
    this.watchers.add(watcher);
    return () => { this.watchers.delete(watcher); };
  }
}

export function useCell<T>(cell: Cell<T>): T {
  return useSyncExternalStore((changed) => cell.watch(changed), () => cell.get());
}
