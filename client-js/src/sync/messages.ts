/**
 * Messages of the server, read with suspicion: whatever does not have the shape of the wire (design section 8) throws
 * WireError, and the store loads the project again rather than show rows it cannot trust.
 */
import type { Fault, MutationId, Refusal, Status, Tree } from '../api.js';
import { decodeCommit, WireError } from '../capture/wire.js';
import type { Commit } from '../core/types.js';

type Json = Record<string, unknown>;

export interface Welcome {
  type: 'welcome';
  project: string;
  epoch: string;
  version: number;
  contractHash: string;
  limits: Limits;
  user?: string;
  role?: Status['role'];
}

/** In bytes and counts, as far as the client must know them. */
export interface Limits { frame: number; in_flight: number; presence: number; signal: number }
export const LIMITS: Limits = { frame: 2 ** 20, in_flight: 256, presence: 4096, signal: 16_384 };

/** A piece of the JSON text of one large commit. */
export interface Part { type: 'part'; version: number; part: number; of: number; data: string }

export type FromServer =
  | Welcome
  | Part
  | { type: 'commits'; commits: Commit[] }
  | { type: 'refused'; id: MutationId; version: number; refusal: Refusal; retryAfter: number }
  | { type: 'settled'; id: MutationId; version: number }
  | { type: 'reset'; reason: string }
  | { type: 'presence'; peers: Record<string, Tree>; users: Record<string, unknown> }
  | { type: 'signal'; from: string; topic: string; data: unknown }
  | { type: 'goodbye'; code: string; message: string; retryAfter: number }
  | { type: 'pong' }
  | { type: 'unknown' };

/** Characters; the server's messages have at most a mebibyte. */
const LONGEST = 2 ** 24;

export function readMessage(data: unknown): FromServer {
  if (typeof data !== 'string') throw new WireError('a message is a text');
  if (data.length > LONGEST) throw new WireError(`a message of ${data.length} characters is too long to be one of ours`);
  const json = parsed(data);
  const read = typeof json.type === 'string' && Object.hasOwn(READERS, json.type) ? READERS[json.type] : undefined;
  // A newer server may say more than this client knows.
  return read === undefined ? { type: 'unknown' } : read(json);
}

export function readCommitText(text: string): Commit {
  return decodeCommit(parsed(text));
}

const READERS: Record<string, (json: Json) => FromServer> = {
  welcome: (json) => {
    if (json.protocol !== 1) throw new WireError(`the server speaks protocol ${String(json.protocol)}, this client 1`);
    return {
      type: 'welcome', project: text(json, 'project'), epoch: text(json, 'epoch'), version: whole(json, 'version'),
      contractHash: text(json, 'contract_hash'), limits: limits(json.limits), ...identity(json),
    };
  },
  commits: (json) => {
    if (json.part !== undefined) return part(json);
    if (!Array.isArray(json.commits)) throw new WireError('`commits` is not a list');
    return { type: 'commits', commits: json.commits.map(decodeCommit) };
  },
  refused: (json) => ({
    type: 'refused', id: mutationId(json), version: whole(json, 'version'), refusal: readRefusal(json), retryAfter: retryAfter(json),
  }),
  settled: (json) => ({ type: 'settled', id: mutationId(json), version: whole(json, 'version') }),
  reset: (json) => ({ type: 'reset', reason: String(json.reason ?? 'the server asks for it') }),
  presence: (json) => ({ type: 'presence', peers: object(json, 'peers') as Record<string, Tree>, users: isObject(json.users) ? json.users : {} }),
  signal: (json) => ({ type: 'signal', from: text(json, 'from'), topic: text(json, 'topic'), data: json.data }),
  goodbye: (json) => ({
    type: 'goodbye', code: text(json, 'code'), message: String(json.message ?? ''), retryAfter: retryAfter(json),
  }),
  pong: () => ({ type: 'pong' }),
};

function part(json: Json): Part {
  const read: Part = {
    type: 'part', version: whole(json, 'version'), part: whole(json, 'part'), of: whole(json, 'of'), data: text(json, 'data'),
  };
  if (read.part < 1 || read.part > read.of) throw new WireError(`there is no part ${read.part} of ${read.of}`);
  return read;
}

export function readRefusal(json: Json): Refusal {
  return { code: text(json, 'code'), message: String(json.message ?? ''), errors: Array.isArray(json.errors) ? (json.errors as Fault[]) : [] };
}

function identity(json: Json): Pick<Welcome, 'user' | 'role'> {
  return {
    ...(typeof json.user === 'string' ? { user: json.user } : {}),
    ...(ROLES.has(json.role) ? { role: json.role as NonNullable<Status['role']> } : {}),
  };
}

function limits(given: unknown): Limits {
  const told = isObject(given) ? Object.entries(given).filter(([, limit]) => typeof limit === 'number' && limit > 0) : [];
  return { ...LIMITS, ...Object.fromEntries(told) };
}

const ROLES = new Set<unknown>(['reader', 'editor', 'owner']);

function parsed(data: string): Json {
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    throw new WireError(`the message is not JSON: ${data.slice(0, 80)}`);
  }
  if (!isObject(json)) throw new WireError('a message is an object');
  return json;
}

function text(json: Json, name: string): string {
  const value = json[name];
  if (typeof value !== 'string') throw new WireError(`\`${name}\` of ${String(json.type)} is not a text`);
  return value;
}

function whole(json: Json, name: string): number {
  const value = json[name];
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new WireError(`\`${name}\` of ${String(json.type)} is no whole number`);
  return value as number;
}

function object(json: Json, name: string): Json {
  const value = json[name];
  if (!isObject(value)) throw new WireError(`\`${name}\` is not an object`);
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mutationId(json: Json): MutationId {
  const { id } = json;
  if (Array.isArray(id) && id.length === 2 && typeof id[0] === 'string' && Number.isSafeInteger(id[1])) return id as MutationId;
  throw new WireError(`\`id\` of ${String(json.type)} is not a client and a counter`);
}

/** In seconds on the wire, in milliseconds here. */
function retryAfter(json: Json): number {
  return typeof json.retry_after === 'number' && json.retry_after >= 0 ? json.retry_after * 1000 : 0;
}
