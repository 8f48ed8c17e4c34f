/** The same package with the light engine (sql.js) unless told otherwise: a third less to load, no full text search. */
import type { OpenStore } from './api.js';
import { openStoreOn } from './store/open.js';

export type * from './api.js';
export { StoreError } from './errors.js';

/** Loads the project and keeps it live. Rejects with StoreError if it cannot be loaded. */
export const openStore: OpenStore = (options) => openStoreOn({ engine: 'sqljs', ...options });
