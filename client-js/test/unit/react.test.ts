// @vitest-environment jsdom
/** React on a store: what is drawn, and how often. */
import { StrictMode, act, createElement as h, type ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store, Tree } from '../../src/api.js';
import { DraftProvider, StoreProvider, useContract, useDraft, useList, usePresence, useQuery, useRow, useStatus, useStore, useUndo, useValue, type SetValue } from '../../src/react/index.js';
import { useField, useFieldsAt } from '../../src/forms/react.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const ANNA = 'a'.repeat(32);

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

let server: FakeServer;
let store: Store;
let root: Root;
let page: HTMLElement;

beforeEach(async () => {
  server = new FakeServer(ENGINES[0]!, SCENE);
  server.commit([
    ['i', 'annotation', ['a1'], { name: 'One', order: 'a0', x: 1 }],
    ['i', 'annotation', ['a2'], { name: 'Two', order: 'a1' }],
    ['i', 'annotation.points', ['a1', 'p1'], { _order: 'a0', x: 1 }],
  ]);
  store = await storeOn(server);
  page = document.createElement('div');
  root = createRoot(page);
});
afterEach(() => act(() => root.unmount()));

async function draw(what: ReactElement): Promise<void> {
  await act(async () => root.render(h(StrictMode, null, h(StoreProvider, { store }, what))));
}

/** Counts the renders of a component that reads something; StrictMode makes two of each. */
function drawn<T>(read: () => T): { values: T[]; element: ReactElement } {
  const values: T[] = [];
  const Part = (): null => {
    values.push(read());
    return null;
  };
  return { values, element: h(Part) };
}

async function remote(...changes: Parameters<FakeServer['commit']>[0]): Promise<void> {
  await act(async () => {
    server.commit(changes);
    await settled();
  });
}

