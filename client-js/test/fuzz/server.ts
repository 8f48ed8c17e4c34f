/** A server in memory, as small as it can be: takes pushes in order, judges them, answers each id once. */
import { Capture } from '../../src/capture/capture.js';
import { readTables } from '../../src/capture/tables.js';
import { Operations } from '../../src/core/operations.js';
import type { Change, Commit, MutationId, Operation, TableInfo } from '../../src/core/types.js';
import type { Db } from '../../src/engine/types.js';

export interface Push {
  id: MutationId;
  operations: readonly Operation[];
  missing: 'refuse' | 'skip';
}

/** Refused or settled at a version; a commit answers for itself. */
export interface Answer {
  id: MutationId;
  version: number;
}

export class Server {
  readonly commits: Commit[] = [];
  readonly answers: Answer[] = [];
  readonly tables: Map<string, TableInfo>;
  refused = 0;
  private readonly capture: Capture;
  private readonly answered = new Set<string>();

  constructor(readonly db: Db) {
    this.tables = readTables(db);
    this.capture = new Capture(db, this.tables.values());
    this.capture.install();
  }

  get version(): number {
    return 1 + this.commits.length;
  }

  /** A repeat has no effect: its answer is on its way already. */
  take({ id, operations, missing }: Push): void {
    const name = id.join();
    if (this.answered.has(name)) return;
    this.answered.add(name);
    const changes = this.judge(operations, missing);
    if (changes !== undefined && changes.length > 0) this.commits.push({ v: this.version + 1, kind: 'edit', changes, id });
    else this.answers.push({ id, version: this.version });
    if (changes === undefined) this.refused++;
  }

  private judge(operations: readonly Operation[], missing: 'refuse' | 'skip'): Change[] | undefined {
    this.db.run('BEGIN');
    this.db.all('PRAGMA defer_foreign_keys=ON');
    const failed = new Operations(this.db, this.tables).applyAll(operations, missing).length > 0;
    const changes = this.capture.drain();
    const bad = failed || this.breaksTheRules();
    this.db.run(bad ? 'ROLLBACK' : 'COMMIT');
    return bad ? undefined : changes;
  }

  private breaksTheRules(): boolean {
    return this.db.all('PRAGMA foreign_key_check').length > 0 || this.db.get('SELECT 1 FROM node WHERE x > 100') !== undefined;
  }
}
