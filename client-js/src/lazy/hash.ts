/** The hash of an image: SHA-256 over the SHA-256 of each 64 KiB, in order. */
import { sha256 } from '../core/sha256.js';

const CHUNK = 65_536;

/** At once, for a caller that cannot wait. */
export function imageHash(file: Uint8Array): string {
  return hex(words(sha256(joined(chunks(file).map((chunk) => words(sha256(chunk)))))));
}

/** With the page's own SHA-256 where it has one (only in secure contexts), which is ten times faster. */
export async function imageHashSoon(file: Uint8Array): Promise<string> {
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle;
  if (subtle === undefined) return imageHash(file);
  const digest = async (bytes: Uint8Array): Promise<Uint8Array> => new Uint8Array(await subtle.digest('SHA-256', bytes as BufferSource));
  return hex(await digest(joined(await Promise.all(chunks(file).map(digest)))));
}

function chunks(file: Uint8Array): Uint8Array[] {
  const pieces = Math.ceil(file.length / CHUNK);
  return Array.from({ length: pieces }, (_, at) => file.subarray(at * CHUNK, (at + 1) * CHUNK));
}

function words(state: Uint32Array): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(32));
  state.forEach((word, at) => bytes.setUint32(at * 4, word));
  return new Uint8Array(bytes.buffer);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.length * 32);
  parts.forEach((part, at) => all.set(part, at * 32));
  return all;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
