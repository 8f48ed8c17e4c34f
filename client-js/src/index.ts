/** What the package offers. The types say what each thing promises (api.ts). */
import type { OpenStore } from './api.js';
import { openStoreOn } from './store/open.js';

export type * from './api.js';
export { StoreError } from './errors.js';
export { keepDrafts } from './drafts/keep.js';
export { shareDraft, showDrafts } from './drafts/share.js';
export { storeLite, StoreLite, type Info } from './lists/storelite.js';
export { from, From, Where, type Field } from './lists/where.js';
export { move, newId, type Spot } from './lists/move.js';
export { undoOf } from './undo/undo.js';
export { openStoreOn } from './store/open.js';
export type { Platform, Socket, Timers } from './sync/platform.js';

/** Loads the project and keeps it live. Rejects with StoreError if it cannot be loaded. */
export const openStore: OpenStore = (options) => openStoreOn(options);
