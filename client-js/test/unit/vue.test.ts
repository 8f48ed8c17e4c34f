// @vitest-environment jsdom
/** Vue's composables: plain refs in a scope. */
import { createApp, effectScope, h, nextTick, ref, watchEffect } from 'vue';
import { describe, expect, it } from 'vitest';
import { provideDraft, storePlugin, useList, usePresence, useQuery, useRow, useStatus, useStore, useUndo, useValue } from '../../src/vue/index.js';
import { ENGINES } from '../engines.js';
import { SCENE } from '../fake/contract.js';
import { FakeServer } from '../fake/server.js';
import { settled, storeOn } from '../fake/store.js';

const ANNA = 'a'.repeat(32);

async function opened() {
  const server = new FakeServer(ENGINES[0]!, SCENE);
  server.commit([['i', 'annotation', ['a1'], { name: 'One', order: 'a0', x: 1 }], ['i', 'annotation', ['a2'], { name: 'Two', order: 'a1' }]]);
  const store = await storeOn(server);
  const app = createApp({});
  app.use(storePlugin(store));
  const scope = effectScope();
  const setup = <T>(fn: () => T): T => app.runWithContext(() => scope.run(fn)!);
  return { server, store, scope, setup };
}

describe('Vue', () => {
  it('follows places, lists and queries, anew when the path is another (S72)', async () => {
    const { store, setup } = await opened();
    const id = ref('a1');
    const seen: unknown[] = [];
    const { list, names } = setup(() => {
      const x = useValue<number>(() => `annotation/${id.value}/x`);
      watchEffect(() => seen.push(x.value), { flush: 'sync' });
      return { list: useList('annotation'), names: useQuery('SELECT name FROM annotation WHERE id = ?', () => [id.value]) };
    });
    store.set('annotation/a1/x', 2);
    store.set('annotation/a1/name', 'Other');
    id.value = 'a2';
    store.set('annotation/a2/x', 3);
    store.set('annotation/a1/x', 9);
    expect([seen, list.value.length, names.value]).toEqual([[1, 2, 0, 3], 2, [{ name: 'Two' }]]);
  });

  it('writes through a ref, into the store or the draft around it (S72)', async () => {
    const { server, store, setup } = await opened();
    setup(() => (useValue<number>('annotation/a1/x').value = 5));
    await settled();
    expect(server.pushes).toHaveLength(1);
    const draft = store.draft();
    const inner = createApp({ setup: () => provideDraft(draft), render: () => h(Writer) });
    const Writer = { setup: () => void (useValue<number>('annotation/a1/x').value = 6), render: () => null };
    inner.use(storePlugin(store)).mount(document.createElement('div'));
    expect([draft.changes, server.pushes.length]).toEqual([['annotation/a1/x'], 1]);
  });

  it('shows who is here and how it stands, until its scope ends (S72)', async () => {
    const { server, store, scope, setup } = await opened();
    const { status, presence, row } = setup(() => ({ status: useStatus(), presence: usePresence(), row: useRow<{ x: number }>('annotation/a1') }));
    server.say({ type: 'presence', peers: { [ANNA]: { at: 1 } }, users: {} });
    await settled();
    expect([status.value.connection, [...presence.peers.value.values()]]).toMatchObject(['online', [{ state: { at: 1 } }]]);
    scope.stop();
    store.set('annotation/a1/x', 77);
    await nextTick();
    expect(row.value!.x).toBe(1);
  });

  it('shows what can be undone, and undoes it (S72)', async () => {
    const { store, setup } = await opened();
    const { state, history } = setup(() => useUndo());
    store.set('annotation/a1/x', 9, { tag: 'move' });
    expect(state.value).toMatchObject({ canUndo: true, undoTag: 'move' });
    history.undo();
    expect([state.value.canRedo, store.peek('annotation/a1/x')]).toEqual([true, 1]);
  });

  it('says what is missing where there is no store (S72)', () => {
    expect(() => createApp({}).runWithContext(() => useStore())).toThrow('provideStore');
  });
});
