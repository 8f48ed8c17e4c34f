/** What a page keeps over a reload. */
import type { Shelf } from '../../src/api.js';

export class FakeShelf implements Shelf {
  readonly texts = new Map<string, string>();
  getItem = (name: string): string | null => this.texts.get(name) ?? null;
  setItem = (name: string, text: string): void => void this.texts.set(name, text);
  removeItem = (name: string): void => void this.texts.delete(name);
}
