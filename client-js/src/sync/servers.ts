/** The addresses of a server, or of the nodes of a cell: where one does not answer, the next is asked. */
import { StoreError } from '../errors.js';

export class Servers {
  private readonly bases: readonly string[];
  private at = 0;

  constructor(given: string | readonly string[] | undefined) {
    const bases = typeof given === 'string' || given === undefined ? [given ?? globalThis.location?.origin ?? ''] : given;
    this.bases = bases.map((base) => base.replace(/\/+$/, ''));
    if (!bases.length || this.bases.includes('')) throw new StoreError('invalid', 'url: which server? (It may only be left out in a page.)');
  }

  get base(): string {
    return this.bases[this.at]!;
  }

  get count(): number {
    return this.bases.length;
  }

  next(): void {
    this.at = (this.at + 1) % this.count;
  }
}
