/** A store on a fake server, greeted. */
import { openStoreOn } from '../../src/store/open.js';
import type { OpenOptions, Store } from '../../src/api.js';
import { PROJECT, type FakeServer } from './server.js';
import { turn } from './world.js';

export async function storeOn(server: FakeServer, options: Partial<OpenOptions> = {}): Promise<Store> {
  const engine = server.engine.name;
  const store = await openStoreOn({ url: 'http://fake', project: PROJECT, engine, ...options }, server.platform);
  await settled();
  return store;
}

/** Every message that is under way has arrived. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 6; i++) await turn();
}
