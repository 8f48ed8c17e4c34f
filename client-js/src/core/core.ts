/**
 * Confirmed rows below, pending mutations above them, drafts on top: one database in an always-open transaction.
 *
 * Below the transaction is what the server confirmed, in it what is pending, in a savepoint each draft. A rebase is:
 * roll back, apply what the server ordered, begin, apply the rest again. Synchronous; no I/O, no clock, no randomness.
 */
import type { Db } from '../engine/types.js';
import { Confirmed } from './confirmed.js';
import { Edits } from './edits.js';
import { row } from '../capture/wire.js';
import { CannotApply } from './errors.js';
import { type Aside, type Clash, Draft, isSameId, type Pending } from './layers.js';
import { reversed } from './net.js';
import type { Failure } from './operations.js';
import { readRow } from './rows.js';
import { merge, touch } from './touched.js';
import type { Change, Check, Commit, DraftId, Dropped, Edited, Key, MutationId, Operation, PendOptions, Rebased, Row, TableInfo, Touched, Writer } from './types.js';

export class Core {
  private readonly confirmed: Confirmed;
  private edits: Edits;
  private layers: Pending[] = [];
  private drafts: Draft[] = [];
  private nextDraft = 1;
  /** How many drafts lie on the rows at this moment; the others are about to be put back. */
  private standing = 0;
  /** What happened around a step that threw; the next one tells it. */
  private untold = emptyRebase();

  /** The database belongs to the core from here on: others only read. */
  constructor(private readonly db: Db) {
    this.confirmed = new Confirmed(db);
    this.edits = new Edits(db, this.tables);
    this.begin();
  }

  get version(): number {
    return this.confirmed.version;
  }

  get epoch(): string {
    return this.confirmed.epoch;
  }

  get tables(): ReadonlyMap<string, TableInfo> {
    return this.confirmed.tables;
  }

  get pending(): readonly MutationId[] {
    return this.layers.map((layer) => layer.id);
  }

  /**
   * Runs `fn` above pending and below the drafts. If it throws, or `check` does on seeing what happened, nothing of it
   * stays. `pend` must follow if it changed anything.
   */
  edit(fn: (writer: Writer) => void, check?: Check): Edited {
    this.prepareCapture();
    return this.beneath(0, () => this.attempt(fn, check));
  }

  /** Remembers the last edit (or saved draft), to be applied again until it is answered. */
  pend(id: MutationId, operations: readonly Operation[], options: PendOptions = {}): void {
    const touched = touch(new Map(), operations);
    this.layers.push({ id, operations, missing: options.missing ?? 'refuse', touched, failing: false });
  }

  /**
   * Commits contiguous after `version` (earlier ones are skipped), and ids that were settled or refused. Throws `Diverged`.
   * `client` is whose commits are one's own: all others may clash with drafts.
   */
  receive(commits: readonly Commit[], answered: readonly MutationId[] = [], client?: string): Rebased {
    const fresh = this.confirmed.fresh(commits);
    for (const { id, changes, by } of fresh) if (client !== undefined && id?.[0] !== client) for (const draft of this.drafts) draft.meet(changes, by);
    const done = [...answered, ...fresh.flatMap((commit) => (commit.id ? [commit.id] : []))];
    const rebased = this.rebase(() => this.confirm(fresh), done);
    for (const commit of fresh) touch(rebased.touched, commit.changes);
    return { ...rebased, schema: fresh.some((commit) => commit.steps !== undefined) };
  }

  openDraft(): DraftId {
    this.prepareCapture();
    const draft = new Draft(this.nextDraft++);
    this.drafts.push(draft);
    this.db.run(draft.begin);
    this.standing = this.drafts.length;
    return draft.id;
  }

  /** Edits in a draft; drafts opened later lie above it. */
  editDraft(id: DraftId, fn: (writer: Writer) => void, check?: Check): Edited {
    const draft = this.draft(id);
    return this.beneath(this.indexOf(id) + 1, () => {
      const edited = this.attempt(fn, check);
      draft.add(edited);
      return edited;
    });
  }

  /** What the draft would send now: one change per row, only properties that differ from what lies below. */
  draftChanges(id: DraftId): Change[] {
    return this.draft(id).net.changes();
  }

