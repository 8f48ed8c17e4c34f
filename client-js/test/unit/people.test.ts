import { describe, expect, it, vi } from 'vitest';
import type { Store } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const engine = ENGINES[0]!;
const ANNA = 'f'.repeat(32);

async function opened(): Promise<{ server: FakeServer; store: Store }> {
  const server = new FakeServer(engine, SCENE);
  return { server, store: await storeOn(server) };
}

describe('presence', () => {
  it('shows the others with their names, and not oneself (S37)', async () => {
    const { server, store } = await opened();
    const seen = vi.fn();
    store.presence.subscribe(seen);
    server.say({ type: 'presence', peers: { [ANNA]: { at: [1, 2] }, [store.status.client]: { at: [0, 0] } }, users: { [ANNA]: 'anna' } });
    await settled();
    expect([...store.presence.peers]).toEqual([[ANNA, { user: 'anna', state: { at: [1, 2] } }]]);
    server.say({ type: 'presence', peers: { [ANNA]: null } });
    await settled();
    expect(store.presence.peers.size).toBe(0);
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it('is sent at a pace that a person can see, the newest state last, and again after a reconnect (S37)', async () => {
    const { server, store } = await opened();
    const sent = (): unknown[] => server.heard.filter((message) => message.type === 'presence').map((message) => message.state);
    for (let i = 0; i < 20; i++) store.presence.set({ i });
    await server.clock.advance(100);
    expect(sent()).toEqual([{ i: 0 }, { i: 19 }]);
    server.say({ type: 'presence', peers: { [ANNA]: {} }, users: {} });
    await settled();
    await server.drop();
    expect(store.presence.peers.size).toBe(0);
    await server.clock.advance(1000);
    await settled();
    expect(sent().at(-1)).toEqual({ i: 19 });
    expect(sent()).toHaveLength(3);
    expect(() => store.presence.set('x'.repeat(5000))).toThrow(/at most 4096 bytes/);
  });
});

describe('signals', () => {
  it('reach those who listen to their topic (S37)', async () => {
    const { server, store } = await opened();
    const heard = vi.fn();
    const leave = store.onSignal('ping', heard);
    store.onSignal('other', heard);
    server.say({ type: 'signal', from: ANNA, topic: 'ping', data: { at: 3 } });
    await settled();
    leave();
    server.say({ type: 'signal', from: ANNA, topic: 'ping', data: null });
    await settled();
    expect(heard.mock.calls).toEqual([[{ at: 3 }, ANNA]]);
    store.signal('ping', { at: 4 });
    expect(server.heard.at(-1)).toEqual({ type: 'signal', topic: 'ping', data: { at: 4 } });
    expect(() => store.signal('ping', 'x'.repeat(20_000))).toThrow(/at most 16384 bytes/);
  });
});

describe('the store', () => {
  it('lets a reader write nothing, and says so (S38)', async () => {
    const server = new FakeServer(engine, SCENE);
    server.welcomeMore = { role: 'reader' };
    const store = await storeOn(server);
    expect(() => store.set('scene/title', 'x')).toThrow(/role editor/);
    expect(() => store.draft()).toThrow(/role editor/);
    expect(store.peek('scene/title')).toBe('A scene');
  });

  it('sends a call and shows nothing before its commit comes (S38)', async () => {
    const { server, store } = await opened();
    const sent = store.call('tidy', { how: 'well' });
    expect(server.pushes).toEqual([{ type: 'push', id: sent.id, call: 'tidy', args: { how: 'well' } }]);
    expect(await sent.confirmed).toMatchObject({ kind: 'settled' });
  });

  it('sends expectations and what to do with rows that are gone (S38)', async () => {
    const { server, store } = await opened();
    const key = ['a1'];
    store.tx((t) => t.insert('annotation', { id: 'a1', name: 'One' }), {
      missing: 'skip',
      expect: [{ kind: 'absent', table: 'annotation', key }, { kind: 'since', table: 'annotation', key, version: 1 }, { kind: '=', table: 'annotation', key, cells: { x: 2 } }],
    });
    expect(server.pushes[0]).toMatchObject({
      missing: 'skip', expect: [['absent', 'annotation', ['a1']], ['since', 'annotation', ['a1'], 1], ['=', 'annotation', ['a1'], { x: 2 }]],
    });
  });

  it('hands out the confirmed rows as a file (S38)', async () => {
    const { server, store } = await opened();
    server.holding = true;
    store.set('scene/title', 'Mine');
    const db = engine.open(await store.export());
    expect(db.all('SELECT title FROM scene')).toEqual([[null]]);
    expect(store.peek('scene/title')).toBe('Mine');
  });

  it('is silent once it is closed (S38)', async () => {
    const { server, store } = await opened();
    const seen = vi.fn();
    store.subscribe('scene/title', seen);
    store.close();
    store.close();
    server.commit([['u', 'scene', [1], { title: 'x' }]]);
    await server.clock.advance(100_000);
    await settled();
    expect(seen).not.toHaveBeenCalled();
    expect(server.heard.filter((message) => message.type === 'hello')).toHaveLength(1);
    expect(store.status.connection).toBe('closed');
    expect(() => store.peek('scene')).toThrow(/closed/);
  });

  it('follows a new contract while it is connected (S39)', async () => {
    const { server, store } = await opened();
    const titles: unknown[] = [];
    store.subscribe('scene', (value, info) => titles.push([value, info.paths]));
    const hashes = vi.fn();
    store.on('contract', hashes);
    const wider = structuredClone(SCENE) as unknown as { properties: { scene: { properties: Record<string, unknown> } } };
    wider.properties.scene.properties.colour = { type: 'string', default: 'red' };
    const steps = ['ALTER TABLE scene ADD COLUMN colour TEXT'];
    server.append([], { kind: 'schema', contract: wider as never, contract_hash: 'hash-2', steps });
    await settled();
    expect(hashes.mock.calls).toEqual([['hash-2']]);
    expect(store.contract.hash).toBe('hash-2');
    expect(titles).toEqual([[{ title: 'A scene', colour: 'red', grid: { step: 15 } }, ['scene/colour']]]);
    await store.set('scene/colour', 'blue').confirmed;
    expect(server.pushes.at(-1)).toMatchObject({ contract: 'hash-2', changes: [['u', 'scene', [1], { colour: 'blue' }]] });
    expect(titles).toHaveLength(2);
  });
});
