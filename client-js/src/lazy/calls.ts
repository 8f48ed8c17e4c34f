/** Questions to the worker and their answers. */
import { StoreError } from '../errors.js';
import type { Answers, Asked, Letter, Told } from '../worker/messages.js';
import type { Traffic } from './traffic.js';

export type Question<O extends Asked['op']> = Extract<Asked, { op: O }>;

/** The page's end of a worker. */
export interface Port {
  send(letter: Letter): void;
  heard: (told: Told) => void;
  /** It will answer no more. */
  broken: (why: string) => void;
  close(): void;
}

/** Told while and after a question is answered, also if in vain. */
export interface Listener {
  progress?: ((bytes: number) => void) | undefined;
  traffic?: ((spent: Traffic) => void) | undefined;
}

interface Waiting {
  resolve(value: never): void;
  reject(error: StoreError): void;
  listener: Listener;
}

export class Calls {
  private readonly waiting = new Map<number, Waiting>();
  private next = 1;
  private ended: StoreError | undefined;

  constructor(
    private readonly port: Port,
    private readonly counted: (total: Traffic) => void,
  ) {
    port.heard = (told) => this.heard(told);
    port.broken = (why) => this.end(new StoreError('internal', `the viewer's worker failed: ${why}`));
  }

  /** Rejects with StoreError. */
  ask<O extends Asked['op']>(asked: Question<O>, listener: Listener = {}): Promise<Answers[O]> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, listener });
      this.port.send({ id, asked });
    });
  }

  /** Whoever waits is told so, and everybody from now on. */
  end(error: StoreError): void {
    if (this.ended !== undefined) return;
    this.ended = error;
    this.port.close();
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  private heard(told: Told): void {
    const waiting = this.waiting.get(told.id);
    if (waiting === undefined) return;
    if ('progress' in told) return waiting.listener.progress?.(told.progress);
    this.waiting.delete(told.id);
    this.counted(told.total);
    waiting.listener.traffic?.(told.spent);
    if ('value' in told) return waiting.resolve(told.value as never);
    const { code, message, errors } = told.failed;
    waiting.reject(new StoreError(code, message, errors));
  }
}
