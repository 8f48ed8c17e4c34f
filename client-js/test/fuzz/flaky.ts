/** A network that loses connections, says things twice and in another order; and clocks that do not wait long. */
import WebSocket from 'ws';
import type { Platform, Socket } from '../../src/sync/platform.js';
import type { Random } from './random.js';

export class Network {
  readonly did = { lost: 0, twice: 0, swapped: 0 };
  /** How often a whole file was asked for. */
  files = 0;
  private calm = false;
  private readonly sockets = new Set<FlakySocket>();
  private readonly sleepers = new Set<() => void>();

  constructor(readonly random: Random) {}

  get platform(): Partial<Platform> {
    return {
      fetch: (url, init) => {
        if (url.endsWith('/db')) this.files++;
        return fetch(url, init);
      },
      socket: (url) => {
        const socket = new FlakySocket(url, this, () => this.sockets.delete(socket));
        this.sockets.add(socket);
        return socket;
      },
      awake: (fn) => {
        this.sleepers.add(fn);
        return () => this.sleepers.delete(fn);
      },
      timers: { now: () => Date.now(), random: () => this.random.below(1000) / 1000, after: (ms, fn) => timer(shortened(ms), fn) },
    };
  }

  /** From here on everything arrives, once and in order. */
  heal(): void {
    this.calm = true;
    for (const socket of this.sockets) socket.letGo();
  }

  /** As a page hears that it is online again: nobody waits any longer. */
  wake(): void {
    for (const fn of [...this.sleepers]) fn();
  }

  chance(probability: number): boolean {
    return !this.calm && this.random.chance(probability);
  }
}

class FlakySocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  private readonly inner: WebSocket;
  private held: string | undefined;
  private lost = false;

  constructor(
    url: string,
    private readonly network: Network,
    gone: () => void,
  ) {
    this.inner = new WebSocket(url);
    this.inner.on('open', () => this.onopen?.());
    this.inner.on('error', (error) => this.onerror?.(error));
    this.inner.on('message', (data) => this.hear(data.toString()));
    this.inner.on('close', (code, reason) => {
      gone();
      this.onclose?.({ code, reason: reason.toString() });
    });
  }

  send(text: string): void {
    const { did } = this.network;
    if (!text.startsWith('{"type":"push"')) return this.pass(text);
    if (this.network.chance(0.03)) return this.lose();
    if (this.held === undefined && this.network.chance(0.1)) {
      did.swapped++;
      this.held = text;
      timer(5, () => this.letGo());
      return;
    }
    this.pass(text);
    this.letGo();
    if (this.network.chance(0.1)) {
      did.twice++;
      this.pass(text);
    }
  }

  close(): void {
    this.inner.close();
  }

  letGo(): void {
    const { held } = this;
    this.held = undefined;
    if (held !== undefined) this.pass(held);
  }

  /** An answer may get lost with the connection that carries it, and then nothing comes after it. */
  private hear(text: string): void {
    if (this.lost) return;
    if (this.network.chance(0.02)) this.lose();
    else this.onmessage?.({ data: text });
  }

  private lose(): void {
    this.lost = true;
    this.network.did.lost++;
    this.inner.terminate();
  }

  private pass(text: string): void {
    if (this.inner.readyState === WebSocket.OPEN) this.inner.send(text);
  }
}

/** Waiting before another attempt is shortened (it is spread, so no whole seconds); limits of patience are not. */
function shortened(ms: number): number {
  return Number.isInteger(ms / 1000) ? ms : ms / 20;
}

function timer(ms: number, fn: () => void): () => void {
  const id = setTimeout(fn, ms);
  return () => clearTimeout(id);
}
