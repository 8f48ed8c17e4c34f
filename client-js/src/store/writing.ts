/** How a store writes: one edit at a time, checked, handed to the outbox before anybody is told of it. */
import type { ChangeInfo, Outcome, Sent, WriteOptions } from '../api.js';
import type { Change, Check, Edited, Writer } from '../core/types.js';
import { StoreError, invalid } from '../errors.js';
import { placed } from '../paths/faults.js';
import type { Outbox } from '../sync/outbox.js';
import { Callbacks } from './callbacks.js';
import type { Written } from './desk.js';
import type { Loaded } from './loaded.js';
import { pushBody, refuseOptions } from './push.js';
import { TxBody, asStoreError } from './tx.js';

/** What writing asks of its store. */
export interface WritingHost {
  readonly loaded: Loaded;
  readonly closed: boolean;
  readonly reading: boolean;
  /** What was put into the outbox can be sent. */
  added(): void;
  /** Tells what an edit touched. */
  tell(edited: Edited, source: Omit<ChangeInfo, 'paths'>): void;
  randomHex(digits: number): string;
}

export class Writing {
  readonly onWritten = new Callbacks<[Written]>();
  /** An edit is running: what is half written is not to be seen, kept or built upon. */
  busy = false;

  constructor(
    private readonly host: WritingHost,
    private readonly outbox: Outbox,
  ) {}

  /** The push is made while the edit can still be undone: what cannot be sent leaves nothing behind. */
  write(origin: Written['origin'], options: WriteOptions, edit: (check: Check) => Edited): { sent: Sent; changes: Change[] } | undefined {
    this.mayWrite(options);
    const { core, contract, rules, db } = this.host.loaded;
    let body: Record<string, unknown> | undefined;
    const edited = this.guarded(() => edit(({ changes, touched }) => {
      rules.check(db, touched);
      if (changes.length > 0 || options.expect?.length) body = pushBody(contract.hash, changes, core.tables, options);
    }));
    const { changes } = edited;
    const source = { origin, ...(options.tag === undefined ? {} : { tag: options.tag }) };
    const sent = body && this.send(body, changes, options);
    if (sent !== undefined) this.onWritten.emit({ ...source, id: sent.id, changes });
    this.host.tell(edited, source);
    return sent && { sent, changes };
  }

  call(name: string, args: Record<string, unknown>): Sent {
    this.mayWrite({});
    const sent = this.outbox.add({ call: name, args });
    this.host.added();
    return sent;
  }

  /** The answer to a mutation that changes nothing: it needs no server, and has no counter. */
  nothing(): Sent {
    const id: Sent['id'] = [this.outbox.client, 0];
    return { id, confirmed: Promise.resolve<Outcome>({ kind: 'settled', id, version: this.host.loaded.core.version }) };
  }

  body(writer: Writer): TxBody {
    return new TxBody(this.host.loaded, writer, () => this.host.randomHex(16));
  }

  /** Runs an edit: no other may begin in it, and what goes wrong is told in our words, with a path at each fault. */
  guarded<T>(fn: () => T): T {
    this.busy = true;
    try {
      return fn();
    } catch (error) {
      throw this.placed(asStoreError(error));
    } finally {
      this.busy = false;
    }
  }

  mayWrite(options: WriteOptions): void {
    this.mustNotBeWriting();
    if (this.host.reading) throw new StoreError('forbidden', 'this needs the role editor; you are a reader here');
    refuseOptions(options);
  }

  mustNotBeWriting(): void {
    this.mustBeOpen();
    if (this.busy) throw invalid('a transaction is being written; use its own `t` until it is done');
  }

  mustBeOpen(): void {
    if (this.host.closed) throw new StoreError('closed', 'the store is closed');
  }

  private send(body: Record<string, unknown>, changes: Change[], { missing }: WriteOptions): Sent {
    const sent = this.outbox.add(body);
    this.host.loaded.core.pend(sent.id, changes, missing === undefined ? {} : { missing });
    this.host.added();
    return sent;
  }

  private placed(error: unknown): unknown {
    if (!(error instanceof StoreError) || error.errors.length === 0) return error;
    return new StoreError(error.code, error.message, placed(this.host.loaded.contract, error.errors));
  }
}
