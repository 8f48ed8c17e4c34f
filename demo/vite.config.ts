import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { preload } from './preload';

const SERVER = 'http://127.0.0.1:8080';

const CONTRACT = 'annotation.schema.json';

/** The contract beside the page, so that a wheel has it. */
function contract(): Plugin {
  const source = (): string => readFileSync(new URL(`../contracts/${CONTRACT}`, import.meta.url), 'utf8');
  return { name: 'contract', generateBundle() { this.emitFile({ type: 'asset', fileName: CONTRACT, source: source() }); } };
}

/** Built straight into the folder that the server serves at /demo. */
export default defineConfig({
  base: '/demo/',
  plugins: [react(), contract(), preload()],
  build: { outDir: '../server/static/demo', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 900 },
  // The client lies beside the demo with a React of its own for its tests.
  resolve: { dedupe: ['react'] },
  worker: { format: 'es' },
  optimizeDeps: { exclude: ['sharelite', '@sqlite.org/sqlite-wasm'] },
  server: { proxy: { '/v1': { target: SERVER, ws: true }, '/client': SERVER } },
});
