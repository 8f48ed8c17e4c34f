/**
 * One field of a form on one property, without a framework: what it shows, what is wrong with it, who else is at it, and
 * how to write to it. Several fields on one property follow each other; nobody maps anything by hand.
 */
import type { Conflict, Draft, Fault, Presence, Sent, Store, Tree, Unsubscribe, WriteOptions } from '../api.js';
import { sameTree } from '../bindings/same.js';
import { draftSource, pathSource, peersSource, source, statusSource, type Source } from '../bindings/source.js';
import { fieldsAt, plainPath, type FieldNode } from './fields.js';

export interface Editor { client: string; user?: string }

export interface FieldState {
  /** Defaults resolved; undefined: nothing is there. */
  value: Tree | undefined;
  /** undefined: the contract has no such property (any more). */
  node: FieldNode | undefined;
  /** It differs from the contract's default. */
  changed: boolean;
  /** The draft has changed it. */
  drafted: boolean;
  /** Somebody else has changed it since the draft did. */
  conflict: Conflict | undefined;
  /** What the contract, or the server at the last attempt, has against it. */
  faults: readonly Fault[];
  /** Who else is at this field, from presence. */
  editors: readonly Editor[];
  /** One may not write here (the contract says so, or one's role). */
  readOnly: boolean;
}

export interface Field extends Source<FieldState> {
  /** One segment for each name, as conflicts and faults say it. */
  readonly path: string;
  /** Writes into the draft, or else into the store; undefined and null reset to the default. */
  set(value: Tree | undefined, options?: WriteOptions): void;
  /** Back to the contract's default. */
  reset(): void;
  /** Ends the conflict at this property; without a draft there is none. */
  resolve(which: 'mine' | 'theirs'): void;
  /** Says to others that one is here; `blur` that one is gone. */
  focus(): void;
  /** Says to others that one has left it. */
  blur(): void;
}

export interface FieldOptions {
  draft?: Draft | undefined;
  /** How one's presence is said and read, where it holds more than the field that one is at. Default: `{ field: path }`. */
  presence?: {
    /** Called with the path that one is at, null when one has left it. */
    say: (path: string | null) => void;
    /** Reads the path out of what another one says. */
    field: (state: Tree) => string | undefined;
  };
  /** How it writes, where one writes more than this property (all that is selected) or groups what it writes. Default: the draft, or else the store. */
  write?: (path: string, value: Tree, options?: WriteOptions) => Sent | undefined;
}

/** A field on the property, object or list at a path, however it is written (`text/font/size` or `text.font.size`). */
export function bindField(store: Store, place: string, options: FieldOptions = {}): Field {
  const path = plainly(store, place);
  const { draft, presence = standardPresence(store), write: put = standardWrite(store, draft) } = options;
  const value = forgiving(() => pathSource(store, path));
  const drafted = draftSource(draft);
  const peers = peersSource(store);
  const status = statusSource(store);
  const refused = new Refused(store, path, () => value.get());
  let node = nodeAt(store, path);
  const read = (): FieldState => {
    const state = drafted.get();
    const shown = value.get();
    refused.look(shown);
    const at = (one: { path?: string }): boolean => one.path === path || (one.path?.startsWith(`${path}/`) ?? false);
    return {
      value: shown,
      node,
      changed: node !== undefined && shown !== undefined && !sameTree(shown, node.default),
      drafted: state.changes.some((changed) => at({ path: changed }) || path.startsWith(`${changed}/`)),
      conflict: state.conflicts.find(at),
      faults: [...state.faults.filter(at), ...refused.faults],
      editors: editorsIn(peers.get(), presence.field).get(path) ?? NOBODY,
      readOnly: node === undefined || node.readOnly || status.get().role === 'reader',
    };
  };
  const watch = (tell: (state: FieldState) => void): Unsubscribe => {
    const again = (): void => tell(read());
    const leave = [value, drafted, peers, status].map(({ follow }) => follow(again));
    leave.push(refused.follow(again), store.on('contract', () => { node = nodeAt(store, path); again(); }));
    node = nodeAt(store, path);
    return () => leave.forEach((one) => one());
  };
  const write = (next: Tree, options?: WriteOptions): void => {
    refused.forget();
    refused.sent(put(path, next, options)?.id);
  };
  return {
    ...source(read, watch, sameTree),
    path,
    set: (next, options) => write(next ?? null, options),
    reset: () => write(null),
    resolve: (which) => draft?.resolve(path, which),
    focus: () => presence.say(path),
    blur: () => presence.say(null),
  };
}

