/** What the client asks of the world around it; tests and Node bring their own. */

/** The part of a WebSocket that is used. */
export interface Socket {
  /** One text message; called only while it is open. */
  send(text: string): void;
  /** RFC 6455 code and reason; `onclose` follows. */
  close(code?: number, reason?: string): void;
  /** It may be written to. */
  onopen: (() => void) | null;
  /** A message: `data` is a text. */
  onmessage: ((event: { data: unknown }) => void) | null;
  /** The end, however it came; nothing follows. */
  onclose: ((event: { code: number; reason: string }) => void) | null;
  /** Something went wrong; `onclose` follows. */
  onerror: ((event: unknown) => void) | null;
}

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** Clock, alarm and chance. */
export interface Timers {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls once after so many milliseconds, unless what it returns is called before. */
  after(ms: number, fn: () => void): () => void;
  /** At least 0, less than 1. */
  random(): number;
}

/** What a store asks of the world around it. */
export interface Platform {
  fetch: Fetch;
  /** A WebSocket that begins to connect. */
  socket(url: string): Socket;
  timers: Timers;
  /** Calls back when the next animation frame is drawn. */
  frame(fn: () => void): void;
  /** Calls back when the network may be back. */
  awake(fn: () => void): () => void;
  /** So many hexadecimal digits, unguessable. */
  randomHex(digits: number): string;
}

export function platform(given: Partial<Platform> = {}): Platform {
  const timers = given.timers ?? { now: () => Date.now(), random: Math.random, after };
  return {
    fetch: (url, init) => fetch(url, init),
    socket: (url) => new WebSocket(url) as unknown as Socket,
    timers,
    // Without a screen, as often as one would be drawn.
    frame: (fn) => void (typeof requestAnimationFrame === 'function' ? requestAnimationFrame(fn) : timers.after(16, fn)),
    awake,
    randomHex,
    ...given,
  };
}

function after(ms: number, fn: () => void): () => void {
  const timer = setTimeout(fn, ms);
  return () => clearTimeout(timer);
}

/** Only pages have such an event. */
function awake(fn: () => void): () => void {
  const target = globalThis as Partial<Pick<Window, 'addEventListener' | 'removeEventListener'>>;
  target.addEventListener?.('online', fn);
  return () => target.removeEventListener?.('online', fn);
}

function randomHex(digits: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(Math.ceil(digits / 2)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('').slice(0, digits);
}
