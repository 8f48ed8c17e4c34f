// Imports: a file goes to the server in pieces, then the server tells how far it is until the project is there.
const LOOK_MS = 300;
const TRIES = 6;
const WAIT_MS = 1000;
/** A larger file would have to be in memory whole to be hashed. */
const HASHED = 256 * 1024 * 1024;
const MAGIC = 'SQLite format 3\0';
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export async function isDatabase(file) {
  return (await file.slice(0, MAGIC.length).text()) === MAGIC;
}

/**
 * Makes a project of a file. `ask(method, path, body)` asks the server; `tell` hears `{ phase, done, of }` (of: 0 where nobody
 * knows). Resolves to the import, which is ready; throws what stands in its way. `signal` abandons it.
 */
export async function importFile(file, name, ask, tell, signal) {
  const known = (await json(ask('GET', 'v1/imports'))).imports.find((one) => one.name === name && one.size === file.size && one.state === 'receiving');
  let found = known ?? (await json(ask('POST', 'v1/imports', { name, size: file.size })));
  const path = `v1/imports/${found.id}`;
  const stop = () => ask('DELETE', path).catch(() => undefined);
  signal.addEventListener('abort', stop, { once: true });
  const hash = await hashOf(file);
  found = await sent(file, found, path, ask, tell, signal);
  found = await json(ask('POST', `${path}/finish`, hash === undefined ? {} : { hash }));
  while (found.state === 'working') {
    tell(found.progress ?? { phase: 'working', done: 0, of: 0 });
    await wait(LOOK_MS);
    signal.throwIfAborted();
    found = await json(ask('GET', path));
  }
  signal.removeEventListener('abort', stop);
  if (found.state !== 'ready') throw new Error(found.problem);
  return found;
}

async function sent(file, found, path, ask, tell, signal) {
  let failures = 0;
  while (found.received < found.size) {
    signal.throwIfAborted();
    tell({ phase: 'sending', done: found.received, of: found.size });
    const piece = file.slice(found.received, found.received + found.piece);
    try {
      found = await json(ask('PUT', `${path}?offset=${found.received}`, piece));
      failures = 0;
    } catch (problem) {
      if (++failures > TRIES || (problem.status >= 400 && problem.status < 500 && problem.status !== 409 && problem.status !== 429)) throw problem;
      await wait(WAIT_MS * failures);
      found = await json(ask('GET', path));
    }
  }
  return found;
}

/** Pages without a secure context have no hashes; the import then does without. */
async function hashOf(file) {
  if (file.size > HASHED || !globalThis.crypto?.subtle) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function json(answer) {
  return (await answer).json();
}
