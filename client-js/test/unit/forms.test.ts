/** Forms from the contract: what fields know, show and write. */
import { describe, expect, it } from 'vitest';
import type { Sent, Store, Tree } from '../../src/api.js';
import { bindField, fieldsAt, type Field, type FieldState } from '../../src/forms/index.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const ANNA = 'a'.repeat(32);

async function opened(): Promise<{ server: FakeServer; store: Store }> {
  const server = new FakeServer(ENGINES[0]!, SCENE);
  server.commit([['i', 'annotation', ['a1'], { name: 'One', order: 'a0', x: 1 }], ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }]]);
  return { server, store: await storeOn(server) };
}

function followed(field: Field): FieldState[] {
  const states = [field.get()];
  field.follow(() => states.push(field.get()));
  return states;
}

describe('fields of a contract', () => {
  const document = {
    properties: {
      sign: { type: 'array', items: { type: 'object', 'x-sql': { key: 'id' }, properties: {
        id: { type: 'string', readOnly: true },
        fontSize: { type: 'integer', minimum: 1, maximum: 9, default: 3, 'x-component': 'Slider', 'x-index': 2 },
        board: { type: 'string', maxLength: 64, 'x-sql': { references: 'board' } },
        look: { type: 'object', title: 'Look', properties: { ink: { enum: ['red', 'blue'], type: 'string', default: 'red' }, data: { type: ['string', 'number'] } } },
        points: { type: 'array', items: { type: 'object', properties: { id: { type: 'string' }, x: { type: 'number', multipleOf: 0.5 } } } },
      } } },
    },
  };

  it('say title, kind, bounds and choices, and pass on what UI libraries wrote (S73)', () => {
    const [id, size, board, look, points] = fieldsAt(document, 'sign/1').fields;
    expect(id).toMatchObject({ kind: 'string', title: 'Id', readOnly: true, extra: {} });
    expect(size).toMatchObject({ kind: 'integer', title: 'Font size', minimum: 1, maximum: 9, step: 1, default: 3, extra: { 'x-component': 'Slider', 'x-index': 2 } });
    expect(board).toMatchObject({ kind: 'string', longest: 64, references: 'board', extra: {} });
    expect(look).toMatchObject({ kind: 'object', title: 'Look', fields: [{ choices: ['red', 'blue'] }, { kind: 'json' }] });
    expect(points).toMatchObject({ kind: 'list', fields: [{ name: 'id' }, { name: 'x', step: 0.5 }] });
  });

  it('are those of a list, an object or one property, wherever the path leads (S73)', () => {
    expect(fieldsAt(document, 'sign').kind).toBe('list');
    expect(fieldsAt(document, 'sign/1/look/ink').choices).toEqual(['red', 'blue']);
    expect(() => fieldsAt(document, 'sign/1/none')).toThrow('no property none');
  });
});

