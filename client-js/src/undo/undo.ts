/**
 * Undo and redo of one person on one store. Which steps there are is decided in `steps.ts`, what of one can still be
 * taken back in `plan.ts`; here they meet the store.
 */
import type { Left, Outcome, Store, Undo, UndoOptions, Undone } from '../api.js';
import { idOf, net } from '../core/net.js';
import type { Change, Commit, MutationId } from '../core/types.js';
import { StoreError } from '../errors.js';
import { changedPaths } from '../paths/of.js';
import { Callbacks } from '../store/callbacks.js';
import { deskOf, type Desk, type Written } from '../store/desk.js';
import { onLeaving, shelfOf } from '../store/page.js';
import { plan, type Plan, type Stays } from './plan.js';
import * as shelves from './shelf.js';
import { confirm, forget, isSame, reverse, type Step } from './steps.js';

const DEPTH = 200;
const PAUSE = 1000;
/** Milliseconds after a change until it is kept; a drag would keep it at every move. */
const KEEP_AFTER = 500;
/** How often somebody else may be quicker before an undo gives up. */
const TRIES = 5;

type Side = 'undos' | 'redos';
type Refused = Extract<Outcome, { kind: 'refused' }>;

/** Follows everything that is done through the store from here on; one of them for each store. */
export function undoOf(store: Store, options: UndoOptions = {}): Undo {
  return new History(store, deskOf(store), options);
}

class History implements Undo {
  private undos: Step[] = [];
  private redos: Step[] = [];
  /** The step that is being written, while a group is open. */
  private grouping: { step: Step | undefined } | undefined;
  /** Whether the newest step may grow. */
  private growing = false;
  private readonly tries = new WeakMap<Step, number>();
  private readonly callbacks = new Callbacks<[Left[]]>();
  private readonly leave: (() => void)[];
  private keeping: (() => void) | undefined;
  private readonly shelf;

  constructor(
    private readonly store: Store,
    private readonly desk: Desk,
    private readonly options: UndoOptions,
  ) {
    this.shelf = shelfOf(options.shelf);
    if (this.shelf) ({ undos: this.undos, redos: this.redos } = shelves.read(this.shelf, this.name));
    this.leave = [
      desk.onWritten((written) => this.written(written)),
      desk.onOwn((commit) => this.confirmed(commit)),
      store.on('refused', (outcome) => this.refused(outcome)),
      onLeaving(() => this.keep()),
    ];
  }

  get canUndo(): boolean {
    return this.undos.length > 0;
  }

  get canRedo(): boolean {
    return this.redos.length > 0;
  }

  get undoTag(): string | undefined {
    return this.undos.at(-1)?.tag;
  }

  get redoTag(): string | undefined {
    return this.redos.at(-1)?.tag;
  }

  undo(): Undone {
    return this.move('undos', 'redos');
  }

  redo(): Undone {
    return this.move('redos', 'undos');
  }

  mark(): void {
    this.growing = false;
  }

  group(): () => void {
    const own = { step: undefined };
    this.grouping ??= own;
    return () => {
      if (this.grouping !== own) return;
      this.grouping = undefined;
      this.growing = false;
    };
  }

  subscribe(callback: (late: Left[]) => void): () => void {
    return this.callbacks.add(callback);
  }

  clear(): void {
    this.undos = [];
    this.redos = [];
    this.changed();
  }

  close(): void {
    this.keep();
    this.leave.forEach((leave) => leave());
    this.callbacks.clear();
  }

  private move(from: Side, to: Side): Undone {
    const step = this[from].at(-1);
    if (step === undefined) return { done: false, paths: [], left: [] };
    const undone = this.takeBack(step, to);
    this[from] = this[from].filter((one) => one !== step);
    this.growing = false;
    this.changed();
    return undone;
  }

  /** As one mutation; what the contract forbids now is left out, row by row. `at`: where it is put among the steps. */
  private takeBack(step: Step, to: Side, at = this[to].length): Undone {
    const changes = reverse(step);
    const except = new Map<string, string>();
    for (;;) {
      let planned: Plan = { operations: [], expect: [], stays: [] };
      try {
        const options = { missing: 'skip' as const, expect: planned.expect, ...tagged(step) };
        const mutated = this.desk.mutate(options, (writer) => {
          const { core } = this.desk.loaded;
          planned = plan(changes, core, new Set(except.keys()));
          options.expect = planned.expect;
          if (planned.operations.length > 0) writer.applyAll(planned.operations);
        });
        if (mutated !== undefined) this[to].splice(at, 0, this.taken(step, mutated.sent.id, mutated.changes));
        return {
          done: mutated !== undefined, paths: this.paths(mutated?.changes ?? []), left: this.left(planned.stays, except), ...tagged(step),
          ...(mutated === undefined ? {} : { sent: mutated.sent }),
        };
      } catch (error) {
        if (!exclude(error, planned, except)) throw error;
      }
    }
  }

