/** formily on a store: a dialog is a draft, a field is a property, and nobody maps anything. */
import { createForm, onFieldValueChange, type Field, type ArrayField } from '@formily/core';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/api.js';
import { bindForm, formilySchema } from '../../src/formily/index.js';
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

describe('a formily schema', () => {
  it('has components by kind, and what the contract says for formily wins (S75)', () => {
    const properties = { id: { type: 'string' }, size: { type: 'number', minimum: 0, maximum: 9, 'x-reactions': '{{dim}}', 'x-sql': { index: true } }, ink: { enum: ['red'], type: 'string', 'x-component': 'Ink' } };
    const document = { properties: { sign: { type: 'array', items: { type: 'object', properties } } } };
    expect(formilySchema(document, 'sign/1')).toMatchObject({ type: 'object', properties: {
      id: { type: 'string', title: 'Id', 'x-component': 'Input', 'x-decorator': 'FormItem' },
      size: { type: 'number', 'x-component': 'Slider', 'x-component-props': { min: 0, max: 9 }, 'x-reactions': '{{dim}}' },
      ink: { 'x-component': 'Ink', enum: [{ label: 'red', value: 'red' }] },
    } });
    expect(JSON.stringify(formilySchema(document, 'sign/1'))).not.toContain('x-sql');
  });
});

describe('a formily form', () => {
  it('writes what is typed into a draft, and saves it as one mutation (S75)', async () => {
    const { server, store } = await opened();
    const { form, save } = saved(bindForm(store, 'annotation/a1'));
    const size = form.createField({ name: 'size', basePath: 'text.font' });
    expect(size.value).toBe(12);
    for (const value of [13, 14, 15]) await size.onInput(value);
    expect([store.peek('annotation/a1/text/font/size'), server.pushes]).toEqual([15, []]);
    save({ tag: 'dialog' });
    await settled();
    expect(server.pushes).toMatchObject([{ changes: [['u', 'annotation', ['a1'], { 'text.font.size': 15 }]], tag: 'dialog' }]);
  });

  it('shows what others and other fields write, with linkage, and never writes it back (S75)', async () => {
    const { server, store } = await opened();
    const seen: unknown[] = [];
    const form = createForm({ effects: () => onFieldValueChange('x', (field) => seen.push((field as Field).value)) });
    const bound = bindForm(store, 'annotation/a1', { form });
    form.createField({ name: 'x' });
    server.commit([['u', 'annotation', ['a1'], { x: 7 }, { x: 1 }]]);
    await settled();
    expect([seen.at(-1), bound.draft!.changes, server.pushes]).toEqual([7, [], []]);
    bound.cancel();
  });

  it('writes what reactions, resets and the application set, as one mutation with what was typed (S75)', async () => {
    const { server, store } = await opened();
    const form = createForm({ effects: () => onFieldValueChange('x', ({ value }: Field) => form.setValuesIn('count', value * 2)) });
    const { save } = saved(bindForm(store, 'annotation/a1', { form }));
    const x = form.createField({ name: 'x' });
    form.createField({ name: 'count' });
    form.createField({ name: 'name' }).setValue('Two');
    await x.onInput(5);
    expect(store.peek('annotation/a1')).toMatchObject({ x: 5, count: 10, name: 'Two' });
    await form.reset('count');
    expect(store.peek('annotation/a1/count')).toBe(undefined);
    save();
    await settled();
    expect(server.pushes).toMatchObject([{ changes: [['u', 'annotation', ['a1'], { x: 5, name: 'Two' }]] }]);
  });

  it('shows at its field what cannot be a value, saves nothing meanwhile, and keeps fields of its own to itself (S75)', async () => {
    const { server, store } = await opened();
    const bound = bindForm(store, 'annotation/a1');
    const [x, own] = ['x', 'confirmed'].map((name) => bound.form.createField({ name }));
    await own!.onInput('yes');
    expect([own!.value, own!.selfErrors, bound.draft!.changes]).toEqual(['yes', [], []]);
    await x!.onInput('wide');
    expect([x!.selfErrors, x!.value, bound.draft!.changes]).toEqual([['annotation ["a1"]: x must be a number'], 'wide', []]);
    expect(() => bound.save()).toThrow('x must be a number');
    await x!.onInput(4);
    expect([x!.selfErrors, bound.draft!.changes]).toEqual([[], ['annotation/a1/x']]);
    await x!.onInput('wide');
    bound.cancel();
    expect([x!.selfErrors, x!.value, server.pushes]).toEqual([[], 1, []]);
  });

  it('edits a nested list by its items, new ones included (S75)', async () => {
    const { server, store } = await opened();
    const { form, save } = saved(bindForm(store, 'annotation/a1'));
    const points: ArrayField = form.createArrayField({ name: 'points' });
    await form.createField({ name: 'x', basePath: 'points.0' }).onInput(5);
    await points.push({ id: 'p2', x: 9, marks: [] });
    save();
    await settled();
    const [push] = server.pushes as unknown as { changes: unknown[] }[];
    expect(push!.changes).toMatchObject([['u', 'annotation.points', ['a1', 'p1'], { x: 5 }], ['i', 'annotation.points', ['a1', 'p2'], { x: 9 }]]);
    server.commit([['d', 'annotation.points', ['a1', 'p1'], null, {}]] as never);
    await settled();
    expect(points.value.map(({ id }: { id: string }) => id)).toEqual(['p2']);
  });

  it('puts faults, conflicts and who is there at the field (S75)', async () => {
    const { server, store } = await opened();
    const bound = bindForm(store, 'annotation/a1');
    const field = bound.form.createField({ name: 'x' });
    await field.onInput(5000);
    expect(field.selfErrors.join()).toContain('1000');
    await field.onInput(5);
    expect(field.selfErrors).toEqual([]);
    server.commit([['u', 'annotation', ['a1'], { x: 7 }, { x: 1 }]]);
    server.say({ type: 'presence', peers: { [ANNA]: { field: 'annotation/a1/x' } }, users: { [ANNA]: 'anna' } });
    await settled();
    expect(field.data).toMatchObject({ conflict: { theirs: 7, mine: 5 }, editors: [{ user: 'anna' }] });
    bound.resolve('x', 'theirs');
    expect([field.value, field.data.conflict]).toEqual([7, undefined]);
    field.onFocus({} as never);
    expect(server.heard.at(-1)).toMatchObject({ type: 'presence', state: { field: 'annotation/a1/x' } });
    bound.close();
    expect(store.drafts).toEqual([]);
  });

  it('puts what the server refuses at the field where there is no draft (S75)', async () => {
    const { server, store } = await opened();
    const bound = bindForm(store, 'annotation/a1', { draft: false });
    const field = bound.form.createField({ name: 'x' });
    server.judge = () => 'invalid';
    server.faults = [{ message: 'too far', table: 'annotation', key: ['a1'], pointer: '/x' }];
    await field.onInput(99);
    await settled();
    expect([field.selfErrors, field.value]).toEqual([['too far'], 1]);
    bound.close();
  });
});

function saved(bound: ReturnType<typeof bindForm>) {
  return { form: bound.form, save: bound.save.bind(bound) };
}
