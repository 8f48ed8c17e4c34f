/**
 * Confirmed rows below, pending mutations above them, drafts on top: one database in an always-open transaction.
 *
 * Below the transaction is what the server confirmed, in it what is pending, in a savepoint each draft. A rebase is:
 * roll back, apply what the server ordered, begin, apply the rest again. Synchronous; no I/O, no clock, no randomness.
 */
import type { Db } from '../engine/types.js';
import { Confirmed } from './confirmed.js';
import { type Aside, Draft } from './draft.js';
import { reversed } from './net.js';
import { readRow } from './rows.js';
import { Stack } from './stack.js';
import { touch } from './touched.js';
import type { Change, Check, Commit, DraftId, Edited, Key, MutationId, Operation, PendOptions, Rebased, Row, TableInfo, Touched, Writer } from './types.js';

export class Core {
  private readonly confirmed: Confirmed;
  private readonly stack: Stack;
  private nextDraft = 1;

  /** The database belongs to the core from here on: others only read. */
  constructor(private readonly db: Db) {
    this.confirmed = new Confirmed(db);
    this.stack = new Stack(db, this.tables);
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
    return this.stack.layers.map((layer) => layer.id);
  }

  /**
   * Runs `fn` above pending and below the drafts. If it throws, or `check` does on seeing what happened, nothing of it
   * stays. `pend` must follow if it changed anything.
   */
  edit(fn: (writer: Writer) => void, check?: Check): Edited {
    this.prepareCapture();
    return this.stack.beneath(0, () => this.stack.attempt(fn, check));
  }

  /** Remembers the last edit (or saved draft), to be applied again until it is answered. */
  pend(id: MutationId, operations: readonly Operation[], options: PendOptions = {}): void {
    const touched = touch(new Map(), operations);
    this.stack.layers.push({ id, operations, missing: options.missing ?? 'refuse', touched, failing: false });
  }

  /**
   * Commits contiguous after `version` (earlier ones are skipped), and ids that were settled or refused. Throws `Diverged`.
   * `client` is whose commits are one's own: all others may clash with drafts.
   */
  receive(commits: readonly Commit[], answered: readonly MutationId[] = [], client?: string): Rebased {
    const fresh = this.confirmed.fresh(commits);
    for (const { id, changes, by } of fresh) if (client !== undefined && id?.[0] !== client) for (const draft of this.stack.drafts) draft.meet(changes, by);
    const done = [...answered, ...fresh.flatMap((commit) => (commit.id ? [commit.id] : []))];
    const rebased = this.stack.rebase(() => this.confirm(fresh), done);
    for (const commit of fresh) touch(rebased.touched, commit.changes);
    return { ...rebased, schema: fresh.some((commit) => commit.steps !== undefined) };
  }

  openDraft(): DraftId {
    this.prepareCapture();
    const draft = new Draft(this.nextDraft++);
    this.stack.push(draft);
    return draft.id;
  }

  /** Edits in a draft; drafts opened later lie above it. */
  editDraft(id: DraftId, fn: (writer: Writer) => void, check?: Check): Edited {
    const draft = this.stack.draft(id);
    return this.stack.beneath(this.stack.indexOf(id) + 1, () => {
      const edited = this.stack.attempt(fn, check);
      draft.add(edited);
      if (draft.aside.length > 0) this.stack.settle(draft, edited);
      return edited;
    });
  }

  /** What the draft would send now: one change per row, only properties that differ from what lies below. */
  draftChanges(id: DraftId): Change[] {
    return this.stack.draft(id).net.changes();
  }

  /** What the draft holds, and what it says of itself. It is changed through the core alone. */
  draft(id: DraftId): Draft {
    return this.stack.draft(id);
  }

  /** Whether the draft writes to one of the touched rows. */
  reaches(id: DraftId, touched: Touched): boolean {
    for (const [table, rows] of this.stack.draft(id).touched) for (const key of rows.keys()) if (touched.get(table)?.has(key)) return true;
    return false;
  }

