/**
 * The build for pages without a bundler: the store in one file, the viewer and its worker in two more that load none of
 * it, and beside them the engines' .wasm. The library is built by tsc.
 */
import { copyFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** By `--mode`. The first one empties the folder. */
const FILES: Record<string, { entry: string; file: string }> = {
  production: { entry: 'src/index.ts', file: 'sharelite.js' },
  viewer: { entry: 'src/viewer.ts', file: 'viewer.js' },
  'viewer-worker': { entry: 'src/worker/viewer.ts', file: 'viewer-worker.js' },
};

/** Files that a script looks for beside itself; left to run time, or they would end up inside as base64. */
function besideTheScript(): Plugin {
  return {
    name: 'beside-the-script',
    enforce: 'pre',
    // Who joins needs the store: it is the other file, loaded then.
    resolveId: (source, importer) => (source === '../store/open.js' && importer?.endsWith('src/lazy/open.ts') ? { id: './sharelite.js', external: true } : null),
    transform: (code, id) => {
      if (/sqlite-wasm\/dist|src\/engine\/sqljs/.test(id))
        return code.replace(/new URL\((["'])(?:\.\/)?([\w-]+\.(?:wasm|m?js))\1, import\.meta\.url\)/g, 'new URL(/* @vite-ignore */ "./$2", import.meta.url)');
      return id.endsWith('src/viewer.ts') ? code.replace("'./worker/viewer.js'", '/* @vite-ignore */ "./viewer-worker.js"') : null;
    },
    writeBundle: () => {
      copyFileSync(here('node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm'), here('dist/browser/sqlite3.wasm'));
      copyFileSync(here('node_modules/sql.js/dist/sql-wasm-browser.wasm'), here('dist/browser/sql-wasm.wasm'));
    },
  };
}

export default defineConfig(({ mode }) => {
  const { entry, file } = FILES[mode]!;
  return {
    plugins: [besideTheScript()],
    build: {
      outDir: 'dist/browser',
      emptyOutDir: mode === 'production',
      target: 'es2022',
      lib: { entry: here(entry), formats: ['es'], fileName: () => file },
      rolldownOptions: { output: { codeSplitting: false, minify: true } },
    },
  };
});
