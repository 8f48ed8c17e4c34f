/** What a page takes that opens a store and nothing else. */
export { openStore, openStoreOn, StoreError } from '../../src/index.js';
