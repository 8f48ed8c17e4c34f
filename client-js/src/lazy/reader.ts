/**
 * Reads one image, piece by piece, as if it were a file that is here. Synchronous, because SQLite is.
 *
 * A failed read leaves everything as it was: the pieces that are here stay, and the same read may be asked for again.
 */
import { StoreError } from '../errors.js';
import { ReadAhead } from './ahead.js';
import { Blocks } from './blocks.js';
import type { Image } from './image.js';
import { PASSING, Pin, type Answer, type Piece, type Span } from './pin.js';
import { Meter } from './traffic.js';

/** One request, waited for. Throws StoreError `unreachable`. */
export type Transport = (url: string, headers: Record<string, string>) => Answer;

export interface ReaderOptions {
  /** Most bytes of pieces that are kept. */
  cacheBytes: number;
  /** A file up to so many bytes is taken whole from a server that ignores Range. */
  wholeBytes: number;
  /** The image comes from a Sharelite server. */
  ours: boolean;
  sameOrigin: boolean;
}

const LEAST_BLOCK = 4096;
const FIRST = 32_768;
const MOST = 262_144;
/** A part that broke off on the way is asked for once more at once. */
const TRIES = 2;

export class ImageReader {
  readonly block: number;
  readonly blocks: Blocks;
  readonly pin: Pin;
  readonly wholeBytes: number;
  /** Where the image is fetched: an address may expire, and another one lead to the same image. */
  url: string;
  /** Of the question that is being answered. */
  meter = new Meter();
  /** Called before every request; may throw, to stop. */
  before: () => void = () => undefined;
  private readonly ahead: ReadAhead;
  private whole: Uint8Array | undefined;
  private broken: StoreError | undefined;

  constructor(
    readonly image: Image,
    private readonly transport: Transport,
    { cacheBytes, wholeBytes, ours, sameOrigin }: ReaderOptions,
    /** Of everything so far. */
    readonly total = new Meter(),
  ) {
    this.url = image.url;
    this.wholeBytes = wholeBytes;
    this.block = Math.max(image.pageSize, LEAST_BLOCK);
    this.blocks = new Blocks(cacheBytes);
    this.ahead = new ReadAhead(MOST / this.block);
    this.pin = new Pin(image, ours, sameOrigin);
  }

  get size(): number {
    return this.image.size;
  }

  /** The beginning, where the schema lies. */
  get first(): Span {
    return { from: 0, to: Math.min(Math.max(FIRST, this.block), this.size) };
  }

  /** The whole file, where a server sent nothing less. */
  get file(): Uint8Array | undefined {
    return this.whole;
  }

  /** Fills `into` with the bytes from `offset` on; how many there were. Throws StoreError. */
  read(offset: number, into: Uint8Array): number {
    const end = Math.min(offset + into.length, this.size);
    for (let at = offset; at < end; ) {
      const number = Math.floor(at / this.block);
      const start = number * this.block;
      const part = this.get(number).subarray(at - start, Math.min(end - start, this.block));
      into.set(part, at - offset);
      at += part.length;
    }
    return Math.max(0, end - offset);
  }

  has({ from, to }: Span): boolean {
    for (let at = from; at < to; at += this.block) if (!this.blocks.has(at / this.block)) return false;
    return true;
  }

  /** Keeps what was fetched; it begins with a block. */
  take({ from, bytes }: Piece): void {
    if (bytes.length === this.size) this.whole = bytes;
    else for (let at = 0; at < bytes.length; at += this.block) this.blocks.put((from + at) / this.block, bytes.slice(at, at + this.block));
  }

  /** Takes over the pieces of another image that are the same in this one. */
  inherit(before: ImageReader, changed: (page: number) => boolean): void {
    if (before.block !== this.block) return;
    const pages = this.block / this.image.pageSize;
    for (const [number, block] of before.blocks.entries()) {
      const full = block.length === this.block && (number + 1) * this.block <= this.size;
      if (full && !anyOf(number * pages + 1, pages, changed)) this.blocks.put(number, block);
    }
  }

  /** Drops every piece: one of them is not of this image. */
  forget(): void {
    for (const [number] of [...this.blocks.entries()]) this.blocks.drop(number);
    this.whole = undefined;
  }

  private get(number: number): Uint8Array {
    const start = number * this.block;
    if (this.whole !== undefined) return this.whole.subarray(start, start + this.block);
    const kept = this.blocks.get(number);
    if (kept === undefined) return this.miss(number);
    this.ahead.passed(number);
    return kept;
  }

  private miss(number: number): Uint8Array {
    const piece = this.fetch(this.spanOf(number));
    this.take(piece);
    const start = number * this.block - piece.from;
    return piece.bytes.subarray(start, start + this.block);
  }

  /** As far ahead as nothing of it is here already. */
  private spanOf(number: number): Span {
    const plan = number === 0 ? { from: 0, count: Math.ceil(FIRST / this.block) } : this.ahead.missed(number);
    let [first, last] = [number, number];
    const end = Math.ceil(this.size / this.block);
    while (first > Math.max(plan.from, 0) && !this.blocks.has(first - 1)) first--;
    while (last + 1 < Math.min(plan.from + plan.count, end) && !this.blocks.has(last + 1)) last++;
    return { from: first * this.block, to: Math.min((last + 1) * this.block, this.size) };
  }

  private fetch(span: Span): Piece {
    if (this.broken !== undefined) throw this.broken;
    for (let left = TRIES; ; ) {
      try {
        return this.ask(span);
      } catch (error) {
        if (--left === 0 || !(error instanceof StoreError && PASSING.has(error.code))) throw error;
      }
    }
  }

  private ask(span: Span): Piece {
    this.before();
    this.meter.ask(span.to - span.from);
    const answer = this.counted(() => this.transport(this.url, this.pin.headers(span)));
    if (answer.status === 200 && answer.body.length > this.wholeBytes) throw (this.broken = wantsRanges(this.wholeBytes));
    return this.pin.accept(span, answer);
  }

  /** A request that fails is a request, too. */
  private counted(request: () => Answer): Answer {
    let bytes = 0;
    try {
      const answer = request();
      bytes = answer.body.length;
      return answer;
    } finally {
      this.meter.count(bytes);
      this.total.count(bytes);
    }
  }
}

/** Who sends everything once would send everything each time: such a server is not asked again. */
export function wantsRanges(most: number): StoreError {
  return new StoreError('no_ranges', 'the server, or a proxy before it, ignores Range and sends the whole file;'
    + ` have it answer parts with 206, or allow \`wholeBytes\` of more than ${most.toLocaleString('en')}`);
}

function anyOf(first: number, count: number, is: (page: number) => boolean): boolean {
  for (let page = first; page < first + count; page++) if (is(page)) return true;
  return false;
}
