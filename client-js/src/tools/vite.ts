/**
 * A Vite plugin that keeps TypeScript types beside the contracts they are made from, at each start and at each change.
 *
 *     import { shareliteTypes } from 'sharelite/vite';
 *     export default defineConfig({ plugins: [shareliteTypes({ contracts: 'contracts', output: 'src/contracts' })] });
 */
import { resolve } from 'node:path';
import type { Plugin, ViteDevServer } from 'vite';
import { contractFiles, writeTypes } from './write.js';

/** What is written from what. */
export interface TypesOptions {
  /** Contract files (`*.schema.json`) or folders with them, from Vite's root. */
  contracts: string | string[];
  /** A folder that gets one module for each contract, or one `.ts` file for one contract. */
  output: string;
}

/** The plugin. A contract that cannot be read stops a build; while serving it is said in the browser. */
export function shareliteTypes({ contracts, output }: TypesOptions): Plugin {
  let root = process.cwd();
  const sources = new Set<string>();
  const write = (): void => {
    for (const file of [contracts].flat().flatMap((named) => contractFiles(resolve(root, named))))
      for (const source of writeTypes(file, resolve(root, output)).sources) sources.add(resolve(source));
  };
  return {
    name: 'sharelite-types',
    configResolved: (config) => void (root = config.root),
    /** A contract that cannot be read stops a build; a server that is running says so and goes on. */
    buildStart: write,
    configureServer: (server) => follow(server, sources, [contracts].flat().map((named) => resolve(root, named)), write),
  };
}

function follow(server: ViteDevServer, sources: ReadonlySet<string>, named: string[], write: () => void): void {
  const ours = (path: string): boolean => sources.has(path) || named.some((one) => path === one || path.startsWith(`${one}/`));
  const changed = (path: string): void => {
    if (!ours(resolve(path))) return;
    try {
      write();
      server.watcher.add([...sources]);
    } catch (error) {
      const { message, stack = '' } = error as Error;
      server.config.logger.error(message);
      server.ws.send({ type: 'error', err: { message, stack, plugin: 'sharelite-types' } });
    }
  };
  server.watcher.add(named);
  server.watcher.on('add', changed).on('change', changed).on('unlink', changed);
}
