import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/api.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

describe.each(ENGINES)('touched rows on $name', (engine) => {
  async function opened(): Promise<{ server: FakeServer; store: Store; told: string[][] }> {
    const server = new FakeServer(engine, SCENE);
    server.commit([1, 2, 3].map((n) => ['i', 'annotation', [`a${n}`], { name: `N${n}`, order: `a${n}` }] as never));
    const store = await storeOn(server);
    const told: string[][] = [];
    store.subscribe({ rows: 'annotation' }, (value, info) => { expect(value).toBeUndefined(); told.push(info.paths); });
    return { server, store, told };
  }

  it('names rows that were changed, made and removed here, and in a draft (S26)', async () => {
    const { store, told } = await opened();
    store.set('annotation/a1/text/font/size', 20);
    store.tx((t) => { t.insert('annotation', { id: 'a b', name: 'New' }); t.delete('annotation/a3'); });
    const draft = store.draft();
    draft.set('annotation/a2/name', 'Other');
    draft.cancel();
    expect(told.slice(0, 3).map((paths) => paths.sort())).toEqual([['annotation/a1'], ['annotation/a%20b', 'annotation/a3'], ['annotation/a2']]);
    expect(told.slice(3).flat()).toContain('annotation/a2');
  });

  it('names rows that others touched, also by their nested lists (S26)', async () => {
    const { server, told } = await opened();
    server.commit([['u', 'annotation', ['a2'], { name: 'Theirs' }], ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }]]);
    await settled();
    expect(told.flat().sort()).toEqual(['annotation/a1', 'annotation/a2']);
  });

  it('is only for lists (S26)', async () => {
    const { store } = await opened();
    expect(() => store.subscribe({ rows: 'annotation/a1' }, () => undefined)).toThrow(/not a list/);
  });
});
