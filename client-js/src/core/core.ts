/**
 * Confirmed rows below, pending mutations above them, drafts on top: one database in an always-open transaction.
 *
 * Below the transaction is what the server confirmed, in it what is pending, in a savepoint each draft. A rebase is:
 * roll back, apply what the server ordered, begin, apply the rest again. Synchronous; no I/O, no clock, no randomness.
 */
import { Capture } from '../capture/capture.js';
import type { Value } from '../api.js';
import type { Cell, Db } from '../engine/types.js';
import { Confirmed } from './confirmed.js';
import { CannotApply, explained } from './errors.js';
import { guardStatement } from './guard.js';
import { Draft, isSameId, type Pending } from './layers.js';
import { idOf, net } from './net.js';
import { Operations } from './operations.js';
import { difference, readRow, tellWhatHappened } from './rows.js';
import { merge, touch } from './touched.js';
import type { Change, Check, Commit, DraftId, Edited, MutationId, Operation, PendOptions, Rebased, Row, TableInfo, Writer } from './types.js';

export class Core {
  private readonly confirmed: Confirmed;
  private capture: Capture;
  private operations: Operations;
  private layers: Pending[] = [];
  private drafts: Draft[] = [];
  private nextDraft = 1;
  /** How many drafts lie on the rows at this moment; the others are about to be put back. */
  private standing = 0;
  private ranSql = false;
  private readonly writer: Writer = {
    apply: (operation) => this.operations.apply(operation),
    applyAll: (operations) => this.applyAll(operations),
    sql: (sql, params) => this.sql(sql, params),
  };

