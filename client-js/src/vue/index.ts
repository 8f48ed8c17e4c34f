/**
 * Vue on a store: each composable reads one place as a ref that changes only when the place really did.
 *
 *     const store = useStore();                    // after provideStore(store) in a component above, or app.use(storePlugin(store))
 *     const size = useValue(() => `annotation/${props.id}/icon/size`);   // a writable ref: v-model="size"
 */
import {
  computed, inject, onScopeDispose, provide, shallowRef, toValue, watch, type App, type ComputedRef, type InjectionKey, type MaybeRefOrGetter, type Plugin,
  type ShallowRef, type WritableComputedRef,
} from 'vue';
import type { Draft, Presence, Status, Store, Tree, Undo, Value } from '../api.js';
import {
  contractSource, historyOf, pathSource, peersSource, querySource, statusSource, undoSource, type Source, type UndoState,
} from '../bindings/source.js';

const STORE: InjectionKey<Store> = Symbol('sharelite store');
const DRAFT: InjectionKey<MaybeRefOrGetter<Draft | undefined>> = Symbol('sharelite draft');

/** For all components of an application. */
export function storePlugin(store: Store): Plugin {
  return { install: (app: App) => void app.provide(STORE, store) };
}

/** For the components below this one. */
export function provideStore(store: Store): void {
  provide(STORE, store);
}

/** What is written below goes into this draft; undefined: right into the store. */
export function provideDraft(draft: MaybeRefOrGetter<Draft | undefined>): void {
  provide(DRAFT, draft);
}

/** The store of a component above, or of the application. Throws where there is none. */
export function useStore(): Store {
  const store = inject(STORE, undefined);
  if (store === undefined) throw new Error('there is no store here: call provideStore(store) in a component above, or app.use(storePlugin(store))');
  return store;
}

/** The property (or any tree) at a path; setting it writes into the nearest draft, or else into the store. */
export function useValue<T = Tree>(path: MaybeRefOrGetter<string>): WritableComputedRef<T | undefined> {
  const store = useStore();
  const draft = inject(DRAFT, undefined);
  const value = useSource(() => pathSource(store, toValue(path)));
  return computed({
    get: () => value.value as T | undefined,
    set: (next) => void (toValue(draft) ?? store).set(toValue(path), (next ?? null) as Tree),
  });
}

/** A row with its nested lists, defaults resolved; undefined if there is none. */
export function useRow<T = { [property: string]: Tree }>(path: MaybeRefOrGetter<string>): Readonly<ShallowRef<T | undefined>> {
  const store = useStore();
  return useSource(() => pathSource(store, toValue(path))) as unknown as Readonly<ShallowRef<T | undefined>>;
}

/** The rows of a table or of a nested list, in their order. */
export function useList<T = { [property: string]: Tree }>(path: MaybeRefOrGetter<string>): ComputedRef<readonly T[]> {
  const rows = useRow<T[]>(path);
  return computed(() => rows.value ?? []);
}

/** The rows of a SQL query, run again only when a row and column that it reads has changed. */
export function useQuery<T = Record<string, Value>>(sql: MaybeRefOrGetter<string>, params: MaybeRefOrGetter<Value[]> = []): Readonly<ShallowRef<readonly T[]>> {
  const store = useStore();
  return useSource(() => querySource(store, toValue(sql), toValue(params))) as unknown as Readonly<ShallowRef<readonly T[]>>;
}

/** How the store stands to its server: online, version, what is not answered yet. */
export function useStatus(): Readonly<ShallowRef<Status>> {
  const store = useStore();
  return useSource(() => statusSource(store));
}

/** Who else is here, by client id, and how to say what oneself points at. */
export function usePresence(): { peers: Readonly<ShallowRef<Presence['peers']>> } & Pick<Presence, 'set'> {
  const store = useStore();
  return { peers: useSource(() => peersSource(store)), set: (state) => store.presence.set(state) };
}

/** The contract, for forms; another one after an upgrade. */
export function useContract(): Readonly<ShallowRef<Store['contract']>> {
  const store = useStore();
  return useSource(() => contractSource(store));
}

/** The history of this person, shared by the page; it follows what is done from the first time that somebody asks. */
export function useUndo(): { state: Readonly<ShallowRef<UndoState>>; history: Undo } {
  const history = historyOf(useStore());
  return { state: useSource(() => undoSource(history)), history };
}

/** Follows what `make` makes, anew whenever what it reads (a path, parameters) is another; ends with its component. */
function useSource<T>(make: () => Source<T>): Readonly<ShallowRef<T>> {
  const first = make();
  const value = shallowRef(first.get()) as ShallowRef<T>;
  let leave = (): void => undefined;
  const follow = ({ follow, get }: Source<T>): void => {
    leave();
    leave = follow(() => (value.value = get()));
    value.value = get();
  };
  follow(first);
  watch(make, follow, { flush: 'sync' });
  onScopeDispose(() => leave());
  return value;
}
