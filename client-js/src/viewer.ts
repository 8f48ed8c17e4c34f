/** A project as its published file says it, read page by page: no load for the server, or no server at all. */
import type { OpenViewer, ViewerOptions } from './lazy/api.js';
import type { Port } from './lazy/calls.js';
import { openViewerOn } from './lazy/open.js';

export type * from './api.js';
export type * from './lazy/api.js';
export { StoreError } from './errors.js';
export { openViewerOn, type ViewerWorld } from './lazy/open.js';

/** Opens the newest image. Rejects with StoreError if it cannot be opened. */
export const openViewer: OpenViewer = (options) =>
  openViewerOn(options, { platform: {}, port: portOf, sign, seen: () => globalThis.document?.visibilityState !== 'hidden' });

function portOf({ worker = ownWorker }: ViewerOptions): Port {
  const made = worker();
  const port: Port = { send: (letter) => made.postMessage(letter), heard: () => undefined, broken: () => undefined, close: () => made.terminate() };
  made.onmessage = ({ data }) => port.heard(data);
  made.onerror = (event) => port.broken(event.message || 'its script could not be loaded');
  made.onmessageerror = () => port.broken('it said what could not be read');
  return port;
}

function ownWorker(): Worker {
  return new Worker(new URL('./worker/viewer.js', import.meta.url), { type: 'module', name: 'sharelite viewer' });
}

function sign(): { token: string; end(): void } {
  const token = URL.createObjectURL(new Blob());
  return { token, end: () => URL.revokeObjectURL(token) };
}
