/** Three people with drafts and undo on one fake server, and what must hold whatever they do. */
import fc from 'fast-check';
import type { Draft, Store, Tree, Tx, Undo } from '../../src/api.js';
import { keyText } from '../../src/capture/wire.js';
import { rowDigest } from '../../src/core/digest.js';
import type { Change } from '../../src/core/types.js';
import { StoreError } from '../../src/errors.js';
import { deskOf } from '../../src/store/desk.js';
import { undoOf } from '../../src/undo/undo.js';
import { ENGINES } from '../engines.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const id = { type: 'string' };
/** Every value that is written is written once, so that it says who wrote it. */
export const contractWith = (more: object): object => ({
  type: 'object',
  properties: {
    note: {
      type: 'array',
      'x-sql': { order: 'rank' },
      items: {
        type: 'object',
        required: ['id'],
        properties: {
          id, rank: { type: 'string' }, a: { type: 'integer' }, b: { type: 'integer' }, c: { type: 'integer' }, ...more,
          points: { type: 'array', maxItems: 4, items: { type: 'object', required: ['id'], properties: { id, v: { type: 'integer' } } } },
        },
      },
    },
  },
});
const OLD = contractWith({ extra: { type: 'integer' } });
const NEW = contractWith({ other: { type: 'integer' } });

export interface Person {
  store: Store;
  undo: Undo;
  drafts: Draft[];
  /** Mutations that take something back. */
  undos: Set<string>;
  /** Values of others that this person has replaced knowingly: a redo may do that again. */
  replaced: Set<unknown>;
}

/** What people act on, whatever server is behind it. */
export interface Stage {
  people: Person[];
  did: Record<'undone' | 'left' | 'late' | 'refused' | 'conflicts' | 'lost' | 'nested', number>;
  /** A value that nobody has written before. */
  fresh(person: Person): number;
  column(n: number): string;
}

/** A person with all that is noted of what he does. */
export function personOf(store: Store, did: Stage['did']): Person {
  const person: Person = { store, undo: undoOf(store, { pause: Infinity, shelf: null }), drafts: [], undos: new Set(), replaced: new Set() };
  person.undo.subscribe((late) => (did.late += late.length));
  store.on('refused', () => did.refused++);
  deskOf(store).onWritten(({ id: [client, counter], origin, changes }) => {
    if (origin === 'undo') person.undos.add(`${client} ${counter}`);
    else for (const change of changes) Object.values(change[4] ?? {}).forEach((value) => person.replaced.add(value));
  });
  return person;
}

export class World implements Stage {
  people: Person[] = [];
  /** Who wrote a value. */
  readonly writers = new Map<number, string>();
  readonly did = { undone: 0, left: 0, late: 0, refused: 0, conflicts: 0, lost: 0, nested: 0 };
  private value = 1;
  private upgraded = false;

  private constructor(readonly server: FakeServer) {}

  static async open(): Promise<World> {
    const world = new World(new FakeServer(ENGINES[0]!, OLD));
    world.server.commit(['x', 'y'].flatMap((key, at) => [['i', 'note', [key], { rank: `a${at}` }], ['i', 'note.points', [key, 'p'], { _order: 'a0' }]] as never));
    for (let i = 0; i < 3; i++) await world.enter(ENGINES[i % 2]!.name);
    return world;
  }

  private async enter(engine: 'sqlite-wasm' | 'sqljs'): Promise<void> {
    const store = await storeOn(this.server, { engine });
    this.people.push(personOf(store, this.did));
  }

  fresh({ store }: Person): number {
    const value = this.value++;
    this.writers.set(value, store.status.client);
    return value;
  }

  column(n: number): string {
    return ['a', 'b', 'c', this.upgraded ? 'other' : 'extra'][n % 4]!;
  }

  /** One column goes, another one comes. */
  upgrade(): void {
    if (this.upgraded) return;
    this.upgraded = true;
    const steps = ['ALTER TABLE note DROP COLUMN extra', 'ALTER TABLE note ADD COLUMN other INTEGER'];
    this.server.append([], { kind: 'schema', contract: NEW as never, contract_hash: 'hash-2', steps });
  }

  /** Everything arrives, everything is answered. */
  async calm(): Promise<void> {
    this.server.judge = () => undefined;
    this.server.holding = false;
    this.server.announce();
    for (let i = 0; i < 60 && this.people.some(({ store }) => store.status.pending > 0 || store.status.connection !== 'online' || store.status.version < this.server.version); i++) {
      await this.server.clock.advance(i < 10 ? 100 : 5000);
      await settled();
    }
  }

