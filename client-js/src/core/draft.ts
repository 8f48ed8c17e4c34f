/** What one draft holds: its edits netted, what lay below them, what others have changed of it, and what does not fit. */
import { sameCell } from '../capture/capture.js';
import { encodeValue, row } from '../capture/wire.js';
import { CannotApply } from './errors.js';
import { idOf, Net, net } from './net.js';
import type { Failure } from './operations.js';
import { merge, touch } from './touched.js';
import type { Cell, Change, DraftId, Edited, Key, Operation, Row, TableInfo, Touched } from './types.js';

/** An edit of a draft that does not fit the rows at present. It is tried again whenever they change. */
export interface Aside extends Failure {
  /** What lay below its properties when they were first written. */
  base: Row;
}

/** A property that the draft has set and somebody else has changed; without a column: a row that the draft deletes. */
export interface Clash {
  table: string;
  key: Key;
  column?: string;
  theirs: Cell;
  mine: Cell;
  by?: string;
}

/** In place of a column: the row came or went, or nobody knows. */
const ALL = '*';

export class Draft {
  readonly net = new Net();
  touched: Touched = new Map();
  aside: Aside[] = [];
  /** Moves on whenever what the draft holds, or what it says of itself, may differ. */
  stamp = 0;
  /** By row: what lay below each property when the draft first wrote it, or when the person has seen theirs. */
  private readonly bases = new Map<string, Row>();
  /** By row and column (or `ALL`): who else has written there since. */
  private readonly met = new Map<string, Map<string, string | undefined>>();

  constructor(readonly id: DraftId) {}

  get begin(): string {
    return `SAVEPOINT draft_${this.id}`;
  }

  /** Ends it and every draft above it. */
  get end(): string[] {
    return [`ROLLBACK TO draft_${this.id}`, `RELEASE draft_${this.id}`];
  }

  add(edited: Pick<Edited, 'changes' | 'touched'>): void {
    for (const change of edited.changes) {
      this.net.add(change);
      this.rebase(change);
    }
    merge(this.touched, edited.touched);
    this.stamp++;
  }

  /** A commit of somebody else; `by` is his name. */
  meet(changes: readonly Change[], by: string | undefined): void {
    for (const change of changes) if (this.net.intent(change) !== undefined) this.note(change, change[0] === 'u' ? Object.keys(change[3]) : [ALL], by);
  }

  /** Nobody knows what happened meanwhile: every difference from what lay below is somebody else's. */
  meetAll(): void {
    for (const intent of this.net.intents()) this.note(intent, [ALL], undefined);
  }

  /** Takes out what the tables do not have (any more). */
  sift(tables: ReadonlyMap<string, TableInfo>): Failure[] {
    return this.net.intents().flatMap((intent) => {
      const [op, table, key, now] = intent;
      const types = tables.get(table)?.types;
      const gone = types && op !== 'd' ? Object.keys(now).filter((column) => !types.has(column)) : [];
      if (types === undefined || key.length !== tables.get(table)!.key.length) return this.setAside(intent, new CannotApply('invalid', `the contract has no table ${table} with this key any more`, table, key));
      if (gone.length === 0) return [];
      const error = new CannotApply('invalid', `${table} has no ${gone.join(', ')} any more`, table, key);
      const cells = row(gone.map((column) => [column, now![column]!] as const));
      this.aside.push({ operation: ['u', table, key, cells], error, base: this.baseOf(intent, gone) });
      this.net.release(intent, gone);
      this.stamp++;
      return [{ operation: ['u', table, key, cells], error }];
    });
  }

  setAside(operation: Operation, error: Error): Failure[] {
    const columns = operation[0] === 'u' || operation[0] === 's' ? Object.keys(operation[3]) : [];
    this.aside.push({ operation, error, base: this.baseOf(operation, columns) });
    if (operation[0] === 'u') this.net.release(operation, columns);
    else this.net.forget(operation);
    this.forgetBases(operation);
    this.stamp++;
    return [{ operation, error }];
  }

  /** What the person writes takes the place of what was set aside there. */
  supersede(changes: readonly Change[]): void {
    this.aside = this.aside.flatMap((aside) => {
      const [op, table, key, now] = aside.operation;
      const mine = changes.filter((change) => idOf(change) === idOf(aside.operation));
      if (mine.some((change) => change[0] !== 'u')) return [];
      if (op !== 'u' || mine.length === 0) return [aside];
      const left = Object.entries(now).filter(([column]) => !mine.some((change) => column in change[3]!));
      return left.length === 0 ? [] : [{ ...aside, operation: ['u', table, key, row(left)] }];
    });
  }

  /** It fits again. */
  takeUp(aside: Aside, effects: readonly Change[]): void {
    this.add({ changes: net(effects), touched: touch(new Map(), effects) });
    const base = this.bases.get(idOf(aside.operation));
    if (base !== undefined) Object.assign(base, pick(aside.base, Object.keys(base)));
    this.note(aside.operation, [ALL], undefined);
  }

