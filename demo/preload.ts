/**
 * What the page needs soon is asked for with the page itself, not one after the other as each script finds out: the
 * engine's chunks and its WebAssembly, the land and the borders. What is fetched by a script is named `crossorigin`,
 * or the browser would fetch it twice.
 */
import type { HtmlTagDescriptor, Plugin, Rolldown } from 'vite';

type Bundle = Rolldown.OutputBundle;

/** By the name of its source: the engine that is loaded if the address names none. */
const ENGINE = /engine\/sqlite-wasm|@sqlite\.org\/sqlite-wasm/;
const FETCHED = /\.wasm$|\.png$|\.bin$/;

export function preload(): Plugin {
  return {
    name: 'preload',
    transformIndexHtml: { order: 'post', handler: (_, { bundle }) => (bundle ? tags(bundle) : []) },
  };
}

function tags(bundle: Bundle): HtmlTagDescriptor[] {
  const engine = engineChunks(bundle);
  const files = Object.keys(bundle).filter((file) => FETCHED.test(file) && !file.includes('sql-wasm'));
  return [
    ...engine.map((href) => link({ rel: 'modulepreload', href })),
    ...files.map((href) => link({ rel: 'preload', as: 'fetch', href })),
  ];
}

/** The chunks with the engine in them, and what they import. */
function engineChunks(bundle: Bundle): string[] {
  const found = new Set<string>();
  const add = (file: string): void => {
    const chunk = bundle[file];
    if (chunk?.type !== 'chunk' || chunk.isEntry || found.has(file)) return;
    found.add(file);
    chunk.imports.forEach(add);
  };
  for (const chunk of Object.values(bundle)) {
    if (chunk.type === 'chunk' && !chunk.isEntry && chunk.moduleIds.some((id) => ENGINE.test(id)) && /sqlite-wasm|dist/.test(chunk.fileName)) add(chunk.fileName);
  }
  return [...found];
}

const link = (attrs: Record<string, string>): HtmlTagDescriptor => ({
  tag: 'link', injectTo: 'head-prepend', attrs: { ...attrs, href: `/demo/${attrs['href']}`, crossorigin: '' },
});
