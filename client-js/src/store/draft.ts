/** A draft: edits that every observer here sees and nobody else, until they are saved or cancelled. */
import type { Conflict, Draft, DraftOptions, Fault, LostEdit, Outcome, Refusal, Sent, Tree, Tx, Unsubscribe, WriteOptions } from '../api.js';
import type { DraftId } from '../core/types.js';
import { StoreError, invalid } from '../errors.js';
import { Callbacks } from './callbacks.js';
import type { DraftState, Drafts } from './drafts.js';

export class LocalDraft implements Draft {
  state: Draft['state'] = 'open';
  refusal: Refusal | undefined;
  readonly name: string | undefined;
  private readonly callbacks = new Callbacks<[]>();
  private seen = 0;
  /** What it was when it was saved, until the answer is there. */
  lastState: DraftState = { scope: [], changes: [] };

  constructor(
    private readonly desk: Drafts,
    public core: DraftId,
    readonly scope: readonly string[],
    { name }: DraftOptions,
    readonly parent: LocalDraft | undefined,
  ) {
    this.name = name;
  }

  /** Not any more while it is cancelled or saved, as observers of that see it. */
  get open(): boolean {
    return this.state === 'open' && this.desk.open.includes(this);
  }

  get changes(): string[] {
    return this.open ? this.desk.paths(this) : [];
  }

  get conflicts(): Conflict[] {
    return this.open ? this.desk.conflicts(this) : [];
  }

  get lost(): LostEdit[] {
    return this.open ? this.desk.lost(this) : [];
  }

  get faults(): Fault[] {
    return this.open ? this.desk.faults(this) : (this.refusal?.errors ?? []);
  }

  set(path: string, value: Tree): void {
    this.tx((t) => t.set(path, value));
  }

  tx(fn: (t: Tx) => void): void {
    this.mustBeOpen();
    this.desk.edit(this, fn);
  }

  revert(path = ''): void {
    this.mustBeOpen();
    this.desk.revert(this, path);
  }

  resolve(path: string, which: 'mine' | 'theirs'): void {
    this.mustBeOpen();
    if (which === 'mine') this.desk.keepMine(this, path);
    else this.desk.revert(this, path);
  }

  draft(scope: string | readonly string[] = this.scope, options: DraftOptions = {}): Draft {
    this.mustBeOpen();
    return this.desk.begin([scope].flat(), options, this);
  }

  subscribe(callback: () => void): Unsubscribe {
    return this.callbacks.add(callback);
  }

  cancel(): void {
    if (!this.open) return;
    for (const inner of this.desk.within(this)) inner.cancel();
    this.desk.cancel(this);
    this.become('cancelled');
  }

  save(options: WriteOptions = {}): Sent | undefined {
    this.mustBeOpen();
    if (this.desk.within(this).length > 0) throw invalid('a draft in this draft is open; save or cancel that one first');
    this.refusal = undefined;
    if (this.parent !== undefined) return this.saveIntoParent(this.parent);
    this.lastState = this.desk.state(this);
    const sent = this.desk.save(this, options);
    if (sent !== undefined) this.desk.sending.add(this);
    this.become(sent === undefined ? 'saved' : 'sending');
    void sent?.confirmed.then((outcome) => this.answered(outcome));
    return sent;
  }

  reopen(): void {
    if (this.state !== 'refused') throw invalid('only a draft that was refused can be opened again');
    this.core = this.desk.refill(this.lastState.changes);
    this.desk.open.push(this);
    this.become('open');
    this.desk.changed.emit();
  }

  /** Tells whether, and whoever listens that, it may hold or say something else. */
  look(near = false): boolean {
    const stamp = this.open ? this.desk.stamp(this) : this.seen;
    if (stamp === this.seen && !near) return false;
    this.seen = stamp;
    this.callbacks.emit();
    return true;
  }

  private saveIntoParent(parent: LocalDraft): undefined {
    this.desk.saveInto(this, parent);
    this.become('saved');
  }

  private answered(outcome: Outcome): void {
    this.desk.sending.delete(this);
    if (outcome.kind === 'refused') this.refusal = outcome.refusal;
    else this.lastState = { scope: [], changes: [] };
    this.desk.changed.emit();
    this.become(outcome.kind === 'refused' ? 'refused' : 'saved');
  }

  private become(state: Draft['state']): void {
    this.state = state;
    this.callbacks.emit();
  }

  private mustBeOpen(): void {
    if (!this.open) throw new StoreError('invalid', 'the draft was saved or cancelled; begin another one');
  }
}