  close(): void {
    for (const { undo, store } of this.people) {
      undo.close();
      store.close();
    }
  }
}

/** What the contract or other people's edits forbid is thrown at the caller; anything else is a fault of ours. */
function attempt(fn: () => void): void {
  try {
    fn();
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'internal') throw error;
  }
}

type Step = (world: World) => void | Promise<void>;
export type PersonStep = (stage: Stage) => void;

const who = fc.nat({ max: 2 });
const row = fc.constantFrom('x', 'y', 'z');
const point = fc.constantFrom('p', 'q');
const n = fc.nat({ max: 3 });
const tag = fc.option(fc.constantFrom('drag', 'panel'), { nil: undefined });

type Write = (t: Tx, world: Stage, person: Person) => void;
const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(row, n).map(([key, column]): Write => (t, world, person) => t.set(`note/${key}/${world.column(column)}`, world.fresh(person))) },
  { weight: 3, arbitrary: fc.tuple(row, point).map(([key, p]): Write => (t, world, person) => t.set(`note/${key}/points/${p}/v`, world.fresh(person))) },
  { weight: 2, arbitrary: row.map((key): Write => (t, world, person) => void t.insert('note', { id: key, a: world.fresh(person), points: [{ id: 'q', v: world.fresh(person) }] })) },
  { weight: 2, arbitrary: row.map((key): Write => (t) => t.delete(`note/${key}`)) },
  { weight: 2, arbitrary: fc.tuple(row, point).map(([key, p]): Write => (t, world, person) => void t.insert(`note/${key}/points`, { id: p, v: world.fresh(person) })) },
  { weight: 1, arbitrary: fc.tuple(row, point).map(([key, p]): Write => (t) => t.delete(`note/${key}/points/${p}`)) },
  { weight: 1, arbitrary: n.map((column): Write => (t, world, person) => t.sql(`UPDATE note SET "${world.column(column)}" = ? WHERE id <> 'z'`, [world.fresh(person)])) },
);

const act = (fn: (person: Person, world: Stage) => void) => (index: number): PersonStep => (world) => {
  const person = world.people[index]!;
  attempt(() => fn(person, world));
  person.drafts = person.drafts.filter((draft) => draft.open);
};
const inDraft = (fn: (draft: Draft, person: Person, world: Stage) => void): fc.Arbitrary<PersonStep> =>
  fc.tuple(who, n).map(([index, at]) => act((person, world) => {
    const draft = person.drafts[at % Math.max(1, person.drafts.length)];
    if (draft !== undefined) fn(draft, person, world);
  })(index));

const undone = (person: Person, world: Stage, which: 'undo' | 'redo'): void => {
  const { done, left } = person.undo[which]();
  if (done) world.did.undone++;
  world.did.left += left.length;
};

/** What people do. */
export const personStep: fc.Arbitrary<PersonStep> = fc.oneof(
  { weight: 10, arbitrary: fc.tuple(who, write, tag, fc.boolean()).map(([index, fn, named, skip]) => act((person, world) =>
    void person.store.tx((t) => fn(t, world, person), { missing: skip ? 'skip' : 'refuse', ...(named === undefined ? {} : { tag: named }) }))(index)) },
  { weight: 6, arbitrary: who.map(act((person, world) => undone(person, world, 'undo'))) },
  { weight: 3, arbitrary: who.map(act((person, world) => undone(person, world, 'redo'))) },
  { weight: 1, arbitrary: who.map(act((person) => person.undo.mark())) },
  { weight: 4, arbitrary: who.map(act((person) => void (person.drafts.length < 2 && person.drafts.push(person.store.draft())))) },
  { weight: 12, arbitrary: write.chain((fn) => inDraft((draft, person, world) => draft.tx((t) => fn(t, world, person)))) },
  { weight: 3, arbitrary: inDraft((draft, person, world) => {
    if (person.drafts.length < 4) person.drafts.push(draft.draft());
    world.did.nested++;
  }) },
  { weight: 2, arbitrary: inDraft((draft) => void draft.save()) },
  { weight: 1, arbitrary: inDraft((draft) => draft.cancel()) },
  { weight: 1, arbitrary: row.chain((key) => inDraft((draft) => draft.revert(`note/${key}`))) },
  { weight: 4, arbitrary: inDraft((draft, _, world) => {
    world.did.conflicts += draft.conflicts.length;
    world.did.lost += draft.lost.length;
    for (const { path } of draft.conflicts.slice(0, 1)) draft.resolve(path, 'theirs');
    void draft.faults;
  }) },
);

