/** Loads the rest of an image: the whole file, put together from what is here and what is still missing, and checked. */
import { StoreError } from '../errors.js';
import { imageHashSoon } from './hash.js';
import { missing } from './missing.js';
import { PASSING, type Answer, type Piece, type Span } from './pin.js';
import type { ImageReader } from './reader.js';

/** One request, not waited for; a body of more than `most` bytes is cut off. Rejects with StoreError `unreachable`, `no_ranges`. */
export type Ask = (url: string, headers: Record<string, string>, most: number) => Promise<Answer>;

const TRIES = 3;

/** The first piece. What answers a part with everything is found out here, where it can still be cut off. */
export async function begin(reader: ImageReader, ask: Ask): Promise<void> {
  const span = reader.first;
  if (!reader.has(span)) reader.take(await fetchSpan(reader, ask, span, Math.max(reader.wholeBytes, span.to)));
}

/** `progress`: bytes that are here, of how many. Rejects with StoreError. */
export async function wholeFile(reader: ImageReader, ask: Ask, progress: (bytes: number) => void): Promise<Uint8Array> {
  const { image } = reader;
  const file = new Uint8Array(image.size);
  if (reader.file !== undefined) file.set(reader.file);
  else await fill(file, reader, ask, progress);
  if ((await imageHashSoon(file)) === image.hash) return file;
  reader.forget();
  throw new StoreError('replaced', `what was loaded is not version ${image.version}: its hash is another; refresh() goes on with a newer one`);
}

async function fill(file: Uint8Array, reader: ImageReader, ask: Ask, progress: (bytes: number) => void): Promise<void> {
  const have = [...reader.blocks.entries()];
  for (const [number, bytes] of have) file.set(bytes, number * reader.block);
  const spans = missing(file.length, reader.block, have.map(([number]) => number));
  let left = spans.reduce((sum, { from, to }) => sum + to - from, 0);
  for (const span of spans) {
    progress(file.length - left);
    const { from, bytes } = await fetchSpan(reader, ask, span, reader.image.size);
    file.set(bytes, from);
    if (bytes.length === file.length) break;
    left -= bytes.length;
  }
  progress(file.length);
}

async function fetchSpan(reader: ImageReader, ask: Ask, span: Span, most: number): Promise<Piece> {
  for (let left = TRIES; ; ) {
    try {
      const answer = await ask(reader.url, reader.pin.headers(span), most);
      reader.total.count(answer.body.length);
      return reader.pin.accept(span, answer);
    } catch (error) {
      if (--left === 0 || !(error instanceof StoreError && PASSING.has(error.code))) throw error;
    }
  }
}