  /**
   * Puts these changes of the draft back to what lies below (`columns`: only these of an update), and forgets what was
   * set aside of them.
   */
  revertDraft(id: DraftId, changes: readonly Change[], isReverted: (operation: Operation) => boolean): Edited {
    const draft = this.stack.draft(id);
    const edited = this.editDraft(id, (writer) => writer.applyAll(changes.toReversed().map(reversed)));
    for (const change of changes) if (change[0] === 'u') draft.net.release(change, Object.keys(change[3]));
    draft.aside = draft.aside.filter(({ operation }) => !isReverted(operation));
    draft.stamp++;
    return edited;
  }

  /** A draft of these operations, as far as they fit; the others are set aside. `bases`: what lay below each, once. */
  restoreDraft(asides: readonly Aside[]): { id: DraftId; rebased: Rebased } {
    const id = this.openDraft();
    const draft = this.stack.draft(id);
    const rebased = this.stack.unwind(this.stack.drafts.length - 1);
    draft.aside = [...asides];
    this.stack.restore(this.stack.drafts.length - 1, rebased);
    return { id, rebased };
  }

  /** Makes a nested draft part of the one that it lies in. If it cannot be, it is still open. */
  saveInto(id: DraftId, parent: DraftId): Edited {
    const into = this.stack.draft(parent);
    const draft = this.stack.draft(id);
    return this.stack.without(draft, () => {
      const edited = this.stack.attempt((writer) => writer.applyAll(draft.net.changes()));
      into.add(edited);
      into.aside.push(...draft.aside);
      return edited;
    }, this.stack.indexOf(parent) + 1);
  }

  /** What `saveDraft` would throw now; nothing changes. */
  judgeDraft(id: DraftId, check: Check, parent?: DraftId): unknown {
    const fine = new Error('it could be saved');
    const draft = this.stack.draft(id);
    try {
      this.stack.without(draft, () => this.stack.attempt((writer) => writer.applyAll(draft.net.changes()), (edited) => {
        check(edited);
        throw fine;
      }), parent === undefined ? 0 : this.stack.indexOf(parent) + 1);
    } catch (error) {
      if (error !== fine) return error;
    }
    return undefined;
  }

  /** Takes the draft away; everything is exactly as if it had never been. */
  cancelDraft(id: DraftId): Rebased {
    const index = this.stack.indexOf(id);
    const rebased = this.stack.unwind(index);
    this.stack.drafts.splice(index, 1);
    this.stack.restore(index, rebased);
    return rebased;
  }

  /**
   * Makes the draft part of the state above pending and returns what to push; `pend` must follow if it is not empty.
   * If `check` throws, the draft is still open.
   */
  saveDraft(id: DraftId, check?: Check): Edited {
    const draft = this.stack.draft(id);
    return this.stack.without(draft, () => this.stack.attempt((writer) => writer.applyAll(draft.net.changes()), check), 0);
  }

  /** Takes over pending mutations and drafts of a core whose database was replaced (reset, resync). */
  adopt(previous: Core): Rebased {
    this.stack.layers = previous.stack.layers;
    this.stack.drafts = previous.stack.drafts;
    this.nextDraft = previous.nextDraft;
    const sifted = this.stack.sift();
    for (const draft of this.stack.drafts) draft.meetAll();
    const rebased = this.stack.rebase(() => {
      if (previous.stack.edits.capture.ready) this.stack.edits.capture.install();
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
    return this.stack.edits.references.users(table, key, row);
  }

  /** The confirmed rows as a database file. */
  exportConfirmed(): Uint8Array {
    let bytes = new Uint8Array();
    this.stack.untold = this.stack.rebase(() => {
      bytes = new Uint8Array(this.db.export());
    });
    return bytes;
  }

  close(): void {
    this.db.close();
  }

  /** Capture is made at the first write: who only looks on never pays for it. */
  private prepareCapture(): void {
    if (!this.stack.edits.capture.ready) this.stack.untold = this.stack.rebase(() => this.stack.edits.capture.install());
  }

  private confirm(commits: readonly Commit[]): void {
    if (commits.length === 0) return;
    const schema = commits.some((commit) => commit.steps !== undefined);
    const captured = this.stack.edits.capture.ready;
    if (schema) this.stack.edits.capture.remove();
    try {
      this.confirmed.apply(commits, this.stack.edits);
    } finally {
      if (schema) this.stack.retable(this.tables, captured);
    }
  }
}
