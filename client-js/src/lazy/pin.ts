/**
 * One image and no other: what is asked of a server, and whether its answer is of that image.
 *
 * Servers and what stands before them may ignore Range, send another part, an older body or half of one. Every answer is
 * held against the image's size and against the tag of the first one; what is not sent in pieces is held against its hash.
 */
import { StoreError } from '../errors.js';
import type { Image } from './image.js';
import { imageHash } from './hash.js';

/** The bytes from `from` up to, not including, `to`. */
export interface Span {
  from: number;
  to: number;
}

export interface Answer {
  status: number;
  /** Lower-case names; null where it is absent or kept from us. */
  header(name: string): string | null;
  body: Uint8Array;
}

/** What was asked for, or (where `from` is 0 and it is all there is) the whole file. */
export interface Piece {
  from: number;
  bytes: Uint8Array;
}

/** What may pass: the same may be asked again. */
export const PASSING = new Set(['unreachable', 'unavailable', 'truncated']);

/** Stands for a body that came whole and without a tag: no part can be told to be of it. */
const UNTAGGED = '';

export class Pin {
  /** What every answer has to carry; undefined until the first one. */
  private tag: string | undefined;

  /** `ours`: the image comes from a Sharelite server, which tags it with its hash. */
  constructor(
    private readonly image: Image,
    private readonly ours: boolean,
    private readonly sameOrigin: boolean,
  ) {
    if (ours) this.tag = `"${image.hash}"`;
  }

  /** If-Match would be asked leave for by browsers, which not every host of files gives. */
  headers({ from, to }: Span): Record<string, string> {
    const range = { Range: `bytes=${from}-${to - 1}` };
    return this.sameOrigin && this.tag?.startsWith('"') ? { ...range, 'If-Match': this.tag } : range;
  }

  /** Throws StoreError for whatever is not, beyond doubt, of this image. */
  accept(wanted: Span, answer: Answer): Piece {
    if (answer.status === 206) return this.part(wanted, answer);
    if (answer.status === 200) return this.whole(answer);
    throw this.refused(answer.status);
  }

  private part(wanted: Span, answer: Answer): Piece {
    const said = answer.header('content-range');
    if (said === null) throw this.problem('unreadable', 'the answer does not let this page read Content-Range (CORS: expose it, ETag too)');
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(said);
    if (range === null) throw this.problem('unreadable', `Content-Range: ${said.slice(0, 100)}`);
    const [from, last, total] = range.slice(1).map(Number) as [number, number, number];
    if (total !== this.image.size) throw this.replaced(`it has ${total} bytes now, not ${this.image.size}`);
    this.checkTag(answer);
    if (from !== wanted.from || last !== wanted.to - 1) throw this.problem('unreadable', `bytes ${wanted.from}-${wanted.to - 1} were asked for, ${from}-${last} came`);
    if (answer.body.length !== wanted.to - wanted.from) throw this.problem('truncated', `${answer.body.length} of ${wanted.to - wanted.from} bytes came`);
    return { from, bytes: answer.body };
  }

  /** The server, or something before it, ignores Range. */
  private whole(answer: Answer): Piece {
    const { size, hash } = this.image;
    const { body } = answer;
    if (body.length !== size) throw this.replaced(`${body.length} bytes came instead of a part of ${size}`);
    if (imageHash(body) !== hash) throw this.replaced('all of it came, and it has another hash');
    this.checkWhole(tagOf(answer));
    return { from: 0, bytes: body };
  }

  /** What came in pieces is known by its tag alone: beside pieces of another tag, the right body would be a mixture too. */
  private checkWhole(tag: string | undefined): void {
    if (this.ours) return;
    this.tag ??= tag ?? UNTAGGED;
    if (strong(tag ?? UNTAGGED) !== strong(this.tag)) throw this.replaced(`all of it came under the tag ${(tag ?? '(none)').slice(0, 100)}, and parts of it under ${this.tag || '(none)'}`);
  }

  private checkTag(answer: Answer): void {
    const tag = tagOf(answer);
    if (tag === undefined) throw this.problem('unreadable', 'the answer has neither an ETag nor a Last-Modified that this page may read: nothing would tell one version from another');
    this.tag ??= tag;
    if (strong(tag) !== strong(this.tag)) throw this.replaced(`its tag is ${tag.slice(0, 100)} now, not ${this.tag}`);
  }

  private refused(status: number): StoreError {
    const { version } = this.image;
    if (status === 410) return this.problem('retired', `version ${version} is served no longer; refresh() goes on with a newer one`);
    if (status === 412 || status === 416) return this.replaced(`the server answered ${status}`);
    if (status === 401 || status === 403) return this.problem('forbidden', `the server answered ${status}; the address may have expired`);
    if (status === 404) return this.problem('gone', 'the file is not there (404); refresh() looks for a newer one');
    if (status === 429 || status >= 500) return this.problem('unavailable', `the server answered ${status}`);
    return this.problem('unreadable', `the server answered ${status}`);
  }

  private replaced(how: string): StoreError {
    return this.problem('replaced', `this is not version ${this.image.version} any more: ${how}; refresh() goes on with a newer one`);
  }

  private problem(code: string, what: string): StoreError {
    return new StoreError(code, `${withoutQuery(this.image.url)}: ${what}`);
  }
}

function tagOf(answer: Answer): string | undefined {
  return answer.header('etag') ?? answer.header('last-modified') ?? undefined;
}

/** A proxy that compresses other things weakens tags, and sends the same bytes. */
function strong(tag: string): string {
  return tag.replace(/^W\//, '');
}

/** A signature is nobody's business. */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, '');
}
