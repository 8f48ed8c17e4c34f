/** The script of the viewer's worker. */
import { loadSqlite3 } from '../engine/sqlite-wasm.js';
import { Host } from './host.js';
import type { Letter, Told } from './messages.js';
import { ask, leadsSomewhere, transport } from './web.js';

/** The part of a worker's world that is used; the library of the page has none of it. */
interface Scope {
  onmessage: ((event: { data: Letter }) => void) | null;
  postMessage(told: Told, transfer: Transferable[]): void;
}
const scope = globalThis as unknown as Scope;

const host = new Host(
  {
    sqlite3: (wasmUrl) => loadSqlite3(wasmUrl === undefined ? {} : { wasmUrl }),
    transport,
    ask,
    sameOrigin: (url) => new URL(url).origin === location.origin,
    awaited: leadsSomewhere,
    now: () => performance.now(),
  },
  (told, transfer) => scope.postMessage(told, transfer),
);
scope.onmessage = ({ data }) => host.hear(data);
