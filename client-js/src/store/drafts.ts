/** The drafts of a store: what is in them, what of it others have changed, and what does not fit any more. */
import type { Conflict, DraftOptions, Fault, LostEdit, Sent, Tx, WriteOptions } from '../api.js';
import { decodeChange, encodeChange, type WireChange } from '../capture/wire.js';
import type { Contract, Table } from '../contract/model.js';
import { showLeaf } from '../contract/show.js';
import { CannotApply } from '../core/errors.js';
import type { Aside } from '../core/draft.js';
import { merge } from '../core/touched.js';
import type { Cell, Change, Check, DraftId, Edited, Key, Operation, Rebased, Touched, Writer } from '../core/types.js';
import { StoreError, invalid } from '../errors.js';
import { placed } from '../paths/faults.js';
import { changedPaths, rowPath } from '../paths/of.js';
import { Callbacks } from './callbacks.js';
import { LocalDraft } from './draft.js';
import type { Loaded } from './loaded.js';
import type { TxBody } from './tx.js';
import { asStoreError } from './tx.js';

/** What drafts ask of their store. */
export interface DraftHost {
  readonly loaded: Loaded;
  readonly closed: boolean;
  /** Throws StoreError where nobody may write now. */
  mayWrite(): void;
  mustNotBeWriting(): void;
  /** Runs a step of the core, and tells what it touched. */
  step<T extends Pick<Rebased, 'touched'>>(fn: () => T, origin?: 'draft' | 'remote'): T;
  save(edit: (check: Check) => Edited, options: WriteOptions): Sent | undefined;
  body(writer: Writer): TxBody;
}

/** A draft as it is kept while the page is away. */
export interface DraftState {
  name?: string;
  scope: string[];
  /** Updates and deletes hold as old values what lay below when the draft began to write there. */
  changes: WireChange[];
}

export class Drafts {
  /** Open ones, in the order in which they lie upon each other. */
  readonly open: LocalDraft[] = [];
  /** Saved, and not answered yet. */
  readonly sending = new Set<LocalDraft>();
  /** A draft was opened, has changed, or is open no more. */
  readonly changed = new Callbacks<[]>();
  /** The store is about to be closed; a page that is left may do that before others hear of it. */
  readonly leaving = new Callbacks<[]>();

  constructor(private readonly host: DraftHost) {}

  begin(scope: readonly string[], options: DraftOptions, parent?: LocalDraft): LocalDraft {
    this.host.mayWrite();
    for (const path of scope) this.host.loaded.place(path);
    return this.added(new LocalDraft(this, this.core.openDraft(), scope.map((path) => this.host.loaded.place(path).path), options, parent));
  }

  /** As it was, as far as it still fits; undefined if nothing of it differs from what is there. */
  restore({ scope, changes, ...options }: DraftState, parent?: LocalDraft): LocalDraft | undefined {
    const id = this.refill(changes);
    const draft = new LocalDraft(this, id, scope, options, parent);
    this.added(draft);
    if (this.core.draftChanges(id).length + this.core.draft(id).aside.length > 0) return draft;
    draft.cancel();
    return undefined;
  }

  /** The content of a draft upon the rows as they are now. */
  refill(changes: readonly WireChange[]): DraftId {
    this.host.mayWrite();
    const asides = changes.map((change) => asideOf(decodeChange(change)));
    let id = 0;
    this.host.step(() => {
      const restored = this.core.restoreDraft(asides);
      id = restored.id;
      return restored.rebased;
    });
    return id;
  }

  /**
   * Lays changes of somebody else over everything, in place of what `id` names, in one step; none: takes them away. They
   * are nobody's draft here: neither kept nor sent.
   */
  overlay(id: DraftId | undefined, changes: readonly Change[]): DraftId | undefined {
    this.host.mustNotBeWriting();
    let made: DraftId | undefined;
    if (id === undefined && changes.length === 0) return undefined;
    this.host.step(() => {
      const touched: Touched = id === undefined ? new Map() : this.core.cancelDraft(id).touched;
      if (changes.length === 0) return { touched };
      const restored = this.core.restoreDraft(changes.map(asideOf));
      made = restored.id;
      return { touched: merge(touched, restored.rebased.touched) };
    }, 'remote');
    return made;
  }

