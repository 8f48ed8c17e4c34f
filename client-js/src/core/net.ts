/** Nets changes to at most one per row: only properties that differ in the end, nothing for what was put back. */
import { sameCell } from '../capture/capture.js';
import { keyText, row } from '../capture/wire.js';
import type { Cell, Change, Key, Operation, Row } from './types.js';

/** One row over some changes. `whole`: `old` is the whole row, cells it lacks were NULL. */
interface Entry {
  table: string;
  key: Key;
  before: boolean;
  after: boolean;
  whole: boolean;
  old: Row;
  now: Row;
}

export function net(changes: readonly Change[]): Change[] {
  const all = new Net();
  changes.forEach((change) => all.add(change));
  return all.changes();
}

export class Net {
  private readonly entries = new Map<string, Entry>();

  get empty(): boolean {
    return this.entries.size === 0;
  }

  add(change: Change): void {
    const id = idOf(change);
    const entry = this.entries.get(id);
    if (entry === undefined) {
      this.entries.set(id, firstEntry(change));
      return;
    }
    if (change[0] === 'd') {
      // Deletes go in the order in which they happened: children of a cascade before their parent.
      this.entries.delete(id);
      this.entries.set(id, entry);
    }
    fold(entry, change);
    if (isNothing(entry)) this.entries.delete(id);
  }

  /**
   * Updates and inserts in the order in which rows were first touched, then the deletes: a row that left its parent
   * has left before the parent goes.
   */
  changes(): Change[] {
    const made = [...this.entries.values()].map(toChange).filter((change) => change !== undefined);
    return [...made.filter((change) => change[0] !== 'd'), ...made.filter((change) => change[0] === 'd')];
  }

  /** Like `changes`, but with the properties that happen to be equal to what lies below at present. */
  intents(): Change[] {
    const made = [...this.entries.values()].map((entry) => toIntent(entry));
    return [...made.filter((change) => change[0] !== 'd'), ...made.filter((change) => change[0] === 'd')];
  }

  /** After re-application upon other rows: `effect` is what the row's intent did there, undefined if nothing. */
  refresh(intent: Change, effect: Change | undefined): void {
    const id = idOf(intent);
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    if (intent[0] === 'd') this.refreshDelete(id, entry, effect);
    if (intent[0] !== 'u') return;
    entry.whole = false;
    entry.now = row(Object.entries(intent[3]));
    entry.old = row(Object.keys(entry.now).map((column) => [column, oldCell(effect, column, entry.now)] as const));
  }

  /** Where somebody else wrote in between, what this change found counts as the old value, not what was there at first. */
  meet(change: Change): void {
    const entry = this.entries.get(idOf(change));
    if (entry === undefined || entry.whole || change[0] !== 'u') return;
    for (const column of Object.keys(change[3])) {
      if (!(column in entry.now) || sameCell(entry.now[column]!, change[4][column] ?? null)) continue;
      delete entry.now[column];
      delete entry.old[column];
    }
  }

  /** What is netted for the row of a change, as `intents` tells it. */
  intent(change: readonly [string, string, Key, ...unknown[]]): Change | undefined {
    const entry = this.entries.get(idOf(change));
    return entry && toIntent(entry);
  }

  forget(operation: Operation): void {
    this.entries.delete(idOf(operation));
  }

  /** Forgets these properties of a row, whatever was done to them. */
  release(change: readonly [string, string, Key, ...unknown[]], columns: readonly string[]): void {
    const entry = this.entries.get(idOf(change));
    if (entry === undefined || !entry.after) return;
    for (const column of columns) {
      delete entry.now[column];
      delete entry.old[column];
    }
    if (entry.before && Object.keys({ ...entry.now, ...entry.old }).length === 0) this.entries.delete(idOf(change));
  }

  private refreshDelete(id: string, entry: Entry, effect: Change | undefined): void {
    if (effect?.[0] === 'd') entry.old = row(Object.entries(effect[4]));
    else this.entries.delete(id);
  }
}

function oldCell(effect: Change | undefined, column: string, now: Row): Cell {
  return (effect?.[0] === 'u' && column in effect[4] ? effect[4][column] : now[column]) ?? null;
}

/** What leads from after a change to before it. */
export function reversed([op, table, key, now, old]: Change): Change {
  if (op === 'i') return ['d', table, key, null, now];
  if (op === 'd') return ['i', table, key, old];
  return ['u', table, key, old, now];
}

export function idOf(change: readonly [string, string, Key, ...unknown[]]): string {
  return `${change[1]} ${keyText(change[2])}`;
}

function firstEntry(change: Change): Entry {
  const [op, table, key, now, old] = change;
  return {
    table,
    key,
    before: op !== 'i',
    after: op !== 'd',
    whole: op !== 'u',
    old: row(Object.entries(old ?? {})),
    now: row(Object.entries(now ?? {})),
  };
}

function fold(entry: Entry, change: Change): void {
  if (change[0] === 'u') foldUpdate(entry, change[3], change[4]);
  else if (change[0] === 'i') foldInsert(entry, change[3]);
  else foldDelete(entry, change[4]);
}

function foldUpdate(entry: Entry, now: Row, old: Row): void {
  for (const column of Object.keys(now)) {
    if (!entry.whole && !(column in entry.old)) entry.old[column] = old[column] ?? null;
    entry.now[column] = now[column] ?? null;
    if (!entry.whole && sameCell(entry.old[column]!, entry.now[column]!)) {
      delete entry.old[column];
      delete entry.now[column];
    }
  }
}

function foldInsert(entry: Entry, now: Row): void {
  entry.now = row(Object.entries(now));
  entry.after = true;
}

function foldDelete(entry: Entry, old: Row): void {
  if (!entry.whole) entry.old = row([...Object.entries(old), ...Object.entries(entry.old)]);
  entry.whole = true;
  entry.after = false;
  entry.now = row();
}

function isNothing(entry: Entry): boolean {
  if (!entry.before && !entry.after) return true;
  return entry.before && entry.after && differing(entry).length === 0;
}

function differing(entry: Entry): string[] {
  const columns = new Set([...Object.keys(entry.old), ...Object.keys(entry.now)]);
  return [...columns].filter((column) => !sameCell(entry.old[column] ?? null, entry.now[column] ?? null));
}

function toChange(entry: Entry): Change | undefined {
  if (!entry.before || !entry.after) return isNothing(entry) ? undefined : toIntent(entry);
  const columns = differing(entry);
  return columns.length === 0 ? undefined : update(entry, columns);
}

function toIntent(entry: Entry): Change {
  const { table, key, before, after } = entry;
  if (!before) return ['i', table, key, withoutNulls(entry.now)];
  if (!after) return ['d', table, key, null, withoutNulls(entry.old)];
  return update(entry, [...new Set([...Object.keys(entry.old), ...Object.keys(entry.now)])]);
}

function update(entry: Entry, columns: readonly string[]): Change {
  return ['u', entry.table, entry.key, pick(entry.now, columns), pick(entry.old, columns)];
}

function pick(cells: Row, columns: readonly string[]): Row {
  return row(columns.map((column) => [column, cells[column] ?? null] as const));
}

function withoutNulls(cells: Row): Row {
  return row(Object.entries(cells).filter(([, cell]) => cell !== null));
}
