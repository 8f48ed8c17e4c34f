/** A viewer on published files, beside a store on the same project: what both say is the same. */
import { describe, expect, it, vi } from 'vitest';
import type { ChangeInfo, Tree } from '../../src/api.js';
import type { Operation } from '../../src/core/types.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { Publisher } from '../fake/publisher.js';
import { FakeServer, PROJECT } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';
import { turn, type Clock } from '../fake/world.js';

const PATHS = ['scene', 'scene/title', 'scene/grid/step', 'annotation', 'annotation/a1', 'annotation/a1/text/font', 'annotation/a1/text.font.size', 'annotation/a1/anchor',
  'annotation/a1/icon', 'annotation/a1/count', 'annotation/a1/points', 'annotation/a1/points/p1/marks', 'annotation/nobody', 'annotation/nobody/points', 'todo', 'todo/3/done'];
const WIDE = 400;

/** A project of some hundred pages. */
function started(): FakeServer {
  const server = new FakeServer(ENGINES[0]!, SCENE);
  server.commit([
    ['i', 'annotation', ['a1'], { name: 'One', order: 'a0', count: 9007199254740993n, icon: new Uint8Array([1, 2]), 'anchor.target': 'x', tags: '["b"]' }],
    ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
    ['i', 'annotation.points.points', ['a1', 'p1', 'm1'], { _order: 'a0', size: 3 }],
    ['i', 'todo', [3], { title: 'Three', done: 1 }],
  ].map((operation) => (operation[1] === 'annotation.points.points' ? [operation[0], 'annotation.points.marks', ...operation.slice(2)] : operation)) as Operation[]);
  server.sql(`WITH n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < ${100 + WIDE - 1}) INSERT INTO todo(id, title) SELECT i, printf('%.2000c', 'x') FROM n`);
  return server;
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 5000 && !holds(); i++) await turn();
  expect(holds()).toBe(true);
}

async function asTimePasses<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  let waiting = true;
  promise.catch(() => undefined).finally(() => (waiting = false));
  while (waiting) {
    await turn();
    await clock.advance(100);
  }
  return promise;
}