  /** The database belongs to the core from here on: others only read. */
  constructor(private readonly db: Db) {
    this.confirmed = new Confirmed(db);
    this.capture = new Capture(db, this.tables.values());
    this.operations = new Operations(db, this.tables);
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

  /** Commits contiguous after `version` (earlier ones are skipped), and ids that were settled or refused. Throws `Diverged`. */
  receive(commits: readonly Commit[], answered: readonly MutationId[] = []): Rebased {
    const fresh = this.confirmed.fresh(commits);
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
    const index = this.indexOf(id);
    const draft = this.drafts[index]!;
    return this.beneath(index + 1, () => {
      const edited = this.attempt(fn, check);
      draft.add(edited);
      return edited;
    });
  }

  /** What the draft would send now: one change per row, only properties that differ from what lies below. */
  draftChanges(id: DraftId): Change[] {
    return this.drafts[this.indexOf(id)]!.net.changes();
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
    const index = this.indexOf(id);
    const draft = this.drafts[index]!;
    const rebased = this.unwind(0);
    this.drafts.splice(index, 1);
    try {
      const edited = this.attempt((writer) => writer.applyAll(draft.net.changes()), check);
      merge(rebased.touched, edited.touched);
      return { changes: edited.changes, touched: rebased.touched, dropped: rebased.dropped };
    } catch (error) {
      this.drafts.splice(index, 0, draft);
      throw error;
    } finally {
      this.restore(0, rebased);
    }
  }

  /** Takes over pending mutations and drafts of a core whose database was replaced (reset, resync). */
  adopt(previous: Core): Rebased {
    this.layers = previous.layers;
    this.drafts = previous.drafts;
    this.nextDraft = previous.nextDraft;
    return this.rebase(() => {
      if (previous.capture.ready) this.capture.install();
    });
  }

  /** The confirmed rows as a database file. */
  exportConfirmed(): Uint8Array {
    let bytes = new Uint8Array();
    this.rebase(() => {
      bytes = new Uint8Array(this.db.export());
    });
    return bytes;
  }

  close(): void {
    this.db.close();
  }

  private begin(): void {
    this.db.run('BEGIN');
    // References are judged at the end of a mutation, by the server: its rows may come in any order.
    this.db.all('PRAGMA defer_foreign_keys=ON');
  }

  /** Capture is made at the first write: who only looks on never pays for it. */
  private prepareCapture(): void {
    if (!this.capture.ready) this.rebase(() => this.capture.install());
  }

  /** Everything above the confirmed rows away, something done to them, everything back. */
  private rebase(below: () => void, done: readonly MutationId[] = []): Rebased {
    const rebased = emptyRebase();
    for (const layer of [...this.layers, ...this.drafts]) merge(rebased.touched, layer.touched);
    this.db.run('ROLLBACK');
    try {
      below();
      this.layers = this.layers.filter((layer) => !done.some((id) => isSameId(id, layer.id)));
    } finally {
      this.reapply(rebased);
    }
    return rebased;
  }

  private reapply(rebased: Rebased, drafts = this.drafts.length): void {
    this.begin();
    this.standing = 0;
    for (const layer of this.layers) this.reapplyPending(layer, rebased);
    this.restore(0, rebased, drafts);
  }

  /** One that does not apply stays: only the server decides, and it may see other rows than we do now. */
  private reapplyPending(layer: Pending, rebased: Rebased): void {
    layer.touched = new Map();
    layer.failing = !this.savepoint(() => {
      const failures = this.operations.applyAll(layer.operations, layer.missing);
      touch(layer.touched, this.capture.drain());
      return failures.length === 0;
    });
    if (layer.failing) rebased.failing.push(layer.id);
    merge(rebased.touched, layer.touched);
  }

  private reapplyDraft(draft: Draft, rebased: Rebased): void {
    this.db.run(draft.begin);
    const intents = draft.net.intents();
    const failures = this.operations.applyAll(intents);
    rebased.dropped.push(...failures.map((failure) => ({ draft: draft.id, ...failure })));
    draft.refresh(intents, failures, this.capture.drain());
    merge(rebased.touched, draft.touched);
  }

  /** Does something below the drafts from `index` on, and puts these back above it. */
  private beneath(index: number, action: () => Edited): Edited {
    if (index === this.drafts.length) return action();
    const rebased = this.unwind(index);
    try {
      const edited = action();
      merge(rebased.touched, edited.touched);
      return { changes: edited.changes, touched: rebased.touched, dropped: rebased.dropped };
    } finally {
      this.restore(index, rebased);
    }
  }

  private unwind(index: number): Rebased {
    const rebased = emptyRebase();
    for (const draft of this.drafts.slice(index)) merge(rebased.touched, draft.touched);
    this.drafts[index]?.end.forEach((sql) => this.db.run(sql));
    this.standing = index;
    return rebased;
  }

  private restore(index: number, rebased: Rebased, end = this.drafts.length): void {
    for (const draft of this.drafts.slice(index, end)) this.reapplyDraft(draft, rebased);
    this.standing = end;
  }

  private attempt(fn: (writer: Writer) => void, check: Check = () => undefined): Edited {
    const edited: Edited = { changes: [], touched: new Map(), dropped: [] };
    this.savepoint(() => {
      this.ranSql = false;
      fn(this.writer);
      const happened = this.verified(this.capture.drain());
      edited.changes = net(happened);
      touch(edited.touched, happened);
      check(edited);
      return true;
    });
    return edited;
  }

  /**
   * SQL may do things that SQLite tells in another order than they happened (a cascade that changes a key of its own
   * table). Then the rows are read as they are and as they were, and exactly that difference is done instead.
   */
  private verified(happened: Change[]): Change[] {
    if (!this.ranSql || tellWhatHappened(this.db, this.tables, happened)) return happened;
    const places = [...new Map(happened.map((change) => [idOf(change), change])).values()];
    const read = (): (Row | undefined)[] => places.map(([, table, key]) => readRow(this.db, this.tables.get(table)!, key));
    const after = read();
    this.db.run('ROLLBACK TO edit');
    const before = read();
    const changes = places.map(([, table, key], i) => difference(table, key, before[i], after[i]));
    this.applyAll(net(changes.filter((change) => change !== undefined)));
    const restated = this.capture.drain();
    if (tellWhatHappened(this.db, this.tables, restated)) return restated;
    throw new CannotApply('failed', 'this SQL changes keys and references in a way that cannot be told as changes of rows');
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

  private applyAll(operations: readonly Operation[]): void {
    const failed = this.operations.applyAll(operations)[0];
    if (failed) throw failed.error;
  }

  private sql(sql: string, params?: readonly Cell[]): Value[][] {
    guardStatement(sql);
    this.ranSql = true;
    try {
      return this.db.all(sql, params);
    } catch (error) {
      throw explained(error, sql);
    }
  }

  private confirm(commits: readonly Commit[]): void {
    if (commits.length === 0) return;
    const schema = commits.some((commit) => commit.steps !== undefined);
    const captured = this.capture.ready;
    if (schema) this.capture.remove();
    try {
      this.confirmed.apply(commits, this.capture);
    } finally {
      if (schema) this.readSchema(captured);
    }
  }

  private readSchema(captured: boolean): void {
    this.capture = new Capture(this.db, this.tables.values());
    this.operations = new Operations(this.db, this.tables);
    if (captured) this.capture.install();
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