describe('React', () => {
  it('draws again when the place changed, whoever changed it, and at no other time (S71)', async () => {
    const { values, element } = drawn(() => useValue<number>('annotation/a1/x')[0]);
    await draw(element);
    const before = values.length;
    await remote(['u', 'annotation', ['a1'], { name: 'Else' }, { name: 'One' }], ['u', 'annotation', ['a2'], { x: 9 }, { x: null }]);
    expect(values.length).toBe(before);
    await remote(['u', 'annotation', ['a1'], { x: 2 }, { x: 1 }]);
    await act(async () => void store.set('annotation/a1/x', 3));
    await act(async () => void store.set('annotation/a1/x', 3));
    expect([values[0], values.at(-1), values.length - before]).toEqual([1, 3, 4]);
  });

  it('sets a place, in the store or in the draft around it (S71)', async () => {
    const set: SetValue[] = [];
    const Part = ({ at }: { at: number }): null => {
      set[at] = useValue('annotation/a1/x')[1];
      return null;
    };
    const draft = store.draft();
    await draw(h('i', null, h(Part, { at: 0 }), h(DraftProvider, { draft }, h(Part, { at: 1 }))));
    await act(async () => void set[1]!(7));
    expect([store.peek('annotation/a1/x'), draft.changes, server.pushes.length]).toEqual([7, ['annotation/a1/x'], 0]);
    await act(async () => draft.cancel());
    await act(async () => expect(await set[0]!(8, { tag: 'panel' })!.confirmed).toMatchObject({ kind: 'committed' }));
  });

  it('keeps rows and lists that did not change as they are (S71)', async () => {
    const { values, element } = drawn(() => [useList('annotation'), useRow('annotation/none')] as const);
    await draw(element);
    await act(async () => void store.set('annotation/a1/points/p1/x', 5));
    const [[first], [last]] = [values[0]!, values.at(-1)!];
    expect([last[1] === first[1], last[0] === first[0], (last[0] as Record<string, Tree>).points, values[0]![1]]).toMatchObject([true, false, [{ x: 5 }], undefined]);
  });

  it('runs a query again only for what it reads, and at once for other parameters (S71)', async () => {
    const rows: unknown[] = [];
    const Part = ({ least }: { least: number }): null => {
      rows.push(useQuery<{ id: string }>('SELECT id FROM annotation WHERE x >= ? ORDER BY id', [least]).map(({ id }) => id).join());
      return null;
    };
    await draw(h(Part, { least: 1 }));
    await act(async () => void store.set('annotation/a2', { name: 'Not read' }));
    const before = rows.length;
    await act(async () => void store.set('annotation/a2/x', 4));
    await draw(h(Part, { least: 3 }));
    expect([rows[0], rows[before - 1], rows[before], rows.at(-1)]).toEqual(['a1', 'a1', 'a1,a2', 'a2']);
  });

  it('shows status, contract and who is here (S71)', async () => {
    const { values, element } = drawn(() => [useStatus().connection, useContract().hash, usePresence()] as const);
    await draw(element);
    await act(async () => {
      server.say({ type: 'presence', peers: { [ANNA]: { at: 'a1' } }, users: {} });
      await settled();
    });
    const [connection, hash, [peers]] = values.at(-1)!;
    expect([connection, hash, [...peers.values()].map(({ state }) => state)]).toEqual(['online', store.contract.hash, [{ at: 'a1' }]]);
    act(() => store.close());
    expect(values.at(-1)![0]).toBe('closed');
  });

  it('has a draft of its own that goes with it, and one with a name that stays (S71)', async () => {
    const { values, element } = drawn(() => useDraft('annotation/a1'));
    const named = drawn(() => useDraft('annotation/a2', { name: 'dialog' }));
    await draw(h('i', null, element, named.element));
    await act(async () => values.at(-1)!.begin().set('annotation/a1/x', 5));
    await act(async () => named.values.at(-1)!.begin().set('annotation/a2/x', 6));
    expect(values.at(-1)).toMatchObject({ state: 'open', changes: ['annotation/a1/x'], draft: { open: true } });
    await draw(h('b'));
    expect([store.peek('annotation/a1/x'), store.peek('annotation/a2/x'), store.drafts.map(({ name }) => name)]).toEqual([1, 6, ['dialog']]);
    const again = drawn(() => useDraft('annotation/a2', { name: 'dialog' }));
    await draw(again.element);
    expect(again.values[0]!.changes).toEqual(['annotation/a2/x']);
    await act(async () => expect(await again.values.at(-1)!.save()!.confirmed).toMatchObject({ kind: 'committed' }));
    expect([again.values.at(-1)!.state, again.values.at(-1)!.draft, server.pushes.length]).toEqual(['saved', undefined, 1]);
  });

  it('shows what can be undone, and undoes it (S71)', async () => {
    const { values, element } = drawn(() => useUndo());
    await draw(element);
    await act(async () => void store.set('annotation/a1/x', 9, { tag: 'move' }));
    expect(values.at(-1)).toMatchObject({ canUndo: true, canRedo: false, undoTag: 'move' });
    await act(async () => void values.at(-1)!.undo());
    expect([values.at(-1)!.canUndo, values.at(-1)!.redoTag, store.peek('annotation/a1/x')]).toEqual([false, 'move', 1]);
  });

  it('ends its subscriptions with its components (S71)', async () => {
    const { values, element } = drawn(() => useValue('annotation/a1/x')[0]);
    await draw(element);
    await draw(h('b'));
    const before = values.length;
    await act(async () => void store.set('annotation/a1/x', 50));
    expect(values.length).toBe(before);
    await draw(drawn(() => useValue('annotation/a1/x')[0]).element);
  });

  it('says what is missing where there is no store (S71)', () => {
    const Lost = (): null => void useStore() as unknown as null;
    expect(() => act(() => root.render(h(Lost)))).toThrow('StoreProvider');
  });

  it('binds a field to the draft around it, and draws it again for its own property alone (S76)', async () => {
    const draft = store.draft('annotation/a1');
    const { values, element } = drawn(() => useField('annotation/a1/x'));
    await draw(h(DraftProvider, { draft }, element));
    const before = values.length;
    await act(async () => values.at(-1)![1].set(5));
    await remote(['u', 'annotation', ['a1'], { x: 7 }, { x: 1 }]);
    await remote(['u', 'annotation', ['a2'], { x: 7 }, { x: 0 }]);
    const [{ value, drafted, conflict }] = values.at(-1)!;
    expect([value, drafted, conflict, server.pushes]).toMatchObject([5, true, { theirs: 7, mine: 5 }, []]);
    expect(values.length - before).toBe(4);
  });

  it('follows the contract, also one that has a place no more (S76)', async () => {
    const { values, element } = drawn(() => useFieldsAt('annotation/a1/text/font')?.fields.map(({ name }) => name));
    const none = drawn(() => useFieldsAt('annotation/a1/nowhere'));
    await draw(h('div', null, element, none.element));
    expect([values.at(-1), none.values.at(-1)]).toEqual([['size', 'family'], undefined]);
  });
});
