/**
 * What lies upon the confirmed rows, and how it is taken away and put back: pending mutations in the always-open
 * transaction, each draft in a savepoint above them.
 */
import { row } from '../capture/wire.js';
import type { Db } from '../engine/types.js';
import type { Draft } from './draft.js';
import { Edits } from './edits.js';
import { CannotApply } from './errors.js';
import type { Failure } from './operations.js';
import { merge, touch } from './touched.js';
import type { Change, Check, DraftId, Dropped, Edited, MutationId, Operation, Rebased, TableInfo, Touched, Writer } from './types.js';

export interface Pending {
  id: MutationId;
  operations: readonly Operation[];
  missing: 'refuse' | 'skip';
  /** What it does to the rows at present, and maybe what the next ones do. */
  touched: Touched;
  failing: boolean;
}

export class Stack {
  edits: Edits;
  layers: Pending[] = [];
  drafts: Draft[] = [];
  /** How many drafts lie on the rows at this moment; the others are about to be put back. */
  private standing = 0;
  /** What happened around a step that threw; the next one tells it. */
  untold = emptyRebase();

  constructor(
    private readonly db: Db,
    private tables: ReadonlyMap<string, TableInfo>,
  ) {
    this.edits = new Edits(db, tables);
    this.begin();
  }

  /** The tables are others now: capture and statements are made anew, and drafts lose what is gone. */
  retable(tables: ReadonlyMap<string, TableInfo>, captured: boolean): void {
    this.tables = tables;
    this.edits = new Edits(this.db, tables);
    if (captured) this.edits.capture.install();
    this.untold.dropped.push(...this.sift());
  }

  /** Takes what the tables do not have out of every draft. */
  sift(): Dropped[] {
    return this.drafts.flatMap((draft) => draft.sift(this.tables).map((failure) => ({ draft: draft.id, ...failure })));
  }

  /** On top of everything. */
  push(draft: Draft): void {
    this.drafts.push(draft);
    this.db.run(draft.begin);
    this.standing = this.drafts.length;
  }

  private begin(): void {
    this.db.run('BEGIN');
    // References are judged at the end of a mutation: its rows may come in any order. A pragma is said only where the
    // schema does not say it, because it makes SQLite prepare every statement again.
    if (!this.edits.deferred) this.db.all('PRAGMA defer_foreign_keys=ON');
  }

  /** Everything above the confirmed rows away, something done to them, everything back. */
  rebase(below: () => void, done: readonly MutationId[] = []): Rebased {
    const rebased = this.told();
    for (const layer of [...this.layers, ...this.drafts]) merge(rebased.touched, layer.touched);
    this.db.run('ROLLBACK');
    try {
      below();
      rebased.dropped.push(...this.told().dropped);
      this.layers = this.layers.filter((layer) => !done.some((id) => isSameId(id, layer.id)));
    } catch (error) {
      this.untold = rebased;
      throw error;
    } finally {
      this.reapply(rebased);
    }
    return rebased;
  }

  private reapply(rebased: Rebased, drafts = this.drafts.length): void {
    this.begin();
    this.standing = 0;
    rebased.failing = [];
    for (let at = 0; at < this.layers.length; ) at += this.reapplyRun(at, rebased);
    this.restore(0, rebased, drafts);
  }

  /**
   * Those from `at` on, as many as applied before: together, with one look at what happened, or else each by itself. What
   * they touch is kept with the first of them: it is asked for only of all of them at once.
   */
  private reapplyRun(at: number, rebased: Rebased): number {
    const end = this.layers.findIndex((layer, i) => i >= at && layer.failing);
    const run = this.layers.slice(at, end < 0 ? undefined : end);
    if (run.length < 2 || !this.together(run, rebased)) for (const layer of run) this.reapplyPending(layer, rebased);
    if (end >= 0) this.reapplyPending(this.layers[end]!, rebased);
    return run.length + (end < 0 ? 0 : 1);
  }

  private together([first, ...others]: readonly Pending[], rebased: Rebased): boolean {
    const done = this.savepoint(() => {
      const effects = this.edits.againEach([first!, ...others]);
      if (effects) first!.touched = touch(new Map(), effects);
      return effects !== undefined;
    });
    if (!done) return false;
    for (const other of others) other.touched = new Map();
    merge(rebased.touched, first!.touched);
    return true;
  }

  /** One that does not apply stays: only the server decides, and it may see other rows than we do now. */
  private reapplyPending(layer: Pending, rebased: Rebased): void {
    layer.touched = new Map();
    layer.failing = !this.savepoint(() => {
      const { failures, effects } = this.edits.again(layer.operations, layer.missing);
      if (failures.length === 0) touch(layer.touched, effects);
      return failures.length === 0;
    });
    if (layer.failing) rebased.failing.push(layer.id);
    merge(rebased.touched, layer.touched);
  }

