/** Reading an image piece by piece: what is asked for, what is kept, what is believed. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadSqlite3, openFile, sqliteWasm } from '../../src/engine/sqlite-wasm.js';
import { StoreError } from '../../src/errors.js';
import { Blocks } from '../../src/lazy/blocks.js';
import { imageHash, imageHashSoon } from '../../src/lazy/hash.js';
import { readImage } from '../../src/lazy/image.js';
import { missing } from '../../src/lazy/missing.js';
import { Pin } from '../../src/lazy/pin.js';
import { ImageReader, type ReaderOptions } from '../../src/lazy/reader.js';
import { begin, wholeFile } from '../../src/lazy/rest.js';
import { Meter } from '../../src/lazy/traffic.js';
import { FILE_NAME, FILE_SYSTEM, ImageFileSystem } from '../../src/lazy/vfs.js';
import { FAULTS, FileHost, hashOf } from '../fake/host.js';

const RUNS = process.env.SHARELITE_LONG ? 5000 : 150;
const KIB = 1024;
const CODES = ['unreachable', 'unavailable', 'truncated', 'unreadable', 'replaced', 'retired', 'gone', 'forbidden', 'no_ranges'];

/** Chance, the same for the same seed. */
function bytes(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed | 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    words[at] = state ^= state << 5;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** Compared as bytes: element by element a megabyte takes seconds. */
function expectSame(found: Uint8Array, wanted: Uint8Array): void {
  expect(found.length).toBe(wanted.length);
  expect(Buffer.compare(found, wanted)).toBe(0);
}

function reader(host: FileHost, options: Partial<ReaderOptions> = {}): ImageReader {
  return new ImageReader(host.image, host.transport, { cacheBytes: 1 << 20, wholeBytes: 1 << 20, ours: true, sameOrigin: true, ...options });
}

function read(from: ImageReader, offset: number, length: number): Uint8Array {
  const into = new Uint8Array(length);
  return into.subarray(0, from.read(offset, into));
}

/** What reads gave, those left out that failed with an error that a viewer knows. */
function attempts(from: ImageReader, wanted: [number, number][]): [offset: number, found: Uint8Array][] {
  return wanted.flatMap(([at, length]): [number, Uint8Array][] => {
    const offset = Math.floor(at * from.size);
    try {
      return [[offset, read(from, offset, length)]];
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      expect(CODES).toContain(error.code);
      return [];
    }
  });
}

const kibs = (host: FileHost): number[] => host.asked.map(({ from, to }) => (to - from) / KIB);
const code = (fn: () => unknown): string | undefined => {
  try {
    fn();
    return undefined;
  } catch (error) {
    return error instanceof StoreError ? error.code : String(error);
  }
};

const images = fc.record({ pageSize: fc.constantFrom(512, 4096, 16_384), pages: fc.integer({ min: 1, max: 40 }), seed: fc.integer({ min: 1, max: 1e6 }) });
const faults = fc.array(fc.option(fc.constantFrom(...FAULTS), { nil: undefined, freq: 2 }), { maxLength: 40 });
const reads = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 20_000 })), { minLength: 1, maxLength: 40 });

