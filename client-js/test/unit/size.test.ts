import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { expect, it } from 'vitest';

const LIMIT = 40 * 1024;

it(`is at most ${LIMIT / 1024} KiB on the way, without its engine (S15)`, async () => {
  const output = (await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: fileURLToPath(new URL('../size/open.ts', import.meta.url)), formats: ['es'], fileName: 'client' },
      rolldownOptions: { external: [/sqlite-wasm$/, 'sql.js'], output: { minify: true } },
    },
  })) as Rolldown.RolldownOutput[];
  const chunks = output.flatMap((part) => part.output).filter((part) => part.type === 'chunk');
  // A page loads the adapter of one engine; the default one is the larger.
  const loaded = chunks.filter((chunk) => !chunk.fileName.includes('sqljs'));
  expect(loaded.length).toBe(chunks.length - 1);
  const size = loaded.reduce((sum, chunk) => sum + gzipSync(chunk.code).length, 0);
  console.info(`client without engine: ${size} bytes gzipped`);
  expect(size).toBeGreaterThan(10_000);
  expect(size).toBeLessThanOrEqual(LIMIT);
});
