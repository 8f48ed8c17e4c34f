/** What the address says: which project, which engine, who one is. */
import { openStore, type OpenOptions, type Store } from 'sharelite';
import type { Viewer } from 'sharelite/viewer';

/** `project`: its name as it is shown. `viewer`: only where the scene is looked at in its published file. */
export interface Opened { store: Store; viewer?: Viewer; project: string; user: string }

const NAMES = ['Ada', 'Kai', 'Mira', 'Noor', 'Rui', 'Sol', 'Tove', 'Yuki'];

export async function openFromAddress(address: URLSearchParams): Promise<Opened> {
  const project = projectIn(address);
  if (address.has('view')) return (await import('./viewing/open')).openView(project);
  const engine = address.get('engine');
  const options: OpenOptions = { project };
  if (engine === 'sqljs' || engine === 'sqlite-wasm') options.engine = engine;
  const store = await openStore(options);
  return { store, project: project.replace(/^name:/, ''), user: address.get('user') || nameFor(store.status.client) };
}

/** An id, or `name:...`. */
export function projectIn(address: URLSearchParams): string {
  return address.get('project') || 'name:World';
}

export function nameFor(client: string): string {
  return NAMES[parseInt(client.slice(0, 4), 16) % NAMES.length] ?? 'Guest';
}
