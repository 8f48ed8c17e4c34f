/** What the parts beside the store (undo, kept drafts) ask of it. An editor has no use for it. */
import type { MutationId, Sent, Store, Unsubscribe, WriteOptions } from '../api.js';
import type { Change, Commit, Writer } from '../core/types.js';
import { StoreError } from '../errors.js';
import type { Timers } from '../sync/platform.js';
import type { Drafts } from './drafts.js';
import type { Loaded } from './loaded.js';

/** A mutation of this store that was just handed to the link. */
export interface Written {
  id: MutationId;
  origin: 'local' | 'draft' | 'undo';
  tag?: string;
  /** What it did here, netted. */
  changes: Change[];
}

export interface Desk {
  /** The project as it is loaded at present. */
  readonly loaded: Loaded;
  readonly timers: Timers;
  readonly drafts: Drafts;
  /**
   * A mutation of origin `undo`, made upon the rows below all drafts; `options.expect` may be filled while `edit` runs.
   * undefined: it changed nothing and was not sent.
   */
  mutate(options: WriteOptions, edit: (writer: Writer) => void): { sent: Sent; changes: Change[] } | undefined;
  onWritten(callback: (written: Written) => void): Unsubscribe;
  /** Commits of this client, as the server made them. */
  onOwn(callback: (commit: Commit) => void): Unsubscribe;
}

export const DESK = Symbol('sharelite: desk');

/** Throws StoreError for a store that is not of this package, or not in this thread. */
export function deskOf(store: Store): Desk {
  const desk = (store as Partial<Record<typeof DESK, Desk>>)[DESK];
  if (desk === undefined) throw new StoreError('invalid', 'this needs a store opened by openStore in the same thread');
  return desk;
}