  /** After its intents were applied upon other rows: what they did there is what it would send now. */
  refresh(intents: readonly Change[], effects: readonly Change[]): void {
    const byRow = new Map(net(effects).map((effect) => [idOf(effect), effect]));
    for (const intent of intents) {
      const before = textOf(this.clashesOf(intent));
      this.net.refresh(intent, byRow.get(idOf(intent)));
      this.follow(this.net.intent(intent));
      if (textOf(this.clashesOf(this.net.intent(intent))) !== before) this.stamp++;
    }
    this.touched = touch(new Map(), effects);
  }

  /** Everything in it as changes whose old values are what lay below when it began to write there. */
  holdings(): Change[] {
    const held = this.net.intents().map((intent): Change => {
      if (intent[0] === 'i') return intent;
      const base = this.bases.get(idOf(intent)) ?? row();
      return intent[0] === 'u' ? ['u', intent[1], intent[2], intent[3], base] : ['d', intent[1], intent[2], null, base];
    });
    return [...held, ...this.aside.map(({ operation: [op, table, key, now], base }): Change =>
      op === 'd' ? ['d', table, key, null, base] : op === 'u' ? ['u', table, key, now, base] : ['i', table, key, now])];
  }

  clashes(): Clash[] {
    return this.met.size === 0 ? [] : this.net.intents().flatMap((intent) => this.clashesOf(intent));
  }

  /** Theirs has been seen: what lies below now is what mine is held against. */
  settle(change: readonly [string, string, Key, ...unknown[]], columns: readonly string[] | undefined): void {
    const intent = this.net.intent(change);
    const base = intent && this.bases.get(idOf(intent));
    if (base === undefined || intent![0] === 'i') return;
    const old = intent![4];
    for (const column of columns ?? Object.keys({ ...base, ...old })) base[column] = old[column] ?? null;
    this.stamp++;
  }

  /** What one writes oneself below the draft is nobody's conflict. */
  private follow(intent: Change | undefined): void {
    const base = intent && this.bases.get(idOf(intent));
    if (base === undefined || intent![0] === 'i') return;
    for (const column of Object.keys(base)) if (!this.hasMet(intent!, column)) base[column] = intent![4][column] ?? null;
  }

  private note(operation: Operation, columns: readonly string[], by: string | undefined): void {
    const known = this.met.get(idOf(operation)) ?? new Map<string, string | undefined>();
    this.met.set(idOf(operation), known);
    for (const column of columns) known.set(column, by);
  }

  private hasMet(change: Change, column: string): boolean {
    const met = this.met.get(idOf(change));
    return met !== undefined && (met.has(column) || met.has(ALL));
  }

  private clashesOf(intent: Change | undefined): Clash[] {
    const met = intent && this.met.get(idOf(intent));
    if (met === undefined || intent === undefined || intent[0] === 'i') return [];
    const [op, table, key, now, old] = intent;
    const base = this.bases.get(idOf(intent)) ?? row();
    const differs = (column: string): boolean => this.hasMet(intent, column) && !sameCell(base[column] ?? null, old[column] ?? null);
    const clash = (column: string): Pick<Clash, 'table' | 'key' | 'by'> => {
      const by = met.get(column) ?? met.get(ALL);
      return { table, key, ...(by === undefined ? {} : { by }) };
    };
    if (op === 'd') return Object.keys({ ...base, ...old }).filter(differs).slice(0, 1).map((column) => ({ ...clash(column), theirs: null, mine: null }));
    return Object.keys(now)
      .filter((column) => column in base && differs(column) && !sameCell(now[column]!, old[column] ?? null))
      .map((column) => ({ ...clash(column), column, theirs: old[column] ?? null, mine: now[column]! }));
  }

  /** Remembers what lay below where the draft writes for the first time, and forgets it where it writes no more. */
  private rebase(change: Change): void {
    const intent = this.net.intent(change);
    if (intent === undefined || intent[0] === 'i') return this.forgetBases(change);
    const id = idOf(intent);
    const known = this.bases.get(id) ?? row();
    const old = intent[4];
    const columns = intent[0] === 'd' ? Object.keys({ ...known, ...old }) : Object.keys(intent[3]);
    this.bases.set(id, row(columns.map((column) => [column, (column in known ? known[column] : old[column]) ?? null] as const)));
  }

  private forgetBases(operation: Operation): void {
    if (this.net.intent(operation) !== undefined) return;
    this.bases.delete(idOf(operation));
    this.met.delete(idOf(operation));
  }

  private baseOf(operation: Operation, columns: readonly string[]): Row {
    return pick(this.bases.get(idOf(operation)) ?? row(), columns);
  }
}

function textOf(clashes: readonly Clash[]): string {
  return JSON.stringify(clashes.map(({ column, theirs, mine }) => [column, encodeValue(theirs), encodeValue(mine)]));
}

function pick(cells: Row, columns: readonly string[]): Row {
  return row(columns.filter((column) => column in cells).map((column) => [column, cells[column]!] as const));
}
