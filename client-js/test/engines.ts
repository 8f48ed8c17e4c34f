/** Both engines, for suites with two bodies. */
import { sqliteWasm } from '../src/engine/sqlite-wasm.js';
import { sqljs } from '../src/engine/sqljs.js';
import type { Engine } from '../src/engine/types.js';

export const ENGINES: readonly Engine[] = [await sqliteWasm(), await sqljs()];
