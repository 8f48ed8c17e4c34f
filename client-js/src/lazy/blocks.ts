/** The pieces of one image that are here, by number; where there is no room, the ones not used for longest go first. */
export class Blocks {
  /** In the order of use. */
  private readonly kept = new Map<number, Uint8Array>();
  private held = 0;

  /** `room`: bytes; one block is kept however little that is. */
  constructor(private readonly room: number) {}

  /** Bytes that are here. */
  get bytes(): number {
    return this.held;
  }

  has(number: number): boolean {
    return this.kept.has(number);
  }

  get(number: number): Uint8Array | undefined {
    const block = this.kept.get(number);
    if (block === undefined) return undefined;
    this.kept.delete(number);
    this.kept.set(number, block);
    return block;
  }

  put(number: number, block: Uint8Array): void {
    this.drop(number);
    this.kept.set(number, block);
    this.held += block.length;
    for (const oldest of this.kept.keys()) {
      if (this.held <= this.room || oldest === number) return;
      this.drop(oldest);
    }
  }

  drop(number: number): void {
    this.held -= this.kept.get(number)?.length ?? 0;
    this.kept.delete(number);
  }

  /** Without counting as a use. */
  entries(): IterableIterator<[number, Uint8Array]> {
    return this.kept.entries();
  }
}