  /** Like `draftChanges`, with the properties that happen to be equal to what lies below at present. */
  draftIntents(id: DraftId): Change[] {
    return this.draft(id).net.intents();
  }

  /** All that the draft holds, set aside or not; as old values what lay below when it began to write there. */
  holdings(id: DraftId): Change[] {
    return this.draft(id).holdings();
  }

  /** Whether the draft writes to one of the touched rows. */
  reaches(id: DraftId, touched: Touched): boolean {
    for (const [table, rows] of this.draft(id).touched) for (const key of rows.keys()) if (touched.get(table)?.has(key)) return true;
    return false;
  }

  /** What of the draft does not fit the rows at present, with the reasons. */
  asideOf(id: DraftId): readonly Aside[] {
    return this.draft(id).aside;
  }

  /** What the draft has set and others have changed since. */
  clashesOf(id: DraftId): Clash[] {
    return this.draft(id).clashes();
  }

  /** Moves on whenever the draft may hold or say something else. */
  stampOf(id: DraftId): number {
    return this.draft(id).stamp;
  }

  /** What others wrote to these properties of a row (without columns: to all of it) has been seen. */
  settleDraft(id: DraftId, change: Change, columns: readonly string[] | undefined): void {
    this.draft(id).settle(change, columns);
  }

  /**
   * Puts these changes of the draft back to what lies below (`columns`: only these of an update), and forgets what was
   * set aside of them.
   */
  revertDraft(id: DraftId, changes: readonly Change[], isReverted: (operation: Operation) => boolean): Edited {
    const draft = this.draft(id);
    const edited = this.editDraft(id, (writer) => writer.applyAll(changes.toReversed().map(reversed)));
    for (const change of changes) if (change[0] === 'u') draft.net.release(change, Object.keys(change[3]));
    draft.aside = draft.aside.filter(({ operation }) => !isReverted(operation));
    draft.stamp++;
    return edited;
  }

  /** A draft of these operations, as far as they fit; the others are set aside. `bases`: what lay below each, once. */
  restoreDraft(asides: readonly Aside[]): { id: DraftId; rebased: Rebased } {
    const id = this.openDraft();
    const draft = this.draft(id);
    const rebased = this.unwind(this.drafts.length - 1);
    draft.aside = [...asides];
    this.restore(this.drafts.length - 1, rebased);
    return { id, rebased };
  }

  /** Makes a nested draft part of the one that it lies in. If it cannot be, it is still open. */
  saveInto(id: DraftId, parent: DraftId): Edited {
    const into = this.draft(parent);
    const draft = this.draft(id);
    return this.without(draft, () => {
      const edited = this.attempt((writer) => writer.applyAll(draft.net.changes()));
      into.add(edited);
      into.aside.push(...draft.aside);
      return edited;
    }, this.indexOf(parent) + 1);
  }

  /** What `saveDraft` would throw now; nothing changes. */
  judgeDraft(id: DraftId, check: Check, parent?: DraftId): unknown {
    const fine = new Error('it could be saved');
    const draft = this.draft(id);
    try {
      this.without(draft, () => this.attempt((writer) => writer.applyAll(draft.net.changes()), (edited) => {
        check(edited);
        throw fine;
      }), parent === undefined ? 0 : this.indexOf(parent) + 1);
    } catch (error) {
      if (error !== fine) return error;
    }
    return undefined;
  }

  /** Takes the draft away; everything is exactly as if it had never been. */
  cancelDraft(id: DraftId): Rebased {
    const index = this.indexOf(id);
    const rebased = this.unwind(index);
    this.drafts.splice(index, 1);
    this.restore(index, rebased);
    return rebased;
  }

  /**
   * Makes the draft part of the state above pending and returns what to push; `pend` must follow if it is not empty.
   * If `check` throws, the draft is still open.
   */
  saveDraft(id: DraftId, check?: Check): Edited {
    const draft = this.draft(id);
    return this.without(draft, () => this.attempt((writer) => writer.applyAll(draft.net.changes()), check), 0);
  }

