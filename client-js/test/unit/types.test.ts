/** Types for front-end people: the command and the Vite plugin. That the text is the server's, tests/test_contract_types.py proves. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, createServer } from 'vite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { main } from '../../src/tools/cli.js';
import { readContractFile } from '../../src/tools/files.js';
import { shareliteTypes } from '../../src/tools/vite.js';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'sharelite-types-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const todo = (properties: object): object => ({
  properties: { todo: { type: 'array', items: { type: 'object', properties: { id: { type: 'string' }, ...properties } } } },
});

function put(name: string, value: unknown): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

function said(...words: string[]): string {
  const texts: string[] = [];
  main(words, (text) => texts.push(text));
  return texts.join('');
}

describe('sharelite types', () => {
  it('writes a module for each contract of a folder, and touches only what differs (S70)', () => {
    put('contracts/todo.schema.json', todo({ done: { type: 'boolean', default: false } }));
    put('contracts/other.schema.json', todo({}));
    expect(said('types', join(folder, 'contracts'), '-o', join(folder, 'src'))).toContain('todo.ts: written');
    expect(readFileSync(join(folder, 'src/todo.ts'), 'utf8')).toContain('  done: boolean;');
    expect(said('types', join(folder, 'contracts'), '-o', join(folder, 'src'))).not.toContain('written');
  });

  it.each([
    [['tpyes'], "no command 'tpyes'"],
    [['types'], 'which contract'],
    [['types', 'nowhere.schema.json'], 'nowhere.schema.json: there is no such file'],
    [['types', '--fast'], '--fast'],
  ])('says what it did not understand: %j (S70)', (words, reason) => {
    expect(() => said(...words)).toThrow(reason);
  });

  it.each([
    ['{"properties":', 'the file cannot be read'],
    ['[]', 'holds a JSON object'],
    [{ properties: { t: { $ref: '../secret.json' } } }, 'out of the folder'],
    [{ properties: { t: { $ref: 'link.json' } } }, 'out of the folder'],
    [{ properties: { t: { $ref: 'https://example.com/x.json' } } }, 'nothing is fetched'],
    [{ properties: { t: { $ref: 'none.json' } } }, "c.schema.json#/properties/t/$ref: there is no file 'none.json'"],
  ])('names the file and the place of what is wrong: %j (S70)', (document, reason) => {
    put('secret.json', '{}');
    const path = put('contracts/c.schema.json', document);
    symlinkSync(join(folder, 'secret.json'), join(folder, 'contracts/link.json'));
    expect(() => readContractFile(path)).toThrow(reason);
  });
});

describe('the Vite plugin', () => {
  const options = { contracts: 'contracts', output: 'src/contracts' };

  it('writes the types before anything is built (S70)', async () => {
    put('contracts/todo.schema.json', todo({ title: { type: 'string' } }));
    put('src/main.ts', "import type { Project } from './contracts/todo';\nexport const empty: Project = { todo: [] };\n");
    const lib = { entry: join(folder, 'src/main.ts'), formats: ['es' as const] };
    await build({ root: folder, configFile: false, logLevel: 'silent', plugins: [shareliteTypes(options)], build: { write: false, lib } });
    expect(readFileSync(join(folder, 'src/contracts/todo.ts'), 'utf8')).toContain('title?: string;');
  });

  it('follows a contract and the files it refers to, and outlives a broken one (S70)', async () => {
    const part = put('contracts/parts/colour.json', { enum: ['red'] });
    put('contracts/todo.schema.json', todo({ colour: { $ref: 'parts/colour.json' } }));
    const server = await createServer({ root: folder, configFile: false, logLevel: 'silent', plugins: [shareliteTypes(options)], server: { middlewareMode: true, ws: false } });
    try {
      await server.pluginContainer.buildStart({});
      const written = (): string => readFileSync(join(folder, 'src/contracts/todo.ts'), 'utf8');
      put('contracts/parts/colour.json', '{');
      server.watcher.emit('change', part);
      expect(written()).toContain('colour?: "red";');
      put('contracts/parts/colour.json', { enum: ['red', 'blue'] });
      server.watcher.emit('change', part);
      expect(written()).toContain('colour?: "red" | "blue";');
    } finally {
      await server.close();
    }
  });
});
