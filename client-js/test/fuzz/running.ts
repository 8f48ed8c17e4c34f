/** A real server in a process of its own, on a directory and a port of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INSTALLED = fileURLToPath(new URL('../../../.venv/bin/sharelite', import.meta.url));
const COMMAND = process.env['SHARELITE'] ?? (existsSync(INSTALLED) ? INSTALLED : 'sharelite');
const PATIENCE = 60_000;

export class RunningServer {
  url = '';
  private readonly folder = mkdtempSync(join(tmpdir(), 'sharelite-'));
  private readonly data = join(this.folder, 'data');
  private port = 0;
  private process: ChildProcess | undefined;
  private said = '';
  private back: () => void = () => undefined;
  private up = new Promise<void>((resolve) => (this.back = resolve));

  async start(): Promise<this> {
    this.port ||= await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    const server = spawn(COMMAND, ['serve', this.data, '--port', String(this.port)], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => (this.said = (this.said + String(text)).slice(-4000)));
    server.on('error', (error) => (this.said += String(error)));
    this.process = server;
    await this.ready();
    this.back();
    return this;
  }

  /** kill -9; `start` brings it back on the same port and data. */
  async kill(): Promise<void> {
    const server = this.process;
    if (server === undefined || server.exitCode !== null) return;
    this.up = new Promise((resolve) => (this.back = resolve));
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await ended;
    this.process = undefined;
  }

  /** What requests do that may be done again, also if the server is killed meanwhile: once it is back. */
  async surely<T>(requests: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.up;
      try {
        return await requests();
      } catch (error) {
        if (!(error instanceof TypeError && error.message === 'fetch failed')) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `contract`: a document, or the name of one that was put. */
  async create(name: string, contract: unknown): Promise<string> {
    return ((await this.ask('POST', '/projects', { name, contract })) as { id: string }).id;
  }

  /** The answer to a request below `/v1`. Throws where it is an error. */
  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
    const response = await fetch(`${this.url}/v1${path}`, { method, ...sent });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as unknown;
  }

  /** The rows of the server, now. */
  async file(project: string): Promise<Uint8Array> {
    const response = await fetch(`${this.url}/v1/projects/${project}/db`);
    if (!response.ok) throw new Error(`no file: ${response.status} ${await response.text()}`);
    return new Uint8Array(await response.arrayBuffer());
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    while (Date.now() < deadline && this.process?.exitCode === null) {
      const answered = await fetch(`${this.url}/readyz`).then((response) => response.ok, () => false);
      if (answered) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the server did not come up: ${this.said}`);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
