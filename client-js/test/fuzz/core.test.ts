/** Several clients and a server in memory: whatever they do, once everything is answered they show the same rows. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rowDigest } from '../../src/core/digest.js';
import type { Operation, Writer } from '../../src/core/types.js';
import { ENGINES } from '../engines.js';
import { dump, IMMEDIATE, projectFile, TABLES } from '../project.js';
import { Client } from './client.js';
import { Server } from './server.js';

const SEED = [
  "INSERT INTO node(id, x, code) VALUES('a', 1, 1), ('b', 2, 2), ('c', 3, 3)",
  `INSERT INTO "node.points" VALUES('a', 'p', 'V', 1), ('b', 'p', 'V', 2)`,
  "INSERT INTO link VALUES(1, 'a', 0.5), (2, 'b', 0.5)",
];
const FILES = [TABLES, IMMEDIATE].map((tables) => projectFile(ENGINES[0]!, SEED, tables));

const node = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const point = fc.constantFrom('p', 'q');
/** Beyond 100 the server refuses. */
const x = fc.integer({ min: 0, max: 105 });
const code = fc.option(fc.integer({ min: 1, max: 5 }));
const text = fc.option(fc.constantFrom('', 'x', 'X', 'a\0b'));

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(fc.constant<'u'>('u'), fc.constant('node'), fc.tuple(node), fc.record({ x, name: text }, { requiredKeys: [] })),
  fc.tuple(fc.constant<'s'>('s'), fc.constant('node'), fc.tuple(node), fc.record({ x, code }, { requiredKeys: [] })),
  fc.tuple(fc.constant<'i'>('i'), fc.constant('node'), fc.tuple(node), fc.record({ x, code })),
  fc.tuple(fc.constant<'d'>('d'), fc.constant('node'), fc.tuple(node)),
  fc.tuple(fc.constant<'s'>('s'), fc.constant('node.points'), fc.tuple(node, point), fc.record({ x })),
  fc.tuple(fc.constant<'d'>('d'), fc.constant('node.points'), fc.tuple(node, point)),
  fc.tuple(fc.constant<'s'>('s'), fc.constant('link'), fc.tuple(fc.integer({ min: 1, max: 4 })), fc.record({ target: fc.option(node) })),
);

const SQL = [
  'UPDATE node SET x = x + 1',
  'UPDATE OR REPLACE node SET code = 3 WHERE x > 50',
  "INSERT OR REPLACE INTO node(id, code) VALUES('e', 4)",
  "UPDATE node SET code = CASE code WHEN 1 THEN 2 ELSE NULL END WHERE code < 3",
  'DELETE FROM "node.points" WHERE x > 60',
  "UPDATE node SET id = 'd' WHERE id = 'c'",
];

type Step = (clients: readonly Client[], server: Server) => void;

const write: fc.Arbitrary<(writer: Writer) => void> = fc.oneof(
  { weight: 6, arbitrary: fc.array(operation, { minLength: 1, maxLength: 4 }).map((operations) => (writer: Writer) => writer.applyAll(operations)) },
  { weight: 1, arbitrary: fc.constantFrom(...SQL).map((sql) => (writer: Writer) => void writer.sql(sql)) },
);

const which = fc.nat({ max: 3 });
const few = fc.integer({ min: 1, max: 4 });

function inDraft(action: (client: Client, draft: number) => void): fc.Arbitrary<Step> {
  return fc.tuple(which, fc.nat()).map(([who, n]) => (clients) => {
    const client = clients[who]!;
    const draft = client.drafts[n % Math.max(1, client.drafts.length)];
    if (draft !== undefined) action(client, draft);
  });
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(which, write, fc.constantFrom<'refuse' | 'skip'>('refuse', 'skip')).map(([who, fn, missing]) => (clients: readonly Client[]) => clients[who]!.edit(fn, missing)) },
  { weight: 6, arbitrary: fc.tuple(which, few).map(([who, count]): Step => (clients, server) => clients[who]!.send(server, count)) },
  { weight: 6, arbitrary: fc.tuple(which, few, fc.nat({ max: 3 })).map(([who, count, again]): Step => (clients, server) => clients[who]!.hear(server, count, again)) },
  { weight: 1, arbitrary: which.map((who): Step => (clients) => clients[who]!.openDraft()) },
  { weight: 4, arbitrary: write.chain((fn) => inDraft((client, draft) => client.editDraft(draft, fn))) },
  { weight: 1, arbitrary: inDraft((client, draft) => client.cancelDraft(draft)) },
  { weight: 1, arbitrary: inDraft((client, draft) => client.saveDraft(draft)) },
);