describe('a bound field', () => {
  it('shows its property and whether it differs from the default, and writes it (S74)', async () => {
    const { server, store } = await opened();
    const field = bindField(store, 'annotation/a1/text/font/size');
    const states = followed(field);
    field.set(20);
    field.reset();
    await settled();
    expect(states.map(({ value, changed }) => [value, changed])).toEqual([[12, false], [20, true], [12, false]]);
    expect(server.pushes).toHaveLength(2);
  });

  it('writes into its draft, which others do not see, and marks what somebody else changed since (S74)', async () => {
    const { server, store } = await opened();
    const draft = store.draft('annotation/a1');
    const field = bindField(store, 'annotation/a1/x', { draft });
    const states = followed(field);
    field.set(5);
    server.commit([['u', 'annotation', ['a1'], { x: 7 }, { x: 1 }]]);
    await settled();
    expect([field.get().value, field.get().drafted, field.get().conflict, server.pushes]).toMatchObject([5, true, { theirs: 7, mine: 5 }, []]);
    field.resolve('theirs');
    expect([states.at(-1)!.value, states.at(-1)!.drafted, states.at(-1)!.conflict]).toEqual([7, false, undefined]);
  });

  it('finds its conflicts, changes, faults and neighbours however its path is written (S74)', async () => {
    const { server, store } = await opened();
    const draft = store.draft('annotation/a1');
    const field = bindField(store, 'annotation/a1/text.font.size', { draft });
    followed(field);
    field.set(-4);
    server.commit([['u', 'annotation', ['a1'], { 'text.font.size': 7 }, { 'text.font.size': null }]]);
    server.say({ type: 'presence', peers: { [ANNA]: { field: 'annotation/a1/text/font/size' } } });
    await settled();
    const path = 'annotation/a1/text/font/size';
    expect(field.get()).toMatchObject({ value: -4, drafted: true, conflict: { path, theirs: 7 }, faults: [{ path }], editors: [{ client: ANNA }] });
    field.resolve('theirs');
    expect(field.get()).toMatchObject({ value: 7, drafted: false, conflict: undefined });
  });

  it('says what is wrong with it: by the contract in a draft, by the server after a refusal, until it is written again (S74)', async () => {
    const { server, store } = await opened();
    const draft = store.draft();
    const drafted = bindField(store, 'annotation/a1/text/font/size', { draft });
    followed(drafted);
    drafted.set(-4);
    expect(drafted.get().faults).toMatchObject([{ path: 'annotation/a1/text/font/size' }]);
    draft.cancel();
    const field = bindField(store, 'annotation/a1/x');
    const other = bindField(store, 'annotation/a1/name');
    [field, other].forEach(followed);
    server.judge = () => 'invalid';
    server.faults = [{ message: 'too far', table: 'annotation', key: ['a1'], pointer: '/x' }];
    field.set(99);
    await settled();
    expect([field.get().faults, other.get().faults, field.get().value]).toMatchObject([[{ message: 'too far', code: 'invalid' }], [], 1]);
    field.set(2);
    expect(field.get().faults).toEqual([]);
  });

  it('shows in every panel what was refused at its property, whoever wrote it, until the property is another one (S74)', async () => {
    const { server, store } = await opened();
    const panels = [bindField(store, 'annotation/a1/x'), bindField(store, 'annotation/a1/x')];
    const other = bindField(store, 'annotation/a1/name');
    [...panels, other].forEach(followed);
    server.judge = () => 'invalid';
    server.faults = [{ message: 'too far', table: 'annotation', key: ['a1'], pointer: '/x' }];
    store.tx((t) => t.set('annotation/a1', { x: 99, name: 'Far' }));
    await settled();
    expect([...panels, other].map((field) => field.get().faults.map(({ message }) => message))).toEqual([['too far'], ['too far'], []]);
    server.commit([['u', 'annotation', ['a1'], { x: 7 }, { x: 1 }]]);
    await settled();
    expect(panels.map((field) => field.get().faults)).toEqual([[], []]);
  });

  it('writes as it is told to, where one writes more than this property (S74)', async () => {
    const { server, store } = await opened();
    const write = (path: string, value: Tree): Sent => store.tx((t) => [path, 'annotation/a1/count'].forEach((one) => t.set(one, value)));
    const field = bindField(store, 'annotation/a1/x', { write });
    followed(field);
    field.set(5);
    await settled();
    expect([server.pushes.length, field.get().value, store.peek('annotation/a1/count')]).toEqual([1, 5, 5]);
  });

  it('says who else is at it (S74)', async () => {
    const { server, store } = await opened();
    const field = bindField(store, 'annotation/a1/x');
    followed(field);
    server.say({ type: 'presence', peers: { [ANNA]: { field: 'annotation/a1/x' } }, users: { [ANNA]: 'anna' } });
    await settled();
    expect(field.get().editors).toEqual([{ client: ANNA, user: 'anna' }]);
    field.focus();
    expect(server.heard.at(-1)).toMatchObject({ type: 'presence', state: { field: 'annotation/a1/x' } });
  });
});
