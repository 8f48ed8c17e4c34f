/** The build for pages without a bundler: one file, and beside it the engines' .wasm. The library is built by tsc. */
import { copyFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Files that the engines look for beside their script; left to run time, or they would end up inside as base64. */
function besideTheScript(): Plugin {
  return {
    name: 'beside-the-script',
    enforce: 'pre',
    transform: (code, id) =>
      /sqlite-wasm\/dist|src\/engine\/sqljs/.test(id)
        ? code.replace(/new URL\((["'])(?:\.\/)?([\w-]+\.(?:wasm|m?js))\1, import\.meta\.url\)/g, 'new URL(/* @vite-ignore */ "./$2", import.meta.url)')
        : null,
    writeBundle: () => {
      copyFileSync(here('node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm'), here('dist/browser/sqlite3.wasm'));
      copyFileSync(here('node_modules/sql.js/dist/sql-wasm-browser.wasm'), here('dist/browser/sql-wasm.wasm'));
    },
  };
}

export default defineConfig({
  plugins: [besideTheScript()],
  build: {
    outDir: 'dist/browser',
    emptyOutDir: true,
    target: 'es2022',
    lib: { entry: here('src/index.ts'), formats: ['es'], fileName: () => 'sharelite.js' },
    rolldownOptions: { output: { codeSplitting: false, minify: true } },
  },
});
