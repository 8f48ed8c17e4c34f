/** Puts the light engine's .wasm where a bundler finds it from dist/engine/sqljs.js. */
import { copyFileSync } from 'node:fs';

const from = new URL('../node_modules/sql.js/dist/sql-wasm-browser.wasm', import.meta.url);
copyFileSync(from, new URL('../dist/engine/sql-wasm.wasm', import.meta.url));
