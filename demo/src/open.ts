/** What the address says: which project, which engine, who one is. */
import { openStore, type OpenOptions, type Store } from 'sharelite';

export interface Opened { store: Store; project: string; user: string }

const NAMES = ['Ada', 'Kai', 'Mira', 'Noor', 'Rui', 'Sol', 'Tove', 'Yuki'];

export async function openFromAddress(address: URLSearchParams): Promise<Opened> {
  const project = address.get('project') ?? 'name:World';
  const engine = address.get('engine');
  const options: OpenOptions = { project };
  if (engine === 'sqljs' || engine === 'sqlite-wasm') options.engine = engine;
  const store = await openStore(options);
  return { store, project: project.replace(/^name:/, ''), user: address.get('user') || nameFor(store.status.client) };
}

function nameFor(client: string): string {
  return NAMES[parseInt(client.slice(0, 4), 16) % NAMES.length] ?? 'Guest';
}
