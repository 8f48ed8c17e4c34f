import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { expect, it } from 'vitest';

const LIMIT = 40 * 1024;
const BINDING = 4 * 1024;

async function chunksOf(entry: string, external: (string | RegExp)[]): Promise<Rolldown.OutputChunk[]> {
  const output = (await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: fileURLToPath(new URL(entry, import.meta.url)), formats: ['es'], fileName: 'client' },
      rolldownOptions: { external, output: { minify: true } },
    },
  })) as Rolldown.RolldownOutput[];
  return output.flatMap((part) => part.output).filter((part) => part.type === 'chunk');
}

function zipped(chunks: Rolldown.OutputChunk[]): number {
  return chunks.reduce((sum, chunk) => sum + gzipSync(chunk.code).length, 0);
}

it(`is at most ${LIMIT / 1024} KiB on the way, without its engine (S15)`, async () => {
  const chunks = await chunksOf('../size/open.ts', [/sqlite-wasm$/, 'sql.js']);
  // A page loads the adapter of one engine; the default one is the larger.
  const loaded = chunks.filter((chunk) => !chunk.fileName.includes('sqljs'));
  expect(loaded.length).toBe(chunks.length - 1);
  const size = zipped(loaded);
  console.info(`client without engine: ${size} bytes gzipped`);
  expect(size).toBeGreaterThan(10_000);
  expect(size).toBeLessThanOrEqual(LIMIT);
});

it.each(['react', 'vue'])(`binds to %s with at most ${BINDING / 1024} KiB (S15)`, async (framework) => {
  const size = zipped(await chunksOf(`../../src/${framework}/index.ts`, [framework, /undo\/undo/]));
  console.info(`binding to ${framework}: ${size} bytes gzipped`);
  expect(size).toBeGreaterThan(500);
  expect(size).toBeLessThanOrEqual(BINDING);
});