describe('an image that is read piece by piece', () => {
  it('gives the right bytes or an error, never others, whatever the server does (V1)', () => {
    fc.assert(fc.property(images, faults, reads, fc.constantFrom(0, 8192, 1 << 20), fc.boolean(), ({ pageSize, pages, seed }, wrong, wanted, cacheBytes, sameOrigin) => {
      const host = new FileHost(bytes(pageSize * pages, seed), pageSize);
      const image = reader(host, { cacheBytes, sameOrigin });
      host.faults = [...wrong];
      for (const [offset, found] of attempts(image, wanted)) expectSame(found, host.file.slice(offset, offset + found.length));
      host.faults = [];
      expectSame(read(image, 0, host.file.length), host.file);
    }), { numRuns: RUNS });
  });

  it('never mixes two bodies, though a host of files has a tag of its own (V1)', () => {
    fc.assert(fc.property(images, faults, reads, fc.constantFrom(0, 8192, 1 << 20), ({ pageSize, pages, seed }, wrong, wanted, cacheBytes) => {
      const host = new FileHost(bytes(pageSize * pages, seed), pageSize);
      const image = reader(host, { ours: false, cacheBytes });
      host.faults = [...wrong];
      const from = (body: Uint8Array) => ([offset, found]: [number, Uint8Array]): boolean => Buffer.compare(found, body.slice(offset, offset + found.length)) === 0;
      const answers = attempts(image, wanted);
      expect(answers.every(from(host.file)) || answers.every(from(host.older))).toBe(true);
    }), { numRuns: RUNS });
  });

  it('does not take the whole of it beside parts of an older body (V1)', () => {
    const host = new FileHost(bytes(9 * 4096, 1), 4096);
    const image = reader(host, { ours: false, cacheBytes: 0 });
    host.faults = ['has an older body of that size', 'ignores Range'];
    expectSame(read(image, 0, 4096), host.older.slice(0, 4096));
    expect(code(() => read(image, 4096, 1))).toBe('replaced');
  });

  it('does not take parts beside a whole that had no tag (V1)', () => {
    const host = new FileHost(bytes(9 * 4096, 1), 4096);
    const pin = new Pin(host.image, false, true);
    pin.accept({ from: 0, to: 10 }, { status: 200, header: () => null, body: host.file.slice() });
    const range = (name: string): string => (name === 'etag' ? '"older"' : `bytes 0-9/${host.file.length}`);
    expect(code(() => pin.accept({ from: 0, to: 10 }, { status: 206, header: range, body: host.older.slice(0, 10) }))).toBe('replaced');
  });

  it.each(FAULTS.filter((fault) => !['ignores Range', 'weakens the tag'].includes(fault)))('is not read from a server that %s, which is said (V1)', (fault) => {
    const host = new FileHost(bytes(400_000 & ~4095));
    const image = reader(host);
    read(image, 0, 100);
    host.always = fault;
    expect(CODES).toContain(code(() => read(image, 300_000, 100)));
    host.always = undefined;
    expectSame(read(image, 300_000, 100), host.file.slice(300_000, 300_100));
  });

  it('asks for 32 KiB first, for one page where it jumps, for 16 KiB where it goes on, then twice as much, up to 256 KiB (V2)', () => {
    const host = new FileHost(bytes(2 * KIB * KIB));
    const image = reader(host, { cacheBytes: 1 << 24 });
    read(image, 0, 100);
    read(image, 2_000 * KIB, 10);
    for (let page = 25; page < 300; page++) read(image, page * 4 * KIB, 4 * KIB);
    expect(kibs(host)).toEqual([32, 4, 4, 16, 32, 64, 128, 256, 256, 256, 256]);
    expect(host.asked.at(-1)!.headers).toEqual({ Range: expect.stringMatching(/^bytes=\d+-\d+$/), 'If-Match': `"${host.image.hash}"` });
  });

  it('goes on backwards, too, and over the pages between leaves (V2)', () => {
    const host = new FileHost(bytes(2 * KIB * KIB));
    const image = reader(host);
    for (let page = 400; page > 340; page--) read(image, page * 4 * KIB, 4 * KIB);
    expect(kibs(host)).toEqual([4, 16, 32, 64, 128]);
    const other = reader(host);
    host.asked.length = 0;
    for (let page = 100; page < 160; page += 2) read(other, page * 4 * KIB, 4 * KIB);
    expect(kibs(host)).toEqual([4, 16, 32, 64, 128]);
  });

  it('fetches nothing again that is here, and nothing beyond it (V2)', () => {
    fc.assert(fc.property(images, reads, ({ pageSize, pages, seed }, wanted) => {
      const host = new FileHost(bytes(pageSize * pages, seed), pageSize);
      const image = reader(host, { cacheBytes: 1 << 30 });
      for (const [at, length] of wanted) read(image, Math.floor(at * host.file.length), length);
      const sorted = [...host.asked].sort((a, b) => a.from - b.from);
      sorted.forEach(({ from }, at) => at > 0 && expect(from).toBeGreaterThanOrEqual(sorted[at - 1]!.to));
      expect(sorted.every(({ to }) => to <= host.file.length)).toBe(true);
      expect(image.total.bytes).toBe(host.asked.reduce((sum, { from, to }) => sum + to - from, 0));
    }), { numRuns: RUNS });
  });

  it('keeps no more than it may, and lets go what was not used for longest (V3)', () => {
    const blocks = new Blocks(3 * 4096);
    for (const number of [1, 2, 3]) blocks.put(number, new Uint8Array(4096));
    blocks.get(1);
    blocks.put(4, new Uint8Array(4096));
    expect([...blocks.entries()].map(([number]) => number)).toEqual([3, 1, 4]);
    const host = new FileHost(bytes(512 * KIB));
    const image = reader(host, { cacheBytes: 64 * KIB });
    for (let page = 0; page < 128; page++) {
      read(image, page * 4 * KIB, 4 * KIB);
      expect(image.blocks.bytes).toBeLessThanOrEqual(64 * KIB);
    }
  });

  it('stops before it costs more than it may, says so, and reads on for the next question (V4)', () => {
    const host = new FileHost(bytes(1024 * KIB));
    const image = reader(host);
    image.meter = new Meter({ bytes: 40 * KIB, requests: 9 });
    read(image, 0, 100);
    read(image, 500 * KIB, 100);
    expect(code(() => { for (let page = 30; page < 60; page++) read(image, page * 8 * KIB, 4); })).toBe('budget');
    expect(image.meter.spent.bytes).toBeLessThanOrEqual(40 * KIB);
    image.meter = new Meter({ bytes: 1 << 20, requests: 1 });
    read(image, 800 * KIB, 4);
    expect(() => read(image, 900 * KIB, 4)).toThrow(/more than 1,024 KiB or 1 requests.*4 KiB and 1 so far.*join\(\)/);
  });

  it('takes a small file whole from a server that ignores Range, if its hash is right (V5)', () => {
    const host = new FileHost(bytes(100 * 4096));
    host.always = 'ignores Range';
    const image = reader(host);
    read(image, 0, 100);
    expectSame(read(image, 200_000, 5000), host.file.slice(200_000, 205_000));
    expect(host.asked.length).toBe(1);
    const old = reader(host);
    host.always = 'sends all of an older body';
    expect(code(() => read(old, 0, 100))).toBe('replaced');
  });

  it('asks a server that sends everything of a large file once, and not again (V5)', async () => {
    const host = new FileHost(bytes(100 * 4096));
    host.always = 'ignores Range';
    const image = reader(host, { wholeBytes: 50_000 });
    await expect(begin(image, host.ask)).rejects.toMatchObject({ code: 'no_ranges' });
    expect(code(() => read(image, 0, 100))).toBe('no_ranges');
    expect(code(() => read(image, 0, 100))).toBe('no_ranges');
    expect(host.asked.length).toBe(2);
  });

  it('is asked for again at once where a part broke off, and no oftener than that (V1)', () => {
    const host = new FileHost(bytes(100 * 4096));
    const image = reader(host);
    host.faults = ['sends half', undefined];
    expectSame(read(image, 0, 10), host.file.slice(0, 10));
    host.always = 'is busy';
    expect(code(() => read(image, 200_000, 10))).toBe('unavailable');
    expect(host.asked.length).toBe(4);
  });

  it('goes by Last-Modified where a host has no ETag, and asks no leave of hosts of other origins (V11)', () => {
    const file = bytes(100 * 4096);
    let changed = 'Mon, 01 Jan 2024 00:00:00 GMT';
    const asked: Record<string, string>[] = [];
    const image = new ImageReader(new FileHost(file).image, (_, headers) => {
      asked.push(headers);
      const [, from, last] = /(\d+)-(\d+)/.exec(headers.Range!)!.map(Number) as [number, number, number];
      const said: Record<string, string> = { 'content-range': `bytes ${from}-${last}/${file.length}`, 'last-modified': changed };
      return { status: 206, header: (name) => said[name] ?? null, body: file.slice(from, last + 1) };
    }, { cacheBytes: 1, wholeBytes: 1, ours: false, sameOrigin: false });
    expectSame(read(image, 0, 10), file.slice(0, 10));
    expectSame(read(image, 200_000, 10), file.slice(200_000, 200_010));
    changed = 'Tue, 02 Jan 2024 00:00:00 GMT';
    expect(code(() => read(image, 300_000, 10))).toBe('replaced');
    expect(new Set(asked.flatMap(Object.keys))).toEqual(new Set(['Range']));
  });
});