function play(steps: readonly Step[], file: Uint8Array): { clients: Client[]; server: Server } {
  const clients = Array.from({ length: 4 }, (_, i) => new Client(`c${i}`, ENGINES[i % ENGINES.length]!, file));
  const server = new Server(ENGINES[0]!.open(file));
  for (const take of steps) take(clients, server);
  for (const client of clients) for (const draft of [...client.drafts]) client.cancelDraft(draft);
  for (const client of clients) client.send(server, Infinity);
  for (const client of clients) client.hear(server, Infinity, 0);
  return { clients, server };
}

function close({ clients, server }: ReturnType<typeof play>): void {
  for (const client of clients) client.core.close();
  server.db.close();
}

it('leaves a row that a draft made anew as it made it, whatever fails below (S91, seed 1313960231)', () => {
  const [file] = FILES;
  const [ann, bob] = ['ann', 'bob'].map((name, i) => new Client(name, ENGINES[i % ENGINES.length]!, file!));
  const server = new Server(ENGINES[0]!.open(file!));
  bob!.openDraft();
  const draft = bob!.drafts[0]!;
  bob!.editDraft(draft, (writer) => writer.applyAll([['u', 'node', ['c'], { x: 41, name: 'x' }]]));
  ann!.edit((writer) => writer.applyAll([['d', 'node', ['c']]]), 'refuse');
  ann!.send(server, 1);
  bob!.hear(server, 1, 0);
  bob!.editDraft(draft, (writer) => writer.applyAll([['i', 'node', ['c'], { x: 14 }]]));
  bob!.edit((writer) => writer.applyAll([['u', 'node', ['e'], { x: 1 }]]), 'refuse');
  expect(bob!.db.all("SELECT x, name FROM node WHERE id = 'c'")).toEqual([[14, null]]);
  close({ clients: [ann!, bob!], server });
});

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 60);

it(`shows the server's rows everywhere once all is answered, in ${RUNS} plays of up to 120 steps (S17)`, () => {
  const totals = { commits: 0, refused: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), fc.constantFrom(...FILES), (steps, file) => {
      const played = play(steps, file);
      const { clients, server } = played;
      const wanted = dump(server.db, server.tables.keys());
      for (const client of clients) {
        expect(client.queue).toEqual([]);
        expect(dump(client.db, server.tables.keys())).toBe(wanted);
        expect(rowDigest(client.db)).toBe(rowDigest(server.db));
      }
      totals.commits += server.commits.length;
      totals.refused += server.refused;
      close(played);
    }),
    { numRuns: RUNS },
  );
  expect(totals.commits).toBeGreaterThan(RUNS);
  expect(totals.refused).toBeGreaterThan(RUNS / 4);
});

it('puts back exactly what a draft changed, whatever happened below it (S9)', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 8 }), fc.array(operation, { maxLength: 8 }), fc.constantFrom(...FILES), (writes, others, file) => {
      const server = new Server(ENGINES[0]!.open(file));
      const [one, two] = ENGINES.map((engine, i) => new Client(`c${i}`, engine, file)) as [Client, Client];
      one.openDraft();
      for (const fn of writes) one.editDraft(one.drafts[0]!, fn);
      for (const other of others) two.edit((writer) => writer.apply(other), 'refuse');
      two.send(server, Infinity);
      one.hear(server, Infinity, 0);
      one.cancelDraft(one.drafts[0]!);
      expect(dump(one.db, server.tables.keys())).toBe(dump(server.db, server.tables.keys()));
      close({ clients: [one, two], server });
    }),
    { numRuns: RUNS },
  );
});
