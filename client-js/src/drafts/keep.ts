/** Drafts over a reload of the page: kept as texts while they are open, and until what was saved is answered. */
import type { Draft, KeepOptions, KeptDrafts, Store } from '../api.js';
import { WireError } from '../capture/wire.js';
import { deskOf, type Desk } from '../store/desk.js';
import type { DraftState } from '../store/drafts.js';
import type { LocalDraft } from '../store/draft.js';
import { onLeaving, shelfOf } from '../store/page.js';

/** Milliseconds after a change until it is kept; a drag would keep it at every move. */
const KEEP_AFTER = 300;
/** Characters; a page has about five million for everything. */
const MOST = 1_000_000;

interface KeptState extends DraftState {
  /** The place of the draft that it lies in. */
  parent?: number;
}

/**
 * Brings back the drafts that were open when the page was left, as far as they still fit and differ from what is there,
 * and keeps those that are open from here on. Call it before drafts are begun; one of them for each store.
 */
export function keepDrafts(store: Store, options: KeepOptions = {}): KeptDrafts {
  return new Keeping(store, deskOf(store), options);
}

class Keeping implements KeptDrafts {
  readonly drafts: readonly Draft[];
  full = false;
  private readonly shelf;
  private readonly leave: (() => void)[];
  private waiting: (() => void) | undefined;

  constructor(
    private readonly store: Store,
    private readonly desk: Desk,
    private readonly options: KeepOptions,
  ) {
    this.shelf = shelfOf(options.shelf);
    this.drafts = this.brought();
    const keep = (): void => this.keep();
    this.leave = [desk.drafts.changed.add(() => this.later()), desk.drafts.leaving.add(keep), onLeaving(keep)];
  }

  stop(): void {
    this.keep();
    this.leave.forEach((leave) => leave());
  }

  private brought(): Draft[] {
    const states = this.read();
    const made: (LocalDraft | undefined)[] = [];
    for (const state of states) {
      try {
        const parent = state.parent === undefined ? undefined : made[state.parent];
        made.push(this.desk.drafts.restore(state, parent));
      } catch (error) {
        // What cannot be read is of another time; a reader may not have drafts.
        if (!(error instanceof WireError) && codeOf(error) !== 'forbidden') throw error;
        made.push(undefined);
      }
    }
    return made.filter((draft) => draft !== undefined);
  }

  private read(): KeptState[] {
    try {
      const { format, drafts } = JSON.parse(this.shelf?.getItem(this.name) ?? '{}') as { format?: number; drafts?: KeptState[] };
      return format === 1 && Array.isArray(drafts) ? drafts.filter(isState) : [];
    } catch {
      return [];
    }
  }

  private later(): void {
    if (this.shelf !== undefined) this.waiting ??= this.desk.timers.after(KEEP_AFTER, () => this.keep());
  }

  private keep(): void {
    this.waiting?.();
    this.waiting = undefined;
    if (this.shelf === undefined || this.store.status.connection === 'closed') return;
    const texts = this.texts();
    try {
      if (texts.length === 0) this.shelf.removeItem(this.name);
      else this.shelf.setItem(this.name, `{"format":1,"drafts":[${texts.join(',')}]}`);
    } catch {
      // The page's storage is full or closed. What was kept before is better than nothing.
      this.full = true;
    }
  }

  /** As many as fit, those that were begun first; a draft goes only with the one that it lies in. */
  private texts(): string[] {
    const texts: string[] = [];
    const places = new Map<LocalDraft, number>();
    let room = this.options.most ?? MOST;
    this.full = false;
    for (const [draft, state] of this.desk.drafts.toKeep()) {
      const parent = draft.parent && places.get(draft.parent);
      const text = JSON.stringify({ ...state, ...(parent === undefined ? {} : { parent }) });
      if (text.length > room || (draft.parent !== undefined && parent === undefined)) {
        this.full = true;
        continue;
      }
      room -= text.length;
      places.set(draft, texts.length);
      texts.push(text);
    }
    return texts;
  }

  private get name(): string {
    return `sharelite drafts ${this.store.project} ${this.options.name ?? ''}`;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

function isState(given: unknown): given is KeptState {
  const { scope, changes } = (given ?? {}) as Partial<KeptState>;
  return Array.isArray(scope) && scope.every((path) => typeof path === 'string') && Array.isArray(changes);
}
