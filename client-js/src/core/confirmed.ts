/** The confirmed rows: which version they are, and how the server's commits get into them. */
import { readTables } from '../capture/tables.js';
import type { Db } from '../engine/types.js';
import type { Edits } from './edits.js';
import { Diverged } from './errors.js';
import { type Position, readPosition, writeContract, writeVersion } from './position.js';
import type { Commit, TableInfo } from './types.js';
import { applyConfirmed } from './verbatim.js';

export class Confirmed {
  private position: Position;
  tables: Map<string, TableInfo>;

  constructor(private readonly db: Db) {
    this.position = readPosition(db);
    this.tables = readTables(db);
  }

  get version(): number {
    return this.position.version;
  }

  get epoch(): string {
    return this.position.epoch;
  }

  /** The commits that are new here; throws `Diverged` if one is missing before them. */
  fresh(commits: readonly Commit[]): Commit[] {
    const fresh = commits.filter((commit) => commit.v > this.version);
    fresh.forEach((commit, i) => {
      const wanted = this.version + 1 + i;
      if (commit.v !== wanted) throw new Diverged(commit.v, `version ${wanted} is missing`);
    });
    return fresh;
  }

  /**
   * All of them in one transaction, or none and `Diverged`. Outside of a transaction; the capture stays silent.
   * Foreign keys are turned off only where they could do something, because that makes SQLite prepare every
   * statement again.
   */
  apply(commits: readonly Commit[], { capture, references, deferred }: Edits): void {
    const off = !deferred || commits.some((commit) => commit.steps !== undefined || references.mayAct(commit.changes));
    if (off) this.db.all('PRAGMA foreign_keys=OFF');
    try {
      this.transaction(commits.at(-1)!.v, () => {
        capture.turn(false);
        for (const commit of commits) this.write(commit);
        writeVersion(this.db, commits.at(-1)!.v);
        capture.turn(true);
      });
    } catch (error) {
      this.tables = readTables(this.db);
      throw error;
    } finally {
      if (off) this.db.all('PRAGMA foreign_keys=ON');
    }
    this.position.version = commits.at(-1)!.v;
  }

  private transaction(version: number, action: () => void): void {
    this.db.run('BEGIN');
    try {
      action();
      this.db.run('COMMIT');
    } catch (error) {
      this.db.run('ROLLBACK');
      // At COMMIT a reference that points nowhere shows.
      throw error instanceof Diverged ? error : new Diverged(version, String(error), { cause: error });
    }
  }

  private write(commit: Commit): void {
    if (commit.steps !== undefined) this.takeSteps(commit, commit.steps);
    applyConfirmed(this.db, this.tables, commit.v, commit.changes);
  }

  /** The server made them once, from a closed grammar; everybody runs the same text. */
  private takeSteps(commit: Commit, steps: readonly string[]): void {
    try {
      this.db.storedTriggers(true);
      for (const step of steps) this.db.exec(step);
      this.db.storedTriggers(false);
    } catch (error) {
      throw new Diverged(commit.v, String(error), { cause: error });
    }
    writeContract(this.db, commit);
    this.tables = readTables(this.db);
  }
}