/** And what happens to them. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 50, arbitrary: personStep },
  { weight: 6, arbitrary: fc.constant<Step>(() => settled()) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => void (world.server.holding = true)) },
  { weight: 2, arbitrary: fc.constant<Step>((world) => {
    world.server.holding = false;
    world.server.announce();
  }) },
  { weight: 1, arbitrary: fc.constant<Step>(async ({ server }) => {
    await server.drop();
    await server.clock.advance(2000);
  }) },
  { weight: 2, arbitrary: fc.constant<Step>(({ server }) => {
    const passes = server.judge;
    server.judge = () => {
      server.judge = passes;
      return 'invalid';
    };
  }) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.upgrade()) },
);

export const shown = ({ store }: Person): string => JSON.stringify(store.peek('note'), (_, value: Tree) => value);

export async function play(steps: readonly Step[]): Promise<World> {
  const world = await World.open();
  for (const take of steps) await take(world);
  await world.calm();
  for (const { drafts } of world.people) {
    for (const draft of drafts) {
      world.did.conflicts += draft.conflicts.length;
      world.did.lost += draft.lost.length;
      draft.cancel();
    }
  }
  await world.calm();
  return world;
}

/** Everybody shows the server's rows. */
export async function differs(world: World): Promise<string | undefined> {
  const wanted = digestOf(world.server.core.exportConfirmed());
  for (const [at, { store }] of world.people.entries()) {
    if (store.status.pending > 0 || store.status.problem) return `person ${at} is not calm: ${JSON.stringify(store.status)}`;
    if (digestOf(await store.export()) !== wanted) return `person ${at} shows ${shown(world.people[at]!)}`;
  }
  return undefined;
}

function digestOf(file: Uint8Array): string {
  const db = ENGINES[0]!.open(file);
  const digest = rowDigest(db);
  db.close();
  return digest;
}

/** A commit as it is told to everybody. */
export interface Committed { id?: readonly [client: string, counter: number]; changes: readonly Change[] }

/**
 * A commit that takes something back of what somebody else left there: neither written or once replaced by this person,
 * nor what this person's last undo or redo brought back. (What went with a deleted row is the server's doing.)
 */
export function overwritten(world: Pick<World, 'people' | 'writers'>, history: readonly Committed[]): string | undefined {
  const undos = new Set(world.people.flatMap((person) => [...person.undos]));
  const replaced = new Map(world.people.map((person) => [person.store.status.client, person.replaced]));
  const last = new Map<string, string | undefined>();
  for (const { id: by, changes } of history) {
    const deleted = new Set(changes.filter((change) => change[0] === 'd' && change[1] === 'note').map((change) => keyText(change[2])));
    for (const [op, table, key, now, old] of changes) {
      const taken = by === undefined || !undos.has(by.join(' ')) || op === 'i' || (op === 'd' && table !== 'note' && deleted.has(keyText(key.slice(0, 1))));
      for (const [column, cell] of Object.entries(taken ? {} : old)) {
        const mine = world.writers.get(cell as number) === by![0] || replaced.get(by![0])!.has(cell) || last.get(`${table} ${keyText(key)} ${column}`) === by![0];
        if (typeof cell === 'number' && !mine) return `${by!.join(' ')} took back ${table} ${keyText(key)} ${column} ${cell} of ${world.writers.get(cell)}`;
      }
      for (const column of Object.keys(now ?? {})) last.set(`${table} ${keyText(key)} ${column}`, by?.[0]);
    }
  }
  return undefined;
}

/** Undoes far and redoes back, one after the other; what differs then. */
export async function moved(world: World): Promise<string | undefined> {
  for (const [at, person] of world.people.entries()) {
    const before = shown(person);
    let count = 0;
    while (person.undo.canUndo) if (person.undo.undo().done) count++;
    if (at % 2 === 0) await world.calm();
    while (count-- > 0) person.undo.redo();
    await world.calm();
    if (shown(person) !== before) return `person ${at}: ${before} became ${shown(person)}`;
  }
  return undefined;
}