  /** What is to be there after a reload: open drafts, and saved ones whose answer is not there yet. */
  toKeep(): [LocalDraft, DraftState][] {
    return [...this.sending, ...this.open].map((draft) => [draft, draft.open ? this.state(draft) : draft.lastState]);
  }

  state({ core: id, scope, name }: LocalDraft): DraftState {
    const { core } = this;
    const changes = core.draft(id).holdings().map((change) => encodeChange(change, core.tables.get(change[1])?.types ?? new Map()));
    return { ...(name === undefined ? {} : { name }), scope: [...scope], changes };
  }

  edit({ core: id, scope }: LocalDraft, fn: (t: Tx) => void): void {
    this.host.mayWrite();
    const inScope: Check = ({ changes }) => this.refuseOutside(scope, changes);
    this.host.step(() => this.core.editDraft(id, (writer) => this.host.body(writer).run(fn), scope.length > 0 ? inScope : undefined));
  }

  cancel(draft: LocalDraft): void {
    if (this.host.closed) return;
    this.host.mustNotBeWriting();
    this.closed(draft);
    this.host.step(() => this.core.cancelDraft(draft.core));
    this.changed.emit();
  }

  save(draft: LocalDraft, options: WriteOptions): Sent | undefined {
    this.host.mayWrite();
    const sent = this.host.save((check) => {
      const edited = this.core.saveDraft(draft.core, check);
      this.closed(draft);
      return edited;
    }, { missing: 'skip', ...options });
    this.changed.emit();
    return sent;
  }

  saveInto(draft: LocalDraft, parent: LocalDraft): void {
    this.host.mayWrite();
    this.host.step(() => {
      const edited = this.core.saveInto(draft.core, parent.core);
      this.closed(draft);
      return edited;
    });
    this.changed.emit();
  }

  paths({ core: id }: LocalDraft): string[] {
    return changedPaths(this.contract, this.core.draftChanges(id));
  }

  conflicts({ core: id }: LocalDraft): Conflict[] {
    return this.core.draft(id).clashes().map(({ table, key, column, theirs, mine, by }) => {
      const at = this.contract.tables.get(table)!;
      const who = by === undefined ? {} : { by };
      if (column === undefined) return { path: rowPath(at, key), theirs: this.host.loaded.read(rowPath(at, key)), mine: undefined, ...who };
      return { path: cellPath(this.contract, table, key, column), theirs: shown(at, column, theirs), mine: shown(at, column, mine), ...who };
    });
  }

  lost({ core: id }: LocalDraft): LostEdit[] {
    return this.core.draft(id).aside.flatMap(({ operation, error }) => {
      const [op, table, key, now] = operation;
      const { code, message } = { code: error instanceof CannotApply ? error.code : 'failed', message: error.message };
      const path = cellPath(this.contract, table, key);
      if (op !== 'u') return [{ path, value: undefined, code, message }];
      const at = this.contract.tables.get(table);
      return Object.keys(now).map((column) => ({ path: cellPath(this.contract, table, key, column), value: shown(at, column, now[column]!), code, message }));
    });
  }

  /** What would be wrong if it were saved now. */
  faults({ core: id, parent }: LocalDraft): Fault[] {
    this.host.mustNotBeWriting();
    const { db, rules } = this.host.loaded;
    const error = asStoreError(this.core.judgeDraft(id, ({ touched }) => rules.check(db, touched), parent?.core));
    if (error === undefined) return [];
    if (!(error instanceof StoreError)) throw error;
    const faults = error.errors.length > 0 ? error.errors : [{ message: error.message }];
    return placed(this.contract, faults.map((fault) => ({ ...fault, code: error.code })));
  }

