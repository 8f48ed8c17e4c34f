/** The requests of the client: find or make the project, load its file, hand in what is too large for a websocket. */
import type { OpenOptions } from '../api.js';
import { StoreError } from '../errors.js';
import { readRefusal } from './messages.js';
import type { Fetch } from './platform.js';
import type { Servers } from './servers.js';

export type Token = () => Promise<string | undefined>;

type Json = Record<string, unknown>;

export class Http {
  constructor(
    private readonly servers: Servers,
    private readonly fetch: Fetch,
    private readonly token: Token,
  ) {}

  /** The id of the project that the options name. */
  async project({ project, contract }: Pick<OpenOptions, 'project' | 'contract'>): Promise<string> {
    if (!project.startsWith('name:')) return project;
    const name = project.slice('name:'.length);
    const found = await this.byName(name);
    if (found !== undefined) return found;
    if (contract === undefined) throw new StoreError('not_found', `there is no project ${name}, and no contract was given to make it from`);
    return this.create(name, contract);
  }

  /** The whole database. (Its version stands in it; the header repeats it.) */
  async file(project: string): Promise<Uint8Array> {
    return new Uint8Array(await this.request('GET', `/projects/${encodeURIComponent(project)}/db`, (response) => response.arrayBuffer()));
  }

  /** A push of its own request; these very bytes. Resolves to the version, or throws StoreError with the refusal. */
  async mutate(project: string, push: string): Promise<number> {
    return Number((await this.request('POST', `/projects/${encodeURIComponent(project)}/mutations`, json, push)).version);
  }

  private async byName(name: string): Promise<string | undefined> {
    const { projects } = (await this.request('GET', '/projects', json)) as { projects: { id: string; name: string }[] };
    return projects.find((project) => project.name === name)?.id;
  }

  private async create(name: string, contract: NonNullable<OpenOptions['contract']>): Promise<string> {
    try {
      return (await this.request('POST', '/projects', json, JSON.stringify({ name, contract }))).id as string;
    } catch (error) {
      // Somebody else may have been quicker.
      const made = error instanceof StoreError && error.code === 'already_exists' ? await this.byName(name) : undefined;
      if (made === undefined) throw error;
      return made;
    }
  }

  /** The connection may also break off while the answer is read. */
  private async request<T>(method: string, path: string, read: (response: Response) => Promise<T>, body?: string): Promise<T> {
    const token = await this.token();
    const headers: Record<string, string> = {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    };
    for (let left = this.servers.count; ; left--) {
      const url = `${this.servers.base}/v1${path}`;
      try {
        const response = await this.fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
        if (response.ok) return await read(response);
        throw await refusal(response, `${method} ${url}`);
      } catch (error) {
        const problem = error instanceof StoreError ? error : new StoreError('unreachable', `${method} ${url}: ${(error as Error).message}`);
        if (left === 1 || !ELSEWHERE.has(problem.code)) throw problem;
        this.servers.next();
      }
    }
  }
}

/** Another node may do better. */
const ELSEWHERE = new Set(['unreachable', 'unavailable']);

const json = (response: Response): Promise<Json> => response.json() as Promise<Json>;

async function refusal(response: Response, what: string): Promise<StoreError> {
  try {
    const { error } = (await response.json()) as { error: Json };
    const { code, message, errors } = readRefusal(error);
    return new StoreError(code, message, errors);
  } catch {
    return new StoreError('unreachable', `${what}: the server answered ${response.status}`);
  }
}
