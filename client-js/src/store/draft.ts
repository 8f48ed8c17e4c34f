/** A draft: edits that every observer here sees and nobody else, until they are saved or cancelled. */
import type { Draft, Sent, Tree, Tx, WriteOptions } from '../api.js';
import { StoreError } from '../errors.js';
import type { DraftId } from '../core/types.js';

/** What a draft asks of its store. */
export interface DraftDesk {
  editDraft(id: DraftId, fn: (t: Tx) => void): void;
  draftPaths(id: DraftId): string[];
  cancelDraft(id: DraftId): void;
  saveDraft(id: DraftId, options: WriteOptions): Sent | undefined;
}

export class LocalDraft implements Draft {
  open = true;

  constructor(
    private readonly desk: DraftDesk,
    private readonly id: DraftId,
  ) {}

  get changes(): string[] {
    return this.open ? this.desk.draftPaths(this.id) : [];
  }

  set(path: string, value: Tree): void {
    this.tx((t) => t.set(path, value));
  }

  tx(fn: (t: Tx) => void): void {
    this.mustBeOpen();
    this.desk.editDraft(this.id, fn);
  }

  cancel(): void {
    if (!this.open) return;
    this.desk.cancelDraft(this.id);
    this.open = false;
  }

  /** Throws StoreError if what it holds is not valid; it is still open then. */
  save(options: WriteOptions = {}): Sent | undefined {
    this.mustBeOpen();
    const sent = this.desk.saveDraft(this.id, options);
    this.open = false;
    return sent;
  }

  private mustBeOpen(): void {
    if (!this.open) throw new StoreError('invalid', 'the draft was saved or cancelled; begin another one');
  }
}