  /** Takes over pending mutations and drafts of a core whose database was replaced (reset, resync). */
  adopt(previous: Core): Rebased {
    this.layers = previous.layers;
    this.drafts = previous.drafts;
    this.nextDraft = previous.nextDraft;
    const sifted = this.drafts.flatMap((draft) => this.sift(draft));
    for (const draft of this.drafts) draft.meetAll();
    const rebased = this.rebase(() => {
      if (previous.edits.capture.ready) this.edits.capture.install();
    });
    rebased.dropped.unshift(...sifted);
    return rebased;
  }

  /** One row as it lies there at this moment (inside of an edit: below the drafts above it). */
  row(table: string, key: Key): Row | undefined {
    const info = this.tables.get(table);
    return info && readRow(this.db, info, key);
  }

  /** The rows that name this one at this moment. */
  users(table: string, key: Key, row: Row): [table: string, key: Key][] {
    return this.edits.references.users(table, key, row);
  }

  /** The confirmed rows as a database file. */
  exportConfirmed(): Uint8Array {
    let bytes = new Uint8Array();
    this.untold = this.rebase(() => {
      bytes = new Uint8Array(this.db.export());
    });
    return bytes;
  }

  close(): void {
    this.db.close();
  }

  private begin(): void {
    this.db.run('BEGIN');
    // References are judged at the end of a mutation: its rows may come in any order. A pragma is said only where the
    // schema does not say it, because it makes SQLite prepare every statement again.
    if (!this.edits.deferred) this.db.all('PRAGMA defer_foreign_keys=ON');
  }

  /** Capture is made at the first write: who only looks on never pays for it. */
  private prepareCapture(): void {
    if (!this.edits.capture.ready) this.untold = this.rebase(() => this.edits.capture.install());
  }

  /** Everything above the confirmed rows away, something done to them, everything back. */
  private rebase(below: () => void, done: readonly MutationId[] = []): Rebased {
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
    for (const layer of this.layers) this.reapplyPending(layer, rebased);
    this.restore(0, rebased, drafts);
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

  /** What was set aside and fits again comes back. */
  private takeUp(draft: Draft): void {
    draft.aside = draft.aside.filter((aside) => {
      const { failures, effects } = this.edits.again([aside.operation]);
      if (failures.length > 0) aside.error = failures[0]!.error;
      else draft.takeUp(aside, effects);
      return failures.length > 0;
    });
  }

  private sift(draft: Draft): Dropped[] {
    return draft.sift(this.tables).map((failure) => ({ draft: draft.id, ...failure }));
  }

  /** Does something at `index` without one of the drafts above; it is back if that fails. */
  private without(draft: Draft, action: () => Edited, index: number): Edited {
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
  private beneath(index: number, action: () => Edited): Edited {
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

  private unwind(index: number): Rebased {
    const rebased = this.told();
    for (const draft of this.drafts.slice(index)) merge(rebased.touched, draft.touched);
    this.drafts[index]?.end.forEach((sql) => this.db.run(sql));
    this.standing = Math.min(index, this.drafts.length);
    return rebased;
  }

  private restore(index: number, rebased: Rebased, end = this.drafts.length): void {
    for (const draft of this.drafts.slice(index, end)) this.reapplyDraft(draft, rebased);
    this.standing = end;
  }

  private attempt(fn: (writer: Writer) => void, check?: Check): Edited {
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

  private confirm(commits: readonly Commit[]): void {
    if (commits.length === 0) return;
    const schema = commits.some((commit) => commit.steps !== undefined);
    const captured = this.edits.capture.ready;
    if (schema) this.edits.capture.remove();
    try {
      this.confirmed.apply(commits, this.edits);
    } finally {
      if (schema) this.readSchema(captured);
    }
  }

  private readSchema(captured: boolean): void {
    this.edits = new Edits(this.db, this.tables);
    if (captured) this.edits.capture.install();
    for (const draft of this.drafts) this.untold.dropped.push(...this.sift(draft));
  }

  private told(): Rebased {
    const told = this.untold;
    this.untold = emptyRebase();
    return told;
  }

  private draft(id: DraftId): Draft {
    return this.drafts[this.indexOf(id)]!;
  }

  private indexOf(id: DraftId): number {
    const index = this.drafts.findIndex((draft) => draft.id === id);
    if (index < 0) throw new Error(`draft ${id} is not open`);
    return index;
  }
}

function emptyRebase(): Rebased {
  return { touched: new Map(), schema: false, failing: [], dropped: [] };
}
