/** What publishes a fake server's project: announcements, pages that differ, and a host of files for every version. */
import { loadSqlite3 } from '../../src/engine/sqlite-wasm.js';
import { StoreError } from '../../src/errors.js';
import type { Viewer, ViewerOptions } from '../../src/lazy/api.js';
import type { Port } from '../../src/lazy/calls.js';
import { openViewerOn } from '../../src/lazy/open.js';
import type { Answer } from '../../src/lazy/pin.js';
import type { Fetch } from '../../src/sync/platform.js';
import { Host } from '../../src/worker/host.js';
import { FileHost } from './host.js';
import { PROJECT, type FakeServer } from './server.js';

export class Publisher {
  readonly images: FileHost[] = [];
  readonly retired = new Set<FileHost>();
  /** What an address has to end with. */
  signature = '';
  /** The list of pages is given. */
  listsPages = true;
  reachable = true;
  /** Signs that were taken back. */
  private readonly left = new Set<string>();
  private signs = 0;

  constructor(readonly server: FakeServer) {
    this.publish();
  }

  get newest(): FileHost {
    return this.images.at(-1)!;
  }

  publish(): FileHost {
    const { version } = this.server.core;
    const host = new FileHost(this.server.core.exportConfirmed().slice(), 4096, undefined, version, PROJECT, `http://fake/v1/images/${PROJECT}/${version}-image.db`);
    this.images.push(host);
    return host;
  }

  async open(options: ViewerOptions = {}): Promise<Viewer> {
    const platform = { ...this.server.platform, fetch: this.fetch };
    const sign = (): { token: string; end(): void } => {
      const token = `sign:${this.signs++}`;
      return { token, end: () => void this.left.add(token) };
    };
    const where = options.base === undefined ? { url: 'http://fake', project: PROJECT } : {};
    return openViewerOn({ ...where, lookEvery: 0, ...options }, { platform, port: () => this.port(), sign, seen: () => true });
  }

  private readonly fetch: Fetch = async (url, init) => {
    if (!this.reachable) throw new TypeError('fetch failed');
    if (init?.method === 'HEAD') return new Response();
    const { pathname, searchParams } = new URL(url);
    const { version, size, pageSize, hash, url: address } = this.newest.image;
    const said = { project: PROJECT, version, size, page_size: pageSize, hash, url: `${address}${this.signature}` };
    if (pathname === `/v1/projects/${PROJECT}/image` || pathname === '/files/latest.json') return Response.json(said);
    if (pathname === `/v1/projects/${PROJECT}/pages` && this.listsPages) return Response.json({ pages: this.pages(searchParams) });
    return this.server.platform.fetch!(url, init);
  };

  private pages(asked: URLSearchParams): number[] {
    const [a, b] = ['from', 'to'].map((end) => this.images.find(({ image }) => image.version === Number(asked.get(end)))!.file) as [Uint8Array, Uint8Array];
    const pages = Math.ceil(Math.max(a.length, b.length) / 4096);
    const page = (file: Uint8Array, at: number): Uint8Array => file.subarray(at * 4096, (at + 1) * 4096);
    return Array.from({ length: pages }, (_, at) => at + 1).filter((number) => Buffer.compare(page(a, number - 1), page(b, number - 1)) !== 0);
  }

  private port(): Port {
    const port: Port = { send: (letter) => void setImmediate(() => host.hear(structuredClone(letter))), heard: () => undefined, broken: () => undefined, close: () => undefined };
    const transport = (url: string, headers: Record<string, string>): Answer => this.serving(url).transport(url, headers);
    const ask = (url: string, headers: Record<string, string>, most: number): Promise<Answer> => this.serving(url).ask(url, headers, most);
    const host = new Host(
      { sqlite3: () => loadSqlite3({}), transport, ask, sameOrigin: () => true, awaited: (token) => !this.left.has(token), now: () => performance.now() },
      (told) => void setImmediate(() => port.heard(structuredClone(told))),
    );
    return port;
  }

  private serving(url: string): Pick<FileHost, 'transport' | 'ask'> {
    if (!this.reachable) throw new StoreError('unreachable', 'nobody is there');
    const host = this.images.find(({ image }) => image.url === url.replace(/\?.*/, ''))!;
    const fault = this.retired.has(host) ? 'has retired it' : url.endsWith(this.signature) ? undefined : 'refuses';
    if (fault === undefined) return host;
    const failing = new FileHost(host.file);
    failing.always = fault;
    return failing;
  }
}
