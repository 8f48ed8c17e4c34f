import { describe, expect, it } from 'vitest';
import type { Outcome, Store } from '../../src/api.js';
import { openStoreOn } from '../../src/store/open.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer, PROJECT } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const engine = ENGINES[0]!;

function started(): FakeServer {
  const server = new FakeServer(engine, SCENE);
  server.commit([['i', 'annotation', ['a1'], { name: 'One' }], ['i', 'annotation', ['a2'], { name: 'Two' }]]);
  return server;
}

const move = (store: Store, x: number): Promise<Outcome> => store.set('annotation/a1/x', x).confirmed;
const hellos = (server: FakeServer): unknown[] => server.heard.filter((message) => message.type === 'hello');

describe('opening', () => {
  it('loads the file, then greets with its version (S30)', async () => {
    const server = started();
    const store = await storeOn(server, { project: 'name:My scene' });
    expect(server.requests).toEqual(['GET /v1/projects', `GET /v1/projects/${PROJECT}/db`]);
    expect(hellos(server)).toEqual([
      { type: 'hello', protocol: 1, client: store.status.client, cursor: 2, epoch: server.epoch, contract: 'hash-1' },
    ]);
    expect(store.status.client).toMatch(/^[0-9a-f]{32}$/);
  });

  it('says what is wrong where it cannot be (S30)', async () => {
    const server = started();
    const open = (options: object): Promise<unknown> => openStoreOn({ url: 'http://fake', project: PROJECT, ...options }, server.platform);
    await expect(open({ project: 'name:Nobody' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(open({ project: 'b'.repeat(32) })).rejects.toMatchObject({ code: 'not_found' });
    await expect(open({ url: undefined })).rejects.toMatchObject({ code: 'invalid' });
    server.reachable = false;
    await expect(open({})).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('takes no file but that of its project (S33)', async () => {
    const server = started();
    const { fetch } = server.platform;
    const lie = (body: BodyInit): Promise<unknown> => openStoreOn({ url: 'http://fake', project: PROJECT }, { ...server.platform, fetch: async () => new Response(body) });
    await expect(lie('<html>')).rejects.toMatchObject({ code: 'bad_file' });
    const other = new FakeServer(engine, SCENE);
    other.core.edit((writer) => writer.sql('SELECT 1'));
    const file = await (await fetch!(`http://fake/v1/projects/${PROJECT}/db`, { method: 'GET' })).arrayBuffer();
    const db = engine.open(new Uint8Array(file));
    db.run('UPDATE "_sharelite" SET project=? WHERE id=1', ['b'.repeat(32)]);
    await expect(lie(db.export().slice().buffer)).rejects.toMatchObject({ code: 'wrong_project' });
  });
});

describe('the link', () => {
  it('goes on where the feed stopped, and sends the same bytes again in counter order (S31)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.censor = (text) => (text.includes('"commits"') ? undefined : text);
    const answers = [move(store, 1), move(store, 2)];
    await settled();
    await server.drop();
    expect(store.status).toMatchObject({ connection: 'offline', pending: 2, problem: { code: 'unreachable' } });
    answers.push(move(store, 3));
    server.commit([['u', 'annotation', ['a2'], { x: 9 }]]);
    server.censor = (text) => text;
    await server.clock.advance(1000);
    await settled();
    expect((await Promise.all(answers)).map((answer) => [answer.kind, answer.id[1]])).toEqual([['committed', 1], ['committed', 2], ['committed', 3]]);
    expect(server.pushes.map((push) => (push.id as unknown[])[1])).toEqual([1, 2, 1, 2, 3]);
    expect(server.pushes.slice(0, 2)).toEqual(server.pushes.slice(2, 4));
    expect(hellos(server)[1]).toMatchObject({ cursor: 2 });
    expect(store.status).toMatchObject({ connection: 'online', pending: 0, version: server.version });
    expect([store.peek('annotation/a1/x'), store.peek('annotation/a2/x')]).toEqual([3, 9]);
  });

  it('waits longer after each failure, and a little more than others (S31)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.reachable = false;
    await server.drop();
    const attempts: number[] = [];
    store.on('status', ({ connection }) => void (connection === 'connecting' && attempts.push(server.clock.time)));
    for (let i = 0; i < 400; i++) {
      await server.clock.advance(100);
      await settled();
    }
    const waits = attempts.map((at, i) => at - (attempts[i - 1] ?? at)).slice(1);
    expect(attempts.length).toBeLessThan(9);
    expect(waits.every((wait, i) => i === 0 || wait > waits[i - 1]!)).toBe(true);
    server.reachable = true;
    await server.clock.advance(60_000);
    await settled();
    expect(store.status.connection).toBe('online');
  });

  it('begins anew under another name where the server has forgotten it: an older log was restored (S63)', async () => {
    const server = started();
    const store = await storeOn(server);
    const before = store.status.client;
    await move(store, 1);
    server.judge = (push) => ((push.id as unknown[])[0] === before ? 'out_of_order' : undefined);
    const answers = [move(store, 2), move(store, 3)];
    for (let i = 0; i < 5; i++) {
      await server.clock.advance(1000);
      await settled();
    }
    const { client } = store.status;
    expect(client).not.toBe(before);
    expect(await Promise.all(answers)).toMatchObject([{ kind: 'committed', id: [client, 1] }, { kind: 'committed', id: [client, 2] }]);
    expect(hellos(server).at(-1)).toMatchObject({ client });
    expect([store.status.pending, store.status.connection, store.peek('annotation/a1/x')]).toEqual([0, 'online', 3]);
  });

  it('keeps its name where the server says of earlier sendings that they were out of order (S63)', async () => {
    const server = started();
    const store = await storeOn(server);
    const { client } = store.status;
    await move(store, 1);
    const early = { type: 'refused', id: [client, 3], version: 1, code: 'out_of_order', message: '2 is next', errors: [] };
    server.holding = true;
    server.judge = (push) => ((push.id as unknown[])[1] === 3 ? 'out_of_order' : undefined);
    const answers = [move(store, 2), move(store, 3)];
    await settled();
    server.judge = () => undefined;
    server.holding = false;
    server.announce();
    for (let copy = 0; copy < 3; copy++) server.say(early);
    for (let i = 0; i < 5; i++) {
      await server.clock.advance(1000);
      await settled();
    }
    expect(await Promise.all(answers)).toMatchObject([{ kind: 'committed', id: [client, 2] }, { kind: 'committed', id: [client, 3] }]);
    expect(store.status.client).toBe(client);
  });

  it('asks whether a silent server is still there, and leaves it if not (S31)', async () => {
    const server = started();
    const store = await storeOn(server);
    await server.clock.advance(35_000);
    await settled();
    expect(server.heard.filter((message) => message.type === 'ping').length).toBeGreaterThan(0);
    expect(store.status.connection).toBe('online');
    server.censor = () => undefined;
    const states: string[] = [];
    store.on('status', ({ connection }) => states.push(connection));
    await server.clock.advance(45_000);
    await settled();
    expect(states).toContain('offline');
  });

  it('sends again what the server did not judge, and everything behind it (S32)', async () => {
    const server = started();
    const store = await storeOn(server);
    let busy = 2;
    server.judge = (push) => ((push.id as unknown[])[1] === 1 && busy-- > 0 ? 'unavailable' : busy > 0 ? 'out_of_order' : undefined);
    const answers = [move(store, 1), move(store, 2)];
    for (let i = 0; i < 20; i++) {
      await server.clock.advance(200);
      await settled();
    }
    expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(['committed', 'committed']);
    expect(new Set(server.pushes.map((push) => JSON.stringify(push))).size).toBe(2);
  });

  it('lets a refused mutation go, and not those behind it (S32)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.judge = (push) => ((push.id as unknown[])[1] === 1 ? 'conflict' : undefined);
    const [refused, other] = [store.set('annotation/a1/x', 5), store.set('annotation/a2/x', 6)];
    expect(await refused.confirmed).toMatchObject({ kind: 'refused', refusal: { code: 'conflict', message: 'refused: conflict' } });
    expect(await other.confirmed).toMatchObject({ kind: 'committed' });
    expect([store.peek('annotation/a1/x'), store.peek('annotation/a2/x')]).toEqual([0, 6]);
  });

  it('hands in what is too large for a message by POST, in its turn (S32)', async () => {
    const server = started();
    const store = await storeOn(server);
    const answers = [move(store, 1), store.set('annotation/a1/note', 'x'.repeat(5000)).confirmed, move(store, 2)];
    await settled();
    expect((await Promise.all(answers)).map(({ kind, version }) => [kind, version])).toEqual([['committed', 3], ['committed', 4], ['committed', 5]]);
    expect(server.requests.at(-1)).toBe(`POST /v1/projects/${PROJECT}/mutations`);
    expect(server.pushes.map((push) => (push.id as unknown[])[1])).toEqual([1, 2, 3]);
  });

  it('settles a handed in mutation only when the feed has passed its version (S32)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.censor = (text) => (text.includes('"commits"') ? undefined : text);
    let answer: Outcome | undefined;
    void store.set('annotation/a1/note', 'x'.repeat(5000)).confirmed.then((given) => (answer = given));
    await settled();
    expect([answer, store.status.pending]).toEqual([undefined, 1]);
    await server.drop();
    server.censor = (text) => text;
    await server.clock.advance(1000);
    await settled();
    expect(answer).toMatchObject({ kind: 'committed', version: 3 });
    expect((store.peek('annotation/a1/note') as string).length).toBe(5000);
  });

  it('stays away where trying again would be told the same (S34)', async () => {
    const server = started();
    const store = await storeOn(server);
    await server.goodbye('not_found', 'the project was deleted');
    await server.clock.advance(100_000);
    await settled();
    expect(hellos(server)).toHaveLength(1);
    expect(store.status).toMatchObject({ connection: 'offline', problem: { code: 'not_found', message: 'the project was deleted' } });
  });

  it('comes back no sooner than it was asked to (S34)', async () => {
    const server = started();
    await storeOn(server);
    await server.goodbye('restart', 'the server is being restarted', 5);
    await server.clock.advance(4900);
    await settled();
    expect(hellos(server)).toHaveLength(1);
    await server.clock.advance(200);
    await settled();
    expect(hellos(server)).toHaveLength(2);
  });

  it('renews its token before it expires, and fetches another if one is not taken (S34)', async () => {
    const server = started();
    const token = (n: number): string => `h.${btoa(JSON.stringify({ exp: server.clock.time / 1000 + 100, n }))}.s`;
    let fetched = 0;
    const store = await storeOn(server, { token: () => token(++fetched) });
    expect(hellos(server)[0]).toMatchObject({ token: expect.stringMatching(/^h\./) });
    const before = fetched;
    await server.clock.advance(75_000);
    await settled();
    expect(server.heard.filter((message) => message.type === 'auth')).toHaveLength(1);
    expect(fetched).toBe(before + 1);
    await server.goodbye('unauthenticated', 'a valid token is needed');
    await settled();
    expect(hellos(server)).toHaveLength(2);
    expect(store.status.connection).toBe('online');
  });
});

describe('a server that cannot be trusted', () => {
  const LIES: Record<string, (server: FakeServer) => void> = {
    'a gap': (server) => server.say({ type: 'commits', commits: [{ v: server.version + 2, kind: 'edit', changes: [] }] }),
    'a version twice': (server) => server.say({ type: 'commits', commits: [{ v: server.version, kind: 'edit', changes: [] }] }),
    'a row that is not there': (server) => say(server, ['u', 'annotation', ['gone'], { x: 1 }, { x: 0 }]),
    'other old values': (server) => say(server, ['u', 'annotation', ['a1'], { x: 66 }, { x: 5 }]),
    'a wrong type': (server) => say(server, ['u', 'annotation', ['a1'], { x: 'sixty-six' }, { x: null }]),
    'an unknown table': (server) => say(server, ['i', 'nothing', ['a'], {}]),
    'half of a batch': (server) => say(server, ['u', 'annotation', ['a1'], { x: 66 }, { x: null }], ['d', 'annotation', ['gone'], null, {}]),
    'no JSON': (server) => server.say('{"type"' as never),
    'a reset': (server) => server.say({ type: 'reset', reason: 'the cursor is too old', image: null }),
    'parts out of order': (server) => server.say({ type: 'commits', version: server.version + 1, part: 2, of: 2, data: '{}' }),
    'a message without end': (server) => server.say({ type: 'signal', from: 'x', topic: 'y', data: 'z'.repeat(2 ** 24) }),
    'a commit without end': (server) => {
      for (let part = 1; part <= 9; part++) server.say({ type: 'commits', version: server.version + 1, part, of: 100, data: ' '.repeat(2 ** 23) });
    },
    'a version twice in one message': (server) => {
      const commit = { v: server.version + 1, kind: 'edit', changes: [['u', 'annotation', ['a1'], { x: 66 }, { x: null }]] };
      server.say({ type: 'commits', commits: [commit, commit] });
    },
    'a row of its own that is there already': (server) => say(server, ['i', 'annotation', ['a1'], { name: 'Theirs' }]),
    'a key of another shape': (server) => say(server, ['u', 'annotation', ['a1', 'b'], { x: 66 }, { x: null }]),
    'a column that the contract has not': (server) => say(server, ['u', 'annotation', ['a1'], { y_of_another: 66 }, { y_of_another: null }]),
    'half of a message': (server) => {
      server.censor = (text) => (server.censor = (whole) => whole, text.slice(0, text.length / 2));
      say(server, ['u', 'annotation', ['a1'], { x: 66 }, { x: null }]);
    },
    'a list': (server) => server.say([1, 2, 3]),
    'commits that are no list': (server) => server.say({ type: 'commits', commits: { v: server.version + 1 } }),
    'a refusal of nothing': (server) => server.say({ type: 'refused', id: 'mine', version: server.version, code: 'invalid', message: '', errors: [] }),
    'an answer from the future': (server) => server.say({ type: 'settled', id: ['f'.repeat(32), 1], version: -1 }),
    'peers that are a text': (server) => server.say({ type: 'presence', peers: 'everybody' }),
    'another project in the middle': (server) => server.say(welcome(server, { project: 'b'.repeat(32) })),
    'another log in the middle': (server) => server.say(welcome(server, { epoch: 'b'.repeat(32) })),
    'a commit that is none': (server) => server.say({ type: 'commits', commits: [{ v: 'three' }] }),
  };
  const say = (server: FakeServer, ...changes: unknown[]): void => server.say({ type: 'commits', commits: [{ v: server.version + 1, kind: 'edit', changes }] });
  const welcome = ({ version, epoch, document }: FakeServer, lie: object): object =>
    ({ type: 'welcome', protocol: 1, project: PROJECT, version, epoch, contract: document, contract_hash: 'hash-1', image: null, limits: {}, client: 'c', ...lie });

  it.each(Object.keys(LIES))('says %s: the project is loaded again, nothing of it was ever shown (S33)', async (lie) => {
    const server = started();
    const store = await storeOn(server);
    const seen: unknown[] = [];
    store.subscribe('annotation/a1/x', (value) => seen.push(value));
    LIES[lie]!(server);
    const sent = store.set('annotation/a2/x', 7);
    await settled();
    await settled();
    expect(server.requests.filter((request) => request.endsWith('/db'))).toHaveLength(2);
    expect(await sent.confirmed).toMatchObject({ kind: expect.stringMatching(/committed|settled/) });
    expect(seen).toEqual([]);
    expect([store.peek('annotation/a1/x'), store.peek('annotation/a2/x'), store.status.pending]).toEqual([0, 7, 0]);
    expect(store.status).toMatchObject({ connection: 'online', version: server.version });
  });

  it('greets for another project or log: the queue stays, rows are not mixed (S33)', async () => {
    const server = started();
    const store = await storeOn(server);
    for (const lie of ['project', 'epoch']) {
      server.welcomeMore = { [lie]: 'b'.repeat(32) };
      await server.drop();
      await server.clock.advance(1000);
      await settled();
      expect(store.status).toMatchObject({ connection: 'connecting', problem: { code: 'reset' } });
      server.welcomeMore = {};
      await server.clock.advance(60_000);
      await settled();
      expect(store.status.connection).toBe('online');
    }
  });

  it('says commits before it says which project they are of, or falls behind what it sent (S33)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.censor = (text) => (text.includes('"welcome"') ? undefined : text);
    await server.drop();
    server.commit([['u', 'annotation', ['a1'], { x: 3 }]]);
    await server.clock.advance(500);
    await settled();
    expect(store.status).toMatchObject({ connection: 'connecting', problem: { code: 'reset' } });
    server.censor = (text) => text.replace(/"version":\d+,"epoch"/, '"version":1,"epoch"');
    await server.clock.advance(20_000);
    await settled();
    expect(store.status).toMatchObject({ connection: 'connecting', problem: { code: 'reset', message: expect.stringContaining('behind') } });
    server.censor = (text) => text;
    await server.clock.advance(60_000);
    await settled();
    expect([store.status.connection, store.peek('annotation/a1/x')]).toEqual(['online', 3]);
  });

  it('is asked less and less often if it lies again and again (S33)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.welcomeMore = { project: 'b'.repeat(32) };
    await server.drop();
    for (let i = 0; i < 300; i++) {
      await server.clock.advance(200);
      await settled();
    }
    expect(server.requests.filter((request) => request.endsWith('/db')).length).toBeLessThan(12);
    store.set('annotation/a1/x', 4);
    expect([store.peek('annotation/a1/x'), store.status.pending]).toEqual([4, 1]);
  });
});

describe('large commits', () => {
  it('are put together from their parts (S35)', async () => {
    const server = started();
    const store = await storeOn(server);
    server.censor = (text) => {
      const { type, commits } = JSON.parse(text) as { type: string; commits: { v: number }[] };
      if (type !== 'commits') return text;
      const whole = JSON.stringify(commits[0]);
      const data = [whole.slice(0, 20), whole.slice(20, 40), whole.slice(40)];
      server.censor = (inner) => inner;
      for (const [at, piece] of data.entries()) server.say({ type: 'commits', version: commits[0]!.v, part: at + 1, of: 3, data: piece });
      return undefined;
    };
    server.commit([['u', 'annotation', ['a1'], { name: 'Größe' }]]);
    await settled();
    expect(store.peek('annotation/a1/name')).toBe('Größe');
    server.commit([['u', 'annotation', ['a1'], { x: 1 }]]);
    await settled();
    expect(store.status).toMatchObject({ version: server.version, connection: 'online' });
    expect(hellos(server)).toHaveLength(1);
  });
});
