/** Requests of a worker in a browser: one way that waits, as SQLite has to, and one that does not. */
import { StoreError } from '../errors.js';
import { wantsRanges, type Transport } from '../lazy/reader.js';
import type { Ask } from '../lazy/rest.js';
import { withoutQuery } from '../lazy/pin.js';

/** Milliseconds that a server may take for one part. */
const PATIENCE = 30_000;

/** Only workers may wait for a request. */
export const transport: Transport = (url, headers) => {
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  request.responseType = 'arraybuffer';
  request.timeout = PATIENCE;
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  try {
    request.send();
  } catch (error) {
    throw unreachable(url, error);
  }
  return { status: request.status, header: (name) => request.getResponseHeader(name), body: new Uint8Array((request.response as ArrayBuffer | null) ?? []) };
};

export const ask: Ask = async (url, headers, most) => {
  const stop = new AbortController();
  try {
    const response = await fetch(url, { headers, signal: stop.signal });
    return { status: response.status, header: (name) => response.headers.get(name), body: await bodyOf(response, most, stop) };
  } catch (error) {
    throw error instanceof StoreError ? error : unreachable(url, error);
  }
};

async function bodyOf(response: Response, most: number, stop: AbortController): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  if (Number(response.headers.get('content-length') ?? 0) > most) return cutOff(most, stop);
  for (let reader = response.body?.getReader(); reader !== undefined; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    if ((length += value.length) > most) return cutOff(most, stop);
  }
  const body = new Uint8Array(length);
  for (let at = 0; parts.length > 0; ) {
    const part = parts.shift()!;
    body.set(part, at);
    at += part.length;
  }
  return body;
}

function cutOff(most: number, stop: AbortController): never {
  stop.abort();
  throw wantsRanges(most);
}

/** An address that the page made for a question, and takes back when nobody waits for the answer any more. */
export function leadsSomewhere(token: string): boolean {
  try {
    const request = new XMLHttpRequest();
    request.open('GET', token, false);
    request.send();
    return request.status === 200;
  } catch {
    return false;
  }
}

function unreachable(url: string, error: unknown): StoreError {
  return new StoreError('unreachable', `${withoutQuery(url)}: ${(error as Error).message}`);
}