  private reapplyDraft(draft: Draft, rebased: Rebased): void {
    this.db.run(draft.begin);
    const { failures, effects } = this.edits.again(draft.net.intents());
    const failed = failures.flatMap((failure) => this.setAside(draft, failure, effects));
    rebased.dropped.push(...failed.map((failure) => ({ draft: draft.id, ...failure })));
    draft.refresh(draft.net.intents(), effects);
    this.takeUp(draft);
    merge(rebased.touched, draft.touched);
  }

  /** Of an update only the properties that do not fit; a row that is gone takes all of them with it. */
  private setAside(draft: Draft, { operation, error }: Failure, effects: Change[]): Failure[] {
    const [op, table, key, now] = operation;
    if (op !== 'u' || (error instanceof CannotApply && error.code === 'not_found')) return draft.setAside(operation, error);
    return Object.keys(now).flatMap((column) => {
      const one: Operation = ['u', table, key, row([[column, now[column]!]])];
      const tried = this.edits.again([one]);
      effects.push(...tried.effects);
      return tried.failures.flatMap((failure) => draft.setAside(one, failure.error));
    });
  }

  /** After an edit of the draft itself: what was set aside is superseded by it, or may fit again, and then at once. */
  settle(draft: Draft, edited: Edited): void {
    draft.supersede(edited.changes);
    this.takeUp(draft);
    merge(edited.touched, draft.touched);
  }

  /** What was set aside and fits again comes back. */
  private takeUp(draft: Draft): void {
    draft.aside = draft.aside.filter((aside) => {
      const { failures, effects } = this.edits.again([aside.operation]);
      if (failures.length > 0) aside.error = failures[0]!.error;
      else draft.takeUp(aside, effects);
      return failures.length > 0;
    });
  }

  /** Does something at `index` without one of the drafts above; it is back if that fails. */
  without(draft: Draft, action: () => Edited, index: number): Edited {
    return this.beneath(index, () => {
      const at = this.drafts.indexOf(draft);
      this.drafts.splice(at, 1);
      try {
        return action();
      } catch (error) {
        this.drafts.splice(at, 0, draft);
        throw error;
      }
    });
  }

  /** Does something below the drafts from `index` on, and puts these back above it. */
  beneath(index: number, action: () => Edited): Edited {
    const rebased = this.unwind(index);
    try {
      const edited = action();
      merge(rebased.touched, edited.touched);
      return { changes: edited.changes, touched: rebased.touched, dropped: rebased.dropped };
    } catch (error) {
      this.untold = rebased;
      throw error;
    } finally {
      this.restore(index, rebased);
    }
  }

  unwind(index: number): Rebased {
    const rebased = this.told();
    for (const draft of this.drafts.slice(index)) merge(rebased.touched, draft.touched);
    this.drafts[index]?.end.forEach((sql) => this.db.run(sql));
    this.standing = Math.min(index, this.drafts.length);
    return rebased;
  }

  restore(index: number, rebased: Rebased, end = this.drafts.length): void {
    for (const draft of this.drafts.slice(index, end)) this.reapplyDraft(draft, rebased);
    this.standing = end;
  }

  attempt(fn: (writer: Writer) => void, check?: Check): Edited {
    let edited: Edited | undefined;
    this.savepoint(() => {
      edited = this.edits.run(fn, check);
      return true;
    });
    return edited!;
  }

  /** What `action` writes stays if it returns true. */
  private savepoint(action: () => boolean): boolean {
    this.db.run('SAVEPOINT edit');
    let done = false;
    try {
      done = action();
    } finally {
      if (!done) this.undoSavepoint();
    }
    if (done) this.db.run('RELEASE edit');
    return done;
  }

  /** A statement with OR ROLLBACK has taken the whole transaction with it; then everything is built up again. */
  private undoSavepoint(): void {
    try {
      this.db.run('ROLLBACK TO edit');
      this.db.run('RELEASE edit');
    } catch {
      this.reapply(emptyRebase(), this.standing);
    }
  }

  private told(): Rebased {
    const told = this.untold;
    this.untold = emptyRebase();
    return told;
  }

  draft(id: DraftId): Draft {
    return this.drafts[this.indexOf(id)]!;
  }

  indexOf(id: DraftId): number {
    const index = this.drafts.findIndex((draft) => draft.id === id);
    if (index < 0) throw new Error(`draft ${id} is not open`);
    return index;
  }
}

export function emptyRebase(): Rebased {
  return { touched: new Map(), schema: false, failing: [], dropped: [] };
}

function isSameId(a: MutationId, b: MutationId): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
