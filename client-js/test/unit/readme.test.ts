import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { openStoreOn } from '../../src/store/open.js';
import type { OpenOptions } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';

afterEach(() => vi.restoreAllMocks());

it('runs the sample of the README, which says what it does (S38)', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const sample = /```js\n([\s\S]*?)```/.exec(readme)![1]!.replace(/^import .*$/m, '');
  const said: unknown[][] = [];
  vi.spyOn(console, 'log').mockImplementation((...words) => void said.push(words));
  const server = new FakeServer(ENGINES[0]!, SCENE);
  const openStore = (options: OpenOptions): Promise<unknown> => openStoreOn(options, server.platform);
  const Run = Object.getPrototypeOf(async () => undefined).constructor as new (...words: string[]) => (open: typeof openStore) => Promise<void>;
  await new Run('openStore', sample)(openStore);
  expect(said).toEqual([[20], [1], [5, 'local', ['annotation/a1/x']], ['committed'], [7, 'draft', ['annotation/a1/x']], [5, 'draft', ['annotation/a1/x']]]);
});