describe('the rest of an image', () => {
  it('is fetched in as few pieces as make sense; with what is here it is everything (V10)', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 30_000_000 }), fc.uniqueArray(fc.nat(7500), { maxLength: 60 }), (size, have) => {
      const there = have.filter((number) => number * 4096 < size);
      const spans = missing(size, 4096, there);
      const covered = [...spans, ...there.map((number) => ({ from: number * 4096, to: Math.min((number + 1) * 4096, size) }))].sort((a, b) => a.from - b.from);
      let end = 0;
      for (const { from, to } of covered) {
        expect(from).toBeLessThanOrEqual(end);
        end = Math.max(end, to);
      }
      expect(end).toBe(there.length + spans.length > 0 ? size : 0);
      spans.forEach(({ from }, at) => at > 0 && expect(from).toBeGreaterThanOrEqual(spans[at - 1]!.to));
      const gaps = spans.filter(({ from }, at) => at > 0 && from > spans[at - 1]!.to);
      expect(gaps.length).toBeLessThanOrEqual(size / 262_144);
    }), { numRuns: RUNS });
  });

  it('is loaded whole and right, or not at all, whatever the server does (V10)', async () => {
    await fc.assert(fc.asyncProperty(images, faults, reads, fc.boolean(), async ({ pageSize, pages, seed }, wrong, wanted, ours) => {
      const host = new FileHost(bytes(pageSize * pages, seed), pageSize);
      const image = reader(host, { ours });
      for (const [at, length] of wanted) read(image, Math.floor(at * host.file.length), length);
      host.faults = [...wrong];
      const told: number[] = [];
      try {
        expectSame(await wholeFile(image, host.ask, (here) => told.push(here)), host.file);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        expect(CODES).toContain(error.code);
      }
      expect(told).toEqual([...told].sort((a, b) => a - b));
      host.faults = [];
      expectSame(await wholeFile(image, host.ask, () => undefined), host.file);
    }), { numRuns: RUNS });
  });

  it('reuses what is here (V10)', async () => {
    const host = new FileHost(bytes(4 * KIB * KIB));
    const image = reader(host, { cacheBytes: 1 << 24 });
    for (let page = 0; page < 500; page++) read(image, page * 4096, 4096);
    const before = image.total.bytes;
    await wholeFile(image, host.ask, () => undefined);
    expect(image.total.bytes - before).toBe(host.file.length - before);
  });

  it('is refused if one piece was of something else (V10)', async () => {
    const host = new FileHost(bytes(200 * 4096));
    const image = reader(host);
    for (let number = 50; number < 150; number++) image.blocks.put(number, new Uint8Array(4096));
    await expect(wholeFile(image, host.ask, () => undefined).then(() => 'loaded')).rejects.toMatchObject({ code: 'replaced' });
    expectSame(await wholeFile(image, host.ask, () => undefined), host.file);
  });
});

