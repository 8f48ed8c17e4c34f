/** A host of files as they are: some ignore Range, some lose half of an answer, some have an older body in their cache. */
import { createHash } from 'node:crypto';
import { StoreError } from '../../src/errors.js';
import type { Image } from '../../src/lazy/image.js';
import type { Answer } from '../../src/lazy/pin.js';
import type { Transport } from '../../src/lazy/reader.js';
import { wantsRanges } from '../../src/lazy/reader.js';
import type { Ask } from '../../src/lazy/rest.js';

export const FAULTS = [
  'ignores Range', 'sends half', 'sends nothing', 'sends too much', 'sends another part', 'has an older body', 'has an older body of that size',
  'sends all of an older body', 'sends half of it all', 'weakens the tag', 'leaves out the tag', 'hides Content-Range', 'garbles Content-Range',
  'is busy', 'does not know it', 'has retired it', 'has another', 'refuses', 'sends several parts', 'loses the connection',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Asked { from: number; to: number; headers: Record<string, string> }

const ADDRESS = 'http://files.test/7-image.db';
const STATUS: Partial<Record<Fault, number>> = { 'is busy': 503, 'does not know it': 404, 'has retired it': 410, 'has another': 412, refuses: 403 };

export class FileHost {
  readonly asked: Asked[] = [];
  readonly image: Image;
  /** What goes wrong with the next answers, one after the other. */
  faults: (Fault | undefined)[] = [];
  /** What goes wrong with every answer. */
  always: Fault | undefined;

  constructor(
    readonly file: Uint8Array,
    pageSize = 4096,
    readonly older = changed(file),
    version = 7,
    project = 'p',
    url = ADDRESS,
  ) {
    this.image = { project, version, url, size: file.length, pageSize, hash: hashOf(file) };
  }

  readonly transport: Transport = (_, headers) => {
    const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.Range!)!.map(Number) as [number, number, number];
    const asked = { from, to: last + 1, headers };
    this.asked.push(asked);
    return this.answer(asked, this.faults.shift() ?? this.always);
  };

  readonly ask: Ask = async (url, headers, most) => {
    const answer = this.transport(url, headers);
    if (answer.body.length > most) throw wantsRanges(most);
    return answer;
  };

  private answer({ from, to }: Asked, fault: Fault | undefined): Answer {
    const { file, older } = this;
    const part = file.slice(from, to);
    const good = { 'content-range': `bytes ${from}-${to - 1}/${file.length}`, etag: `"${this.image.hash}"` };
    switch (fault) {
      case undefined: return answer(206, part, good);
      case 'ignores Range': return answer(200, file.slice(), { etag: good.etag });
      case 'sends half': return answer(206, part.slice(0, part.length >> 1), good);
      case 'sends nothing': return answer(206, new Uint8Array(), good);
      case 'sends too much': return answer(206, file.slice(from, to + 1), good);
      case 'sends another part': return answer(206, file.slice(0, to - from), { ...good, 'content-range': `bytes 0-${to - from - 1}/${file.length}` });
      case 'has an older body': return answer(206, older.slice(from, to), { 'content-range': `bytes ${from}-${to - 1}/${older.length + 512}`, etag: good.etag });
      case 'has an older body of that size': return answer(206, older.slice(from, to), { ...good, etag: '"older"' });
      case 'sends all of an older body': return answer(200, older.slice(), {});
      case 'sends half of it all': return answer(200, file.slice(0, file.length >> 1), { etag: good.etag });
      case 'weakens the tag': return answer(206, part, { ...good, etag: `W/${good.etag}` });
      case 'leaves out the tag': return answer(206, older.slice(from, to), { 'content-range': good['content-range'] });
      case 'hides Content-Range': return answer(206, older.slice(from, to), { etag: good.etag });
      case 'garbles Content-Range': return answer(206, older.slice(from, to), { ...good, 'content-range': 'pages 1-2' });
      case 'sends several parts': return answer(206, older.slice(from, to), { etag: good.etag, 'content-type': 'multipart/byteranges; boundary=x' });
      case 'loses the connection': throw new StoreError('unreachable', 'the connection was lost');
      default: return answer(STATUS[fault]!, new TextEncoder().encode('what a host says'), {});
    }
  }
}

function answer(status: number, body: Uint8Array, headers: Record<string, string>): Answer {
  return { status, body, header: (name) => headers[name] ?? null };
}

function changed(file: Uint8Array): Uint8Array {
  return file.map((byte) => byte ^ 0x55);
}

export function hashOf(file: Uint8Array): string {
  const whole = createHash('sha256');
  for (let at = 0; at < file.length; at += 65_536) whole.update(createHash('sha256').update(file.subarray(at, at + 65_536)).digest());
  return whole.digest('hex');
}
