/** Where images are announced: a server, or a folder on any host of files. */
import { StoreError } from '../errors.js';
import { readRefusal } from '../sync/messages.js';
import type { Fetch } from '../sync/platform.js';
import type { Token } from '../sync/http.js';
import { readImage, type Image } from './image.js';

export interface Source {
  /** Its images are tagged with their hashes. */
  readonly ours: boolean;
  /** `present`: of the present version, which a server publishes then if it has not yet. Rejects with StoreError. */
  newest(present: boolean): Promise<Image>;
  /** The pages that may differ; undefined where nobody knows. */
  changed(from: Image, to: Image): Promise<number[] | undefined>;
}

export class ServerSource implements Source {
  readonly ours = true;

  constructor(
    private readonly base: string,
    private readonly project: string,
    private readonly fetch: Fetch,
    private readonly token: Token,
  ) {}

  async newest(present: boolean): Promise<Image> {
    if (present) await this.publish();
    const { url, body } = await this.ask('/image');
    if (body === null) throw new StoreError('no_image', 'no image of this project has been published yet');
    return readImage(body, url, this.project);
  }

  /** Without the list everything is read again: no reason to fail. */
  async changed(from: Image, to: Image): Promise<number[] | undefined> {
    try {
      const { body } = await this.ask(`/pages?from=${from.version}&to=${to.version}`);
      const { pages } = (body ?? {}) as { pages?: unknown };
      return Array.isArray(pages) && pages.every(Number.isSafeInteger) ? (pages as number[]) : undefined;
    } catch (error) {
      if (error instanceof StoreError) return undefined;
      throw error;
    }
  }

  /** What is wrong with the project or the server is said when the image is asked for; an older image will do. */
  private async publish(): Promise<void> {
    const { url, init } = await this.request('/db');
    await this.fetch(url, { ...init, method: 'HEAD' }).catch(() => undefined);
  }

  private async ask(path: string): Promise<{ url: string; body: unknown }> {
    const { url, init } = await this.request(path);
    return { url, body: await json(this.fetch, url, init) };
  }

  private async request(path: string): Promise<{ url: string; init: RequestInit }> {
    const token = await this.token();
    const url = `${this.base}/v1/projects/${encodeURIComponent(this.project)}${path}`;
    return { url, init: token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } } };
  }
}

export class FolderSource implements Source {
  readonly ours = false;
  private readonly url: string;

  constructor(base: string, private readonly fetch: Fetch) {
    this.url = new URL('latest.json', base.endsWith('/') ? base : `${base}/`).href;
  }

  async newest(): Promise<Image> {
    return readImage(await json(this.fetch, this.url, { cache: 'no-cache' }), this.url);
  }

  async changed(): Promise<undefined> {
    return undefined;
  }
}

async function json(fetch: Fetch, url: string, init: RequestInit): Promise<unknown> {
  try {
    const response = await fetch(url, init);
    if (response.ok) return (await response.json()) as unknown;
    throw await refusal(response, url);
  } catch (error) {
    throw error instanceof StoreError ? error : new StoreError('unreachable', `${url}: ${(error as Error).message}`);
  }
}

/** A host of files answers in words of its own. */
async function refusal(response: Response, url: string): Promise<StoreError> {
  try {
    const { code, message, errors } = readRefusal(((await response.json()) as { error: Record<string, unknown> }).error);
    return new StoreError(code, message, errors);
  } catch {
    const code = response.status === 404 ? 'not_found' : response.status >= 500 ? 'unavailable' : 'unreachable';
    return new StoreError(code, `${url}: the server answered ${response.status}`);
  }
}