  private taken(of: Step, id: MutationId, changes: Change[]): Step {
    return { ...tagged(of), at: this.desk.timers.now(), writes: [{ id, changes }], of };
  }

  private written({ id, origin, tag, changes }: Written): void {
    if (origin === 'undo' || changes.length === 0) return;
    const now = this.desk.timers.now();
    const write = { id, changes };
    const growing = this.grouping === undefined ? this.grown(tag, now) : this.grouping.step;
    this.redos = [];
    if (growing !== undefined) {
      growing.writes.push(write);
      growing.at = now;
    } else {
      const step = { ...(tag === undefined ? {} : { tag }), at: now, writes: [write] };
      this.undos = [...this.undos, step].slice(-(this.options.depth ?? DEPTH));
      if (this.grouping !== undefined) this.grouping.step = step;
    }
    this.growing = true;
    this.changed();
  }

  /** The newest step, if what has this tag now belongs to it. */
  private grown(tag: string | undefined, now: number): Step | undefined {
    const last = this.undos.at(-1);
    const follows = this.growing && tag !== undefined && last?.tag === tag && now - last.at <= (this.options.pause ?? PAUSE);
    return follows ? last : undefined;
  }

  /** What a server function did is known only now; it is a step like any other. */
  private confirmed({ id, kind, changes, tag }: Commit): void {
    if (id === undefined) return;
    if (kind === 'call') this.written({ id, origin: 'local', changes: net(changes), ...(tag === undefined ? {} : { tag }) });
    else confirm([...this.undos, ...this.redos], id, changes);
  }

  private refused({ id, refusal }: Refused): void {
    for (const [side, other] of [['undos', 'redos'], ['redos', 'undos']] as const) {
      const step = this[side].find((one) => one.of !== undefined && one.writes.some((write) => isSame(write.id, id)));
      if (step !== undefined) return this.untaken(step, step.of!, side, other, refusal.code);
    }
    const empty = forget(this.undos, id);
    this.undos = this.undos.filter((step) => step !== empty);
    this.changed();
  }

  /** Somebody was quicker: what is left of it is taken back after all. If it may not be, the step is still there. */
  private untaken(step: Step, of: Step, side: Side, other: Side, code: string): void {
    const at = this[side].indexOf(step);
    this[side] = this[side].filter((one) => one !== step);
    const tries = (this.tries.get(of) ?? 0) + 1;
    this.tries.set(of, tries);
    if (code !== 'conflict' || tries > TRIES) {
      this[other] = [...this[other], of];
      return this.changed(this.left(reverse(of).map((change): Stays => ({ change, why: 'refused' })), new Map()));
    }
    const { left } = this.takeBack(of, side, at);
    this.changed(left);
  }

  private left(stays: readonly Stays[], except: ReadonlyMap<string, string>): Left[] {
    return stays.flatMap(({ change, why }) => {
      const message = except.get(idOf(change));
      const paths = this.paths([change]);
      return (paths.length > 0 ? paths : [change[1]]).map((path): Left => ({ path, why, ...(message === undefined ? {} : { message }) }));
    });
  }

  private paths(changes: readonly Change[]): string[] {
    return changedPaths(this.desk.loaded.contract, changes);
  }

  private changed(late: Left[] = []): void {
    if (this.shelf && this.keeping === undefined) this.keeping = this.desk.timers.after(KEEP_AFTER, () => this.keep());
    this.callbacks.emit(late);
  }

  private keep(): void {
    this.keeping?.();
    this.keeping = undefined;
    if (this.shelf) shelves.write(this.shelf, this.name, { undos: this.undos, redos: this.redos }, this.desk.loaded.core.tables);
  }

  private get name(): string {
    return `sharelite undo ${this.store.project} ${this.options.name ?? ''}`;
  }
}

function tagged({ tag }: Step): { tag?: string } {
  return tag === undefined ? {} : { tag };
}

/** Leaves out the rows that an edit failed for; false if it says nothing about rows. */
function exclude(error: unknown, { operations }: Plan, except: Map<string, string>): boolean {
  if (!(error instanceof StoreError) || error.errors.length === 0 || operations.length === 0) return false;
  const names = (operation: Plan['operations'][number]): boolean =>
    error.errors.some(({ table, key }) => table === operation[1] && (key ?? []).every((part, at) => String(part) === String(operation[2][at])));
  const named = operations.filter(names);
  for (const operation of named.length > 0 ? named : operations) except.set(idOf(operation), error.message);
  return true;
}