describe('a viewer', () => {
  it('says what a store says of the same version, by path and by query (V7)', async () => {
    const server = started();
    const store = await storeOn(server);
    const viewer = await new Publisher(server).open();
    for (const path of PATHS) expect([path, await viewer.get(path)]).toEqual([path, store.peek(path)]);
    const sql = "SELECT id, title, length(title) AS n FROM todo WHERE id IN (?, ?) ORDER BY id";
    expect(await viewer.query(sql, [3, 101])).toEqual(await store.query(sql, [3, 101]));
    expect(viewer.contract).toEqual(store.contract);
    expect(viewer.status).toMatchObject({ version: server.version, connection: 'online', role: 'reader', pending: 0 });
    expect(Object.isFrozen(await viewer.get('annotation/a1/text'))).toBe(true);
    await expect(viewer.get('nothing')).rejects.toMatchObject({ code: 'not_found' });
    expect(() => viewer.subscribe('annotation/a1/nothing', () => undefined)).toThrow('no property');
    expect(() => viewer.subscribe({ rows: 'scene' }, () => undefined)).toThrow('not a list');
  });

  it('reads no more of the file than it needs, and tells what that was (V2)', async () => {
    const publisher = new Publisher(started());
    const viewer = await publisher.open();
    const spent = vi.fn();
    await viewer.query('SELECT title FROM todo WHERE id = ?', [250], { traffic: spent });
    expect(spent.mock.calls[0]![0].requests).toBeGreaterThan(0);
    expect(spent.mock.calls[0]![0].requests).toBeLessThanOrEqual(4);
    expect(viewer.traffic.bytes).toBeLessThan(publisher.newest.file.length / 10);
    expect(viewer.traffic.bytes).toBe(publisher.newest.asked.reduce((sum, { from, to }) => sum + to - from, 0));
    await viewer.query('SELECT title FROM todo WHERE id = ?', [250], { traffic: spent });
    expect(spent.mock.calls[1]![0]).toEqual({ bytes: 0, requests: 0 });
  });

  it('writes nothing, whatever the text of a query says (V15)', async () => {
    const viewer = await new Publisher(started()).open();
    for (const sql of ['DELETE FROM todo', 'WITH a AS (SELECT 1) DELETE FROM todo', 'CREATE TEMP TABLE t(a)', 'PRAGMA writable_schema = 1', "ATTACH 'x' AS y", 'VACUUM'])
      await expect(viewer.query(sql)).rejects.toMatchObject({ name: 'StoreError' });
    await expect(viewer.query('SELEC')).rejects.toMatchObject({ code: expect.stringMatching(/failed|invalid/) });
    expect(await viewer.query('SELECT count(*) AS n FROM annotation')).toEqual([{ n: 1 }]);
  });

  it('shows at once what it knows, and tells who subscribes when it knows more (V7)', async () => {
    const viewer = await new Publisher(started()).open();
    const told: [Tree | undefined, ChangeInfo][] = [];
    expect(viewer.peek('annotation/a1/name')).toBeUndefined();
    viewer.subscribe('annotation/a1/name', (value, info) => told.push([value, info]));
    viewer.subscribe('annotation/nobody', (value, info) => told.push([value, info]));
    await until(() => told.length > 0);
    await settled();
    expect(told).toEqual([['One', { origin: 'load', version: viewer.image.version, paths: ['annotation/a1/name'] }]]);
    expect(viewer.peek('annotation/a1/name')).toBe('One');
  });

  it('answers a question that costs too much with what it may cost, and the next one as before (V4)', async () => {
    const viewer = await new Publisher(started()).open();
    const all = viewer.query('SELECT max(title) AS m FROM todo', [], { budget: { bytes: 200_000 } });
    await expect(all).rejects.toMatchObject({ code: 'budget', message: expect.stringMatching(/more than 195 KiB or 256 requests/) });
    await expect(viewer.query('SELECT max(title) AS m FROM todo', [], { budget: { requests: 2 } })).rejects.toMatchObject({ code: 'budget' });
    expect(await viewer.query('SELECT id FROM todo WHERE id = 477')).toEqual([{ id: 477 }]);
    expect(await viewer.query('SELECT count(DISTINCT title) AS n FROM todo')).toEqual([{ n: 2 }]);
  });

  it('ends a question that nobody waits for any more, also while it only computes (V6)', async () => {
    const viewer = await new Publisher(started()).open();
    const stop = new AbortController();
    const forever = viewer.query('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n', [], { signal: stop.signal });
    const next = viewer.query('SELECT 1 AS one');
    stop.abort();
    await expect(forever).rejects.toMatchObject({ code: 'aborted' });
    expect(await next).toEqual([{ one: 1 }]);
    await expect(viewer.get('scene', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
  });

  it('asks again after what passes, says so meanwhile, and fails no later question (V14)', async () => {
    const publisher = new Publisher(started());
    const { clock } = publisher.server;
    const viewer = await publisher.open();
    const seen: string[] = [];
    viewer.on('status', ({ connection }) => seen.push(connection));
    publisher.newest.faults = ['is busy', 'is busy', 'loses the connection'];
    expect(await asTimePasses(clock, viewer.query('SELECT id FROM todo WHERE id = 300'))).toEqual([{ id: 300 }]);
    expect(seen).toEqual(['offline', 'online']);
    publisher.newest.always = 'is busy';
    await expect(asTimePasses(clock, viewer.query('SELECT id FROM todo WHERE id = 410'))).rejects.toMatchObject({ code: 'unavailable' });
    expect(viewer.status.problem).toMatchObject({ code: 'unavailable' });
    publisher.newest.always = undefined;
    expect(await viewer.query('SELECT id FROM todo WHERE id = 410')).toEqual([{ id: 410 }]);
    expect(viewer.status.connection).toBe('online');
  });

  it('goes on with a new address where the old one has expired, and nobody notices (V12)', async () => {
    const publisher = new Publisher(started());
    publisher.signature = '?s=1';
    const viewer = await publisher.open();
    publisher.server.commit([['u', 'todo', [3], { title: 'Later' }]]);
    publisher.publish();
    publisher.signature = '?s=2';
    expect(await viewer.query('SELECT title FROM todo WHERE id = 3')).toEqual([{ title: 'Three' }]);
    expect(viewer.image.url).toBe(`http://fake/v1/images/${PROJECT}/${viewer.image.version}-image.db?s=2`);
  });

  it.each([['the pages that differ', true], ['no list', false]])('moves to a newer image with %s, and tells what differs there (V8)', async (_, listsPages) => {
    const server = started();
    const publisher = new Publisher(server);
    publisher.listsPages = listsPages;
    const viewer = await publisher.open({ lookEvery: 10 });
    const told: unknown[] = [];
    viewer.subscribe('annotation', (value, { paths }) => told.push(['annotation', paths, (value as Tree[]).length]));
    viewer.subscribe('annotation/a1/x', (x, { version }) => told.push(['x', x, version]));
    viewer.subscribe('todo/3/title', (title) => told.push(['title', title]));
    viewer.subscribe({ rows: 'todo' }, (__, { paths }) => told.push(['rows', paths]));
    viewer.subscribe({ sql: 'SELECT x FROM annotation WHERE id = ?', params: ['a1'] }, (rows) => told.push(['query', rows]));
    await viewer.query('SELECT max(title) FROM todo');
    const before = (await viewer.get('annotation')) as Tree[];
    await until(() => told.length === 4);
    told.length = 0;
    const newer = new Promise((resolve) => viewer.on('newer', resolve));
    const version = server.commit([['u', 'annotation', ['a1'], { x: 5 }], ['i', 'annotation', ['a2'], { name: 'Two', order: 'a1' }]]);
    publisher.publish();
    await server.clock.advance(10_000);
    expect(await newer).toMatchObject({ version });
    expect(viewer.newer).toEqual(await newer);
    expect(viewer.image.version).toBe(version - 1);
    const spent = viewer.traffic.bytes;
    const versions: number[] = [];
    viewer.on('status', (status) => versions.push(status.version));
    expect(await viewer.refresh()).toBe(true);
    expect(versions).toEqual([version]);
    expect([viewer.image.version, viewer.status.version, viewer.newer]).toEqual([version, version, undefined]);
    expect(told.slice(1).sort()).toEqual([
      ['annotation', ['annotation/a1/x', 'annotation/a2'], 2], ['query', [{ x: 5 }]], ['x', 5, version],
    ].sort());
    expect(told[0]).toEqual(['rows', ['todo']]);
    expect(((await viewer.get('annotation')) as { points: Tree }[])[0]!.points).toBe((before[0] as { points: Tree }).points);
    if (listsPages) {
      await viewer.query('SELECT max(title) FROM todo');
      expect(viewer.traffic.bytes - spent).toBeLessThan(60_000);
    }
    expect(await viewer.refresh()).toBe(false);
  });

  it('says that its version is served no longer, and goes on with a newer one (V9)', async () => {
    const server = started();
    const publisher = new Publisher(server);
    const viewer = await publisher.open();
    await viewer.get('annotation');
    server.commit([['u', 'todo', [3], { title: 'Later' }]]);
    publisher.retired.add(publisher.newest);
    publisher.publish();
    await expect(viewer.query('SELECT title FROM todo WHERE id = 400')).rejects.toMatchObject({ code: 'retired', message: expect.stringContaining('refresh()') });
    expect(await viewer.get('annotation')).toHaveLength(1);
    await until(() => viewer.newer !== undefined);
    expect(viewer.status).toMatchObject({ connection: 'offline', problem: { code: 'retired' } });
    expect(await viewer.refresh()).toBe(true);
    expect(await viewer.get('todo/3/title')).toBe('Later');
    expect(viewer.status.connection).toBe('online');
  });

  it('stays where it is if the newer image cannot be opened (V8)', async () => {
    const server = started();
    const publisher = new Publisher(server);
    const viewer = await publisher.open();
    server.commit([['u', 'todo', [3], { title: 'Later' }]]);
    publisher.publish().always = 'garbles Content-Range';
    await expect(viewer.refresh()).rejects.toMatchObject({ code: 'unreadable' });
    expect(viewer.image.version).toBe(server.version - 1);
    expect(await viewer.get('todo/3/title')).toBe('Three');
    publisher.newest.always = undefined;
    expect(await viewer.refresh()).toBe(true);
    expect(await viewer.get('todo/3/title')).toBe('Later');
  });

  it('becomes a store that goes on from exactly its version, with what is here already (V10)', async () => {
    const server = started();
    const publisher = new Publisher(server);
    const viewer = await publisher.open();
    await viewer.query('SELECT max(title) FROM todo');
    const { version } = viewer.image;
    server.commit([['u', 'annotation', ['a1'], { x: 5 }]]);
    const here: number[] = [];
    const before = viewer.traffic.bytes;
    const store = await viewer.join({ progress: (bytes) => here.push(bytes) });
    expect(server.requests.filter((request) => request.endsWith('/db'))).toEqual([]);
    await settled();
    expect(server.heard.find(({ type }) => type === 'hello')).toMatchObject({ cursor: version });
    expect(store.status).toMatchObject({ version: version + 1, connection: 'online' });
    expect(store.peek('annotation/a1/x')).toBe(5);
    expect(here.at(-1)).toBe(publisher.newest.file.length);
    expect(viewer.traffic.bytes - before).toBeLessThan(publisher.newest.file.length / 2);
    await store.set('annotation/a1/x', 6).confirmed;
    store.close();
  });

  it('opens from a folder of files, without any server (V11)', async () => {
    const server = started();
    const publisher = new Publisher(server);
    server.reachable = false;
    const viewer = await publisher.open({ base: 'http://fake/files' });
    expect(await viewer.get('todo/3/title')).toBe('Three');
    expect(viewer.image.project).toBe(PROJECT);
    expect((await viewer.export()).length).toBe(publisher.newest.file.length);
  });

  it.each([
    ['another version', 3, PROJECT, 'bad_file'], ['another project', 0, 'b'.repeat(32), 'wrong_project'],
  ])('does not open the file of %s than announced (V1)', async (_, more, project, code) => {
    const publisher = new Publisher(started());
    Object.assign(publisher.newest.image, { version: publisher.newest.image.version + more, project });
    const opening = publisher.open(project === PROJECT ? {} : { base: 'http://fake/files' });
    if (code === 'wrong_project') vi.spyOn(Response, 'json').mockReturnValueOnce(new Response(JSON.stringify({ ...publisher.newest.image, page_size: 4096 })));
    await expect(opening).rejects.toMatchObject({ code });
    vi.restoreAllMocks();
  });

  it('answers nothing more once it is closed (V7)', async () => {
    const viewer = await new Publisher(started()).open();
    const waiting = viewer.query('SELECT 1');
    viewer.close();
    viewer.close();
    await expect(waiting).rejects.toMatchObject({ code: 'closed' });
    await expect(viewer.get('scene')).rejects.toMatchObject({ code: 'closed' });
    expect(() => viewer.peek('scene')).toThrow('closed');
    expect(viewer.status.connection).toBe('closed');
  });
});
