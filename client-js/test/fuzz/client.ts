/** One client of the model: a core, a queue of pushes, a cursor; every step is checked for what it says it touched. */
import { keyText } from '../../src/capture/wire.js';
import { Core } from '../../src/core/core.js';
import { CannotApply } from '../../src/core/errors.js';
import type { Touched, Writer } from '../../src/core/types.js';
import type { Db, Engine } from '../../src/engine/types.js';
import type { Push, Server } from './server.js';

export class Client {
  readonly db: Db;
  readonly core: Core;
  readonly drafts: number[] = [];
  /** Not answered yet, in order. */
  queue: Push[] = [];
  private counter = 0;
  private heard = 0;

  constructor(
    readonly name: string,
    engine: Engine,
    file: Uint8Array,
  ) {
    this.db = engine.open(file);
    this.core = new Core(this.db);
  }

  edit(fn: (writer: Writer) => void, missing: 'refuse' | 'skip'): void {
    this.checked(() => {
      const edited = this.core.edit(fn);
      this.push(edited.changes, missing);
      return edited.touched;
    });
  }

  openDraft(): void {
    this.drafts.push(this.core.openDraft());
  }

  editDraft(draft: number, fn: (writer: Writer) => void): void {
    this.checked(() => this.core.editDraft(draft, fn).touched);
  }

  cancelDraft(draft: number): void {
    this.drafts.splice(this.drafts.indexOf(draft), 1);
    this.checked(() => this.core.cancelDraft(draft).touched);
  }

  saveDraft(draft: number): void {
    this.checked(() => {
      const edited = this.core.saveDraft(draft);
      this.drafts.splice(this.drafts.indexOf(draft), 1);
      this.push(edited.changes, 'skip');
      return edited.touched;
    });
  }

  /** Sends some of what is unanswered, from the oldest on: often a second time. */
  send(server: Server, count: number): void {
    this.queue.slice(0, count).forEach((push) => server.take(push));
  }

  /** Hears of some more versions, some of them again, and of the answers up to there. */
  hear(server: Server, count: number, again: number): void {
    const upTo = Math.min(this.core.version + count, server.version);
    const commits = server.commits.slice(Math.max(0, this.core.version - 1 - again), upTo - 1);
    const answers = server.answers.slice(this.heard).filter((answer) => answer.version <= upTo);
    this.heard += answers.length;
    const mine = answers.filter((answer) => answer.id[0] === this.name).map((answer) => answer.id);
    this.checked(() => this.core.receive(commits, mine).touched);
    const open = new Set(this.core.pending.map(String));
    this.queue = this.queue.filter((push) => open.has(String(push.id)));
  }

  private push(changes: Push['operations'], missing: 'refuse' | 'skip'): void {
    if (changes.length === 0) return;
    const id: Push['id'] = [this.name, ++this.counter];
    this.core.pend(id, changes, { missing });
    this.queue.push({ id, operations: changes, missing });
  }

  /** Whatever looks different afterwards must have been named; a step that cannot be done changes nothing. */
  private checked(step: () => Touched): void {
    const before = this.cells();
    let touched: Touched = new Map();
    try {
      touched = step();
    } catch (error) {
      if (!(error instanceof CannotApply)) throw error;
    }
    const after = this.cells();
    for (const place of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(place) !== after.get(place) && !names(touched, place)) throw new Error(`${place} changed in silence`);
    }
  }

  private cells(): Map<string, string> {
    const cells = new Map<string, string>();
    for (const table of this.core.tables.values()) {
      for (const row of this.db.all(`SELECT * FROM "${table.name}"`)) {
        const key = keyText(table.key.map((column) => row[table.columns.indexOf(column)]!));
        table.columns.forEach((column, i) => cells.set(JSON.stringify([table.name, key, column]), `${typeof row[i]} ${String(row[i])}`));
      }
    }
    return cells;
  }
}

function names(touched: Touched, place: string): boolean {
  const [table, key, column] = JSON.parse(place) as [string, string, string];
  const columns = touched.get(table)?.get(key);
  return columns === 'row' || columns?.has(column) === true;
}