describe('another image', () => {
  it('takes over the pages that are the same, and reads as itself (V8)', () => {
    fc.assert(fc.property(images, fc.integer({ min: 1, max: 60 }), fc.uniqueArray(fc.integer({ min: 2, max: 60 })), reads, ({ pageSize, pages, seed }, newPages, differing, wanted) => {
      const host = new FileHost(bytes(pageSize * pages, seed), pageSize);
      const before = reader(host);
      for (const [at, length] of wanted) read(before, Math.floor(at * host.file.length), length);
      const file = bytes(pageSize * newPages, seed + 1);
      const same = (page: number): boolean => page !== 1 && page <= Math.min(pages, newPages) && !differing.includes(page);
      for (let page = 1; page <= newPages; page++) if (same(page)) file.set(host.file.slice((page - 1) * pageSize, page * pageSize), (page - 1) * pageSize);
      const next = new FileHost(file, pageSize);
      const after = reader(next);
      after.inherit(before, (page) => !same(page));
      expectSame(read(after, 0, file.length), file);
    }), { numRuns: RUNS });
  });
});

describe('the announcement of an image', () => {
  const good = { version: 3, size: 8192, page_size: 4096, hash: 'ab'.repeat(32), url: '3-ab.db', project: 'p', name: 'Harbour', seq: 4, format: 1 };

  it('names an address beside itself, or anywhere (V11)', () => {
    expect(readImage(good, 'https://a.test/files/latest.json')).toEqual({ project: 'p', version: 3, url: 'https://a.test/files/3-ab.db', size: 8192, pageSize: 4096, hash: good.hash });
    expect(readImage({ ...good, url: '/v1/images/p/3-ab.db?s=x' }, 'https://a.test/v1/projects/p/image', 'q')).toMatchObject({ project: 'q', url: 'https://a.test/v1/images/p/3-ab.db?s=x' });
  });

  it.each([
    [null, 'version'], ['text', 'version'], [{ ...good, version: 0 }, 'version'], [{ ...good, version: 1.5 }, 'version'], [{ ...good, size: 8191 }, 'size'], [{ ...good, size: -4096 }, 'size'],
    [{ ...good, page_size: 4095 }, 'page_size'], [{ ...good, page_size: 256 }, 'page_size'], [{ ...good, hash: 'x' }, 'hash'], [{ ...good, url: '' }, 'url'],
    [{ ...good, url: 'file:///etc/passwd' }, 'url'], [{ ...good, url: 'http://[' }, 'url'], [{ ...good, project: 7 }, 'project'], [{ ...good, format: 2 }, 'format 2'],
  ])('is refused with what is wrong: %j (V11)', (said, what) => {
    expect(() => readImage(said, 'https://a.test/latest.json')).toThrow(what);
  });
});

