/** An image: the database file as it was right after one entry, at an address whose meaning never changes. */
import { StoreError } from '../errors.js';

/** One published version of a project, as a file. */
export interface Image {
  project: string;
  version: number;
  /** Absolute. */
  url: string;
  /** Bytes. */
  size: number;
  pageSize: number;
  /** Hex SHA-256 over the SHA-256 of each 64 KiB of the file, in order. */
  hash: string;
}

const HASH = /^[0-9a-f]{64}$/;
const LEAST_PAGE = 512;
const MOST_PAGE = 65_536;

/** What `GET /v1/projects/{p}/image` or a `latest.json` says; throws StoreError `bad_image` with what is wrong. */
export function readImage(said: unknown, from: string, project?: string): Image {
  const fields = (typeof said === 'object' && said !== null ? said : {}) as Record<string, unknown>;
  const bad = (what: string): StoreError => new StoreError('bad_image', `${from} does not name an image: ${what}`);
  const { version, size, page_size: pageSize, hash, url, format = 1 } = fields;
  if (format !== 1) throw bad(`format ${String(format)} is not known here`);
  if (!isCount(version)) throw bad('version');
  if (!isCount(pageSize) || pageSize < LEAST_PAGE || pageSize > MOST_PAGE || (pageSize & (pageSize - 1)) !== 0) throw bad('page_size');
  if (!isCount(size) || size % pageSize !== 0) throw bad('size');
  if (typeof hash !== 'string' || !HASH.test(hash)) throw bad('hash');
  const id = project ?? fields.project;
  if (typeof id !== 'string') throw bad('project');
  return { project: id, version, url: addressOf(url, from) ?? fail(bad('url')), size, pageSize, hash };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function addressOf(url: unknown, from: string): string | undefined {
  if (typeof url !== 'string' || url === '' || !URL.canParse(url, from)) return undefined;
  const { protocol, href } = new URL(url, from);
  return protocol === 'http:' || protocol === 'https:' ? href : undefined;
}

function fail(error: Error): never {
  throw error;
}
