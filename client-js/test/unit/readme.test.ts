import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { from, keepDrafts, move, newId, shareDraft, showDrafts, undoOf } from '../../src/index.js';
import { openStoreOn } from '../../src/store/open.js';
import type { OpenOptions } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';

const all = { from, keepDrafts, move, newId, shareDraft, showDrafts, undoOf };

afterEach(() => vi.restoreAllMocks());

const Run = Object.getPrototypeOf(async () => undefined).constructor as new (...words: string[]) => (...given: unknown[]) => Promise<void>;

it('runs the samples of the README, which say what they do (S38)', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const samples = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text]) => text!.replace(/^import .*$/m, ''));
  const said: unknown[][] = [];
  vi.spyOn(console, 'log').mockImplementation((...words) => void said.push(words));
  const server = new FakeServer(ENGINES[0]!, SCENE);
  const openStore = (options: OpenOptions): Promise<unknown> => openStoreOn(options, server.platform);
  await new Run('openStore', ...Object.keys(all), samples.join('\n'))(openStore, ...Object.values(all));
  const size = 'annotation/a1/text/font/size';
  expect(said).toEqual([
    [20], [1], [5, 'local', ['annotation/a1/x']], ['committed'], [7, 'draft', ['annotation/a1/x']], [5, 'draft', ['annotation/a1/x']],
    [[`invalid ${size}`]], [[size], [], []], [true, []], [2], [['Here'], 'load'],
  ]);
});