/**
 * What the server had against what was written here: the last mutation of this field, or any that failed at its property.
 * It is forgotten when the field is written again, or the property is another one.
 */
class Refused {
  faults: readonly Fault[] = [];
  private id = '';
  private shown: Tree | undefined;

  constructor(private readonly store: Store, private readonly path: string, private readonly read: () => Tree | undefined) {}

  sent(id: [string, number] | undefined): void {
    this.id = id?.join() ?? '';
  }

  forget(): void {
    this.faults = [];
  }

  /** Before the property's present value is shown. */
  look(value: Tree | undefined): void {
    if (this.faults.length > 0 && !sameTree(value, this.shown)) this.forget();
  }

  follow(told: () => void): Unsubscribe {
    return this.store.on('refused', ({ id, refusal }) => {
      const mine = id.join() === this.id;
      const here = refusal.errors.filter((fault) => (mine ? this.touches(fault.path) : fault.path === this.path));
      if (!mine && here.length === 0) return;
      this.shown = this.read();
      this.faults = (here.length > 0 ? here : [{ message: refusal.message }]).map((fault) => ({ ...fault, code: fault.code ?? refusal.code }));
      told();
    });
  }

  private touches(path: string | undefined): boolean {
    return path === undefined || path.startsWith(this.path) || this.path.startsWith(`${path}/`);
  }
}

function plainly(store: Store, path: string): string {
  try {
    return plainPath(store.contract.document, path);
  } catch {
    // A place that the contract does not have shows nothing under any name.
    return path;
  }
}

/** undefined: the contract has no such place. */
export function nodeAt(store: Store, path: string): FieldNode | undefined {
  try {
    return fieldsAt(store.contract.document, path);
  } catch {
    // The contract that came meanwhile has no such place: the field says so.
    return undefined;
  }
}

/** A place that the contract has no more shows nothing. */
function forgiving(make: () => Source<Tree | undefined>): Source<Tree | undefined> {
  const inner = make();
  return {
    get: () => {
      try {
        return inner.get();
      } catch {
        return undefined;
      }
    },
    follow: inner.follow,
  };
}

const NOBODY: readonly Editor[] = Object.freeze([]);
const places = new WeakMap<Presence['peers'], Map<(state: Tree) => string | undefined, Map<string, Editor[]>>>();

/** Who is at which field: found once for all fields of a page, since presence comes often. */
function editorsIn(peers: Presence['peers'], field: (state: Tree) => string | undefined): ReadonlyMap<string, Editor[]> {
  const known = places.get(peers) ?? new Map<typeof field, Map<string, Editor[]>>();
  places.set(peers, known);
  let at = known.get(field);
  if (at !== undefined) return at;
  known.set(field, (at = new Map<string, Editor[]>()));
  for (const [client, { user, state }] of peers) {
    const path = field(state);
    if (path !== undefined) at.set(path, [...(at.get(path) ?? []), user === undefined ? { client } : { client, user }]);
  }
  return at;
}

function standardPresence(store: Store): NonNullable<FieldOptions['presence']> {
  return {
    say: (path) => store.presence.set({ field: path }),
    field: fieldOf,
  };
}

function fieldOf(state: Tree): string | undefined {
  return typeof state === 'object' && state !== null && 'field' in state && typeof state.field === 'string' ? state.field : undefined;
}

function standardWrite(store: Store, draft: Draft | undefined): NonNullable<FieldOptions['write']> {
  return (path, value, options) => (draft?.open ? void draft.set(path, value) : store.set(path, value, options));
}