it.each([0, 1, 65_536, 65_537, 200_000])('hashes %i bytes as the server does (V10)', async (length) => {
  const file = bytes(length);
  expect(imageHash(file)).toBe(hashOf(file));
  expect(await imageHashSoon(file)).toBe(hashOf(file));
});

describe('an image beyond 4 GiB', () => {
  const PAGE = 4096;
  const LAST = 1_300_000;

  /** A table whose only page is the last one of 5 GB; what lies between is never read. */
  async function far(): Promise<(offset: number, into: Uint8Array) => number> {
    const db = (await sqliteWasm()).open();
    for (const sql of ['PRAGMA page_size=4096', 'CREATE TABLE t(a)', "INSERT INTO t VALUES ('far out')", 'PRAGMA writable_schema=ON', `UPDATE sqlite_schema SET rootpage=${LAST}`]) db.exec(sql);
    const file = new Uint8Array(db.export());
    db.close();
    new DataView(file.buffer).setUint32(28, LAST);
    return (offset, into) => {
      const page = Math.floor(offset / PAGE);
      const at = page === LAST - 1 ? PAGE : page === 0 ? 0 : file.length;
      into.set(file.subarray(at, at + PAGE).subarray(offset % PAGE, (offset % PAGE) + into.length));
      return into.length;
    };
  }

  it('is read by page numbers and offsets of more than 32 bits (V3)', async () => {
    const read = await far();
    const sqlite3 = await loadSqlite3({});
    new ImageFileSystem(sqlite3).file = { size: LAST * PAGE, read };
    const db = openFile(sqlite3, FILE_NAME, FILE_SYSTEM, () => false);
    expect(db.all('SELECT a FROM t')).toEqual([['far out']]);
    db.close();
  });

  it('is asked for in the same small pieces (V2)', () => {
    const size = 6 * 1024 ** 3;
    const at = (offset: number): number => (offset / PAGE) % 251;
    const image = { project: 'p', version: 7, url: 'http://files.test/7-image.db', size, pageSize: PAGE, hash: 'h' };
    const asked: number[] = [];
    const reader = new ImageReader(image, (_, { Range }) => {
      const [from, last] = /^bytes=(\d+)-(\d+)$/.exec(Range!)!.slice(1).map(Number) as [number, number];
      asked.push(last + 1 - from);
      const headers: Record<string, string> = { 'content-range': `bytes ${from}-${last}/${size}`, etag: '"h"' };
      const body = new Uint8Array(last + 1 - from).map((_byte, place) => at(from + place - (from + place) % PAGE));
      return { status: 206, body, header: (name) => headers[name] ?? null };
    }, { cacheBytes: 1 << 20, wholeBytes: 1 << 20, ours: true, sameOrigin: true });
    for (let offset = size - PAGE; offset > 0; offset -= 100_003 * PAGE) {
      const page = read(reader, offset, PAGE);
      expect(page.every((byte) => byte === at(offset))).toBe(true);
    }
    expect(Math.max(...asked)).toBeLessThanOrEqual(256 * KIB);
  });
});
