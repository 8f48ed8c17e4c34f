/**
 * Confirmed rows below, pending mutations above them, drafts on top: one database in an always-open transaction.
 *
 * Below the transaction is what the server confirmed, in it what is pending, in a savepoint each draft. A rebase is:
 * roll back, apply what the server ordered, begin, apply the rest again. Synchronous; no I/O, no clock, no randomness.
 */
import type { Db } from '../engine/types.js';
import { Confirmed } from './confirmed.js';
import { Edits } from './edits.js';
import { Draft, isSameId, type Pending } from './layers.js';
import { readRow } from './rows.js';
import { merge, touch } from './touched.js';
import type { Change, Check, Commit, DraftId, Edited, Key, MutationId, Operation, PendOptions, Rebased, Row, TableInfo, Writer } from './types.js';

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
    return this.beneath(0, () => {
      this.drafts.splice(index, 1);
      try {
        return this.attempt((writer) => writer.applyAll(draft.net.changes()), check);
      } catch (error) {
        this.drafts.splice(index, 0, draft);
        throw error;
      }
    });
  }

  /** Takes over pending mutations and drafts of a core whose database was replaced (reset, resync). */
  adopt(previous: Core): Rebased {
    this.layers = previous.layers;
    this.drafts = previous.drafts;
    this.nextDraft = previous.nextDraft;
    return this.rebase(() => {
      if (previous.edits.capture.ready) this.edits.capture.install();
    });
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
    const intents = draft.net.intents();
    const { failures, effects } = this.edits.again(intents);
    rebased.dropped.push(...failures.map((failure) => ({ draft: draft.id, ...failure })));
    draft.refresh(intents, failures, effects);
    merge(rebased.touched, draft.touched);
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
  }

  private told(): Rebased {
    const told = this.untold;
    this.untold = emptyRebase();
    return told;
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