  revert({ core: id }: LocalDraft, path: string): void {
    this.host.mayWrite();
    const at = this.normal(path);
    const holds = (operation: Operation): boolean => isWithin(cellPath(this.contract, operation[1], operation[2]), at);
    const within = (change: Change): Change | undefined => {
      if (change[0] !== 'u' || holds(change)) return holds(change) ? change : undefined;
      const columns = Object.keys(change[3]).filter((column) => isWithin(cellPath(this.contract, change[1], change[2], column), at));
      return columns.length === 0 ? undefined : ['u', change[1], change[2], only(change[3], columns), only(change[4], columns)];
    };
    const changes = this.core.draft(id).net.intents().map(within).filter((change) => change !== undefined);
    const lost = (operation: Operation): boolean => holds(operation)
      || (operation[0] === 'u' && Object.keys(operation[3]).every((column) => isWithin(cellPath(this.contract, operation[1], operation[2], column), at)));
    this.host.step(() => this.core.revertDraft(id, changes, lost));
    this.changed.emit();
  }

  /** Theirs has been seen, and mine is kept. */
  keepMine(draft: LocalDraft, path: string): void {
    const at = this.normal(path);
    for (const change of this.core.draft(draft.core).net.intents()) {
      const [op, table, key] = change;
      if (isWithin(cellPath(this.contract, table, key), at)) this.core.draft(draft.core).settle(change, undefined);
      else if (op === 'u') this.core.draft(draft.core).settle(change, Object.keys(change[3]).filter((column) => isWithin(cellPath(this.contract, table, key, column), at)));
    }
    draft.look();
  }

  stamp({ core: id }: LocalDraft): number {
    return this.core.draft(id).stamp;
  }

  /** Tells each draft that may hold or say something else after a step that touched these rows. */
  look(touched: Touched): void {
    let any = false;
    for (const draft of [...this.open]) any = draft.look(this.core.reaches(draft.core, touched)) || any;
    if (any) this.changed.emit();
  }

  /** Children before the draft that they lie in. */
  within(draft: LocalDraft): LocalDraft[] {
    return this.open.filter((one) => one.parent === draft);
  }

  private added(draft: LocalDraft): LocalDraft {
    this.open.push(draft);
    this.changed.emit();
    return draft;
  }

  private closed(draft: LocalDraft): void {
    this.open.splice(this.open.indexOf(draft), 1);
  }

  private refuseOutside(scope: readonly string[], changes: readonly Change[]): void {
    for (const [op, table, key, now] of changes) {
      const paths = op === 'u' ? Object.keys(now).map((column) => cellPath(this.contract, table, key, column)) : [cellPath(this.contract, table, key)];
      const outside = paths.find((path) => !scope.some((within) => isWithin(path, within)));
      if (outside !== undefined) throw invalid(`${outside} is not in this draft, which is of ${scope.join(', ')}`);
    }
  }

  private normal(path: string): string {
    return path === '' ? '' : this.host.loaded.place(path).path;
  }

  private get core(): Loaded['core'] {
    return this.host.loaded.core;
  }

  private get contract(): Contract {
    return this.host.loaded.contract;
  }
}

/** Of a row, or of one property of it; where the contract has the table no more, the table's name. */
function cellPath(contract: Contract, table: string, key: Key, column?: string): string {
  const at = contract.tables.get(table);
  if (at === undefined) return column === undefined ? table : `${table}/${column}`;
  const path = rowPath(at, key);
  return column === undefined ? path : `${path}/${column.replaceAll('.', '/')}`;
}

function isWithin(path: string, above: string): boolean {
  return above === '' || path === above || path.startsWith(`${above}/`);
}

function shown(table: Table | undefined, column: string, cell: Cell): LostEdit['value'] {
  const leaf = table?.root.leaves.find((one) => one.column === column);
  const value = typeof cell === 'object' && cell !== null && 'value' in cell ? cell.value : cell;
  return leaf === undefined ? value : showLeaf(leaf, value);
}

function only<T extends { [column: string]: Cell }>(cells: T, columns: readonly string[]): T {
  return Object.fromEntries(columns.map((column) => [column, cells[column] ?? null])) as T;
}

/** To be tried: a row that was made may be there already, if the draft had been saved. */
function asideOf(change: Change): Aside {
  const [op, table, key] = change;
  const operation: Operation = op === 'i' ? ['s', table, key, change[3]] : op === 'u' ? ['u', table, key, change[3]] : ['d', table, key];
  return { operation, error: new CannotApply('failed', 'not tried yet', table, key), base: op === 'i' ? only(change[3], []) : change[4] };
}
