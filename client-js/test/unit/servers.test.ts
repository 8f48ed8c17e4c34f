import { describe, expect, it } from 'vitest';
import { openStoreOn } from '../../src/store/open.js';
import type { Platform } from '../../src/sync/platform.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer, PROJECT } from '../fake/server.js';
import { settled } from '../fake/store.js';

const engine = ENGINES[0]!;
const NODES = ['http://a', 'http://b/', 'http://c'];

/** Nodes of one cell, some of which do not answer; notes who was asked. */
function cell(server: FakeServer, dead: Set<string>, asked: string[]): Partial<Platform> {
  const { fetch, socket } = server.platform;
  const ask = (url: string): boolean => {
    asked.push(new URL(url).host);
    return !dead.has(new URL(url).host);
  };
  return {
    ...server.platform,
    fetch: async (url, init) => {
      if (!ask(url)) throw new TypeError('fetch failed');
      return fetch!(url, init);
    },
    socket: (url) => {
      server.reachable = ask(url);
      return socket!(url);
    },
  };
}

describe('the nodes of a cell', () => {
  it('are asked one after the other, and a lost one is left behind with nothing lost (K69)', async () => {
    const server = new FakeServer(engine, SCENE);
    server.commit([['i', 'annotation', ['a1'], { name: 'One' }]]);
    const [dead, asked] = [new Set(['a']), [] as string[]];
    const store = await openStoreOn({ url: NODES, project: PROJECT, engine: engine.name }, cell(server, dead, asked));
    await settled();
    expect([store.status.connection, asked]).toEqual(['online', ['a', 'b', 'b']]);
    dead.add('b');
    const answer = store.set('annotation/a1/x', 5).confirmed;
    await server.drop();
    await server.clock.advance(20_000);
    await settled();
    expect([store.status.connection, asked.at(-1)]).toEqual(['online', 'c']);
    expect((await answer).kind).toBe('committed');
  });

  it('are all named in vain where none answers (K69)', async () => {
    const server = new FakeServer(engine, SCENE);
    const asked: string[] = [];
    const open = (url: string[]): Promise<unknown> => openStoreOn({ url, project: PROJECT }, cell(server, new Set(['a', 'b', 'c']), asked));
    await expect(open(NODES)).rejects.toMatchObject({ code: 'unreachable' });
    expect(asked).toEqual(['a', 'b', 'c']);
    await expect(open([])).rejects.toMatchObject({ code: 'invalid' });
  });
});
