import { describe, expect, it } from 'vitest';
import type { Expectation, Store } from '../../src/api.js';
import { openStoreOn } from '../../src/store/open.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer, PROJECT } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const engine = ENGINES[0]!;
const X = 'annotation/a1/x';

function started(): FakeServer {
  const server = new FakeServer(engine, SCENE);
  server.commit([['i', 'annotation', ['a1'], { name: 'One' }]]);
  return server;
}

type Pushed = { id: [string, number] };
const counter = (push: unknown): number => (push as Pushed).id[1];
const counters = (server: FakeServer): number[] => server.pushes.map(counter);

function statesOf(store: Store): string[] {
  const states: string[] = [];
  store.on('status', ({ connection }) => states.push(connection));
  return states;
}

describe('what cannot be sent', () => {
  const nowhere: Expectation[] = [{ kind: '=', table: 'nowhere', key: [1], cells: {} }];

  it('leaves no gap in the counters (S60)', async () => {
    const server = started();
    const store = await storeOn(server);
    expect(() => store.call('count', { from: 1n })).toThrow(TypeError);
    expect(await store.set(X, 5).confirmed).toMatchObject({ kind: 'committed' });
    expect(counters(server)).toEqual([1]);
  });

  it('leaves nothing of its edit, and a draft open (S60)', async () => {
    const store = await storeOn(started());
    expect(() => store.set(X, 5, { expect: nowhere })).toThrow('there is no table nowhere');
    const draft = store.draft();
    draft.set(X, 7);
    expect(() => draft.save({ expect: nowhere })).toThrow('there is no table nowhere');
    expect([draft.open, store.peek(X)]).toEqual([true, 7]);
    draft.cancel();
    expect([store.peek(X), store.status.pending]).toEqual([0, 0]);
  });
});

describe('mutations that were not judged', () => {
  it('go again from the first of them, whichever the server named first (S32)', async () => {
    const server = started();
    const store = await storeOn(server);
    let next = 1;
    server.judge = (push) => {
      if (counter(push) === next && server.pushes.length > 2) next++;
      return counter(push) < next ? undefined : counter(push) === next ? 'unavailable' : 'out_of_order';
    };
    server.censor = (text) => (text.includes('"unavailable"') ? undefined : text);
    const answers = [store.set(X, 1).confirmed, store.set('annotation/a1/count', 2).confirmed];
    await settled();
    server.censor = (text) => text;
    server.say({ type: 'refused', id: [store.status.client, 1], version: 2, code: 'unavailable', message: '', errors: [] });
    await settled();
    await server.clock.advance(1000);
    await settled();
    expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(['committed', 'committed']);
    expect(counters(server)).toEqual([1, 2, 1, 2]);
  });

  it('keep back what was written after them (S32)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.judge = (push) => (counter(push) === 1 ? 'unavailable' : 'out_of_order');
    for (const x of [1, 2, 3]) {
      store.set(X, x);
      await settled();
    }
    expect(counters(server)).toEqual([1]);
  });

  it('are handed in again if the answer breaks off while it is read (S61)', async () => {
    const server = started();
    let whole = false;
    const fetch = async (url: string, init?: RequestInit): Promise<Response> => {
      const response = await server.platform.fetch!(url, init);
      if (whole || init?.method !== 'POST') return response;
      whole = true;
      return new Response(new ReadableStream({ pull: (body) => body.error(new TypeError('network error')) }));
    };
    const store = await openStoreOn({ url: 'http://fake', project: PROJECT, engine: engine.name }, { ...server.platform, fetch });
    await settled();
    server.holding = true;
    store.set('annotation/a1/note', 'x'.repeat(5000));
    await settled();
    await server.clock.advance(1000);
    expect(counters(server)).toEqual([1, 1]);
  });
});

describe('a page whose timers go off late', () => {
  it('keeps a connection on which the server answers (S62)', async () => {
    const server = started();
    const states = statesOf(await storeOn(server));
    for (let minutes = 0; minutes < 5; minutes++) {
      server.clock.time += 60_000;
      await server.clock.advance(0);
      await settled();
    }
    expect(states).toEqual([]);
    expect(server.heard.filter((message) => message.type === 'ping')).toHaveLength(5);
  });
});

describe('closing', () => {
  it('is not for a transaction (S38)', async () => {
    const store = await storeOn(started());
    expect(() => store.tx(() => store.close())).toThrow('a transaction is being written');
    expect(store.peek(X)).toBe(0);
  });

  it('in a callback ends everything, also what was about to be told (S38)', async () => {
    const server = started();
    const store = await storeOn(server);
    const states = statesOf(store);
    store.subscribe(X, () => store.close());
    server.commit([['u', 'annotation', ['a1'], { x: 3 }]]);
    await settled();
    expect(states).toEqual(['closed']);
  });

  it('while the project is loaded again does not connect again (S38)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.censor = (text) => (text.includes('"commits"') ? undefined : text);
    store.subscribe(X, () => store.close());
    server.commit([['u', 'annotation', ['a1'], { x: 3 }]]);
    server.say({ type: 'reset', reason: 'restored' });
    await settled();
    await server.clock.advance(60_000);
    expect(store.status.connection).toBe('closed');
    expect(server.heard.filter((message) => message.type === 'hello')).toHaveLength(1);
  });
});

describe('a default', () => {
  it('is frozen like everything that is read (S20)', async () => {
    const store = await storeOn(started());
    const { tags } = store.peek('annotation/a1') as { tags: string[] };
    expect([tags, store.peek('annotation/a1/tags')].map(Object.isFrozen)).toEqual([true, true]);
  });
});
