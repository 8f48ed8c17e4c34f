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
      lib: { entry: fileURLToPath(new URL('../../src/index.ts', import.meta.url)), formats: ['es'], fileName: 'client' },
      rolldownOptions: { external: [/sqlite-wasm$/, 'sql.js'], output: { codeSplitting: false, minify: true } },
    },
  })) as Rolldown.RolldownOutput[];
  const code = output.flatMap((part) => part.output).map((part) => (part.type === 'chunk' ? part.code : '')).join('');
  const size = gzipSync(code).length;
  console.info(`client without engine: ${size} bytes gzipped`);
  expect(size).toBeGreaterThan(10_000);
  expect(size).toBeLessThanOrEqual(LIMIT);
});
