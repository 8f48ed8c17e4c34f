/** Pushes on a connection: in the order of their counters, as many under way as may be, large ones by POST in their turn. */
import type { MutationId, Outcome } from '../api.js';
import { StoreError, report } from '../errors.js';
import type { Alarms } from './alarms.js';
import type { Backoff } from './backoff.js';
import type { Http } from './http.js';
import { LIMITS, type FromServer, type Limits } from './messages.js';
import type { Outbox } from './outbox.js';

/** Nothing was recorded: the same bytes again, a little later. */
const NOT_JUDGED = new Set(['out_of_order', 'rate_limited', 'unavailable', 'unknown', 'unreachable']);
const AGAIN = 'again';
const FORGOTTEN_AFTER = 2;

export interface Wire {
  readonly live: boolean;
  /** Whether it could be sent. */
  send(text: string): boolean;
  /** Settled or refused. */
  answered(outcome: Outcome): void;
  cursor(): number;
  /** The server has forgotten what it had answered before. */
  forgotten(): void;
}

export class Sending {
  limits: Limits = LIMITS;
  private posting = false;
  /** The first that was not judged: from it on everything is sent again. */
  private unjudged: MutationId | undefined;

  private outOfOrder: { id: number; times: number } | undefined;

  constructor(
    private readonly outbox: Outbox,
    private readonly wire: Wire,
    private readonly http: Http,
    private readonly project: string,
    private readonly alarms: Alarms,
    private readonly backoff: Backoff,
  ) {}

  /** A new connection knows of nothing that was sent on the old one. */
  restart(): void {
    this.alarms.cancel(AGAIN);
    this.unjudged = undefined;
    this.outbox.again();
  }

  flush(): void {
    // What follows one that was not judged would be out of order.
    while (this.wire.live && !this.posting && this.unjudged === undefined) {
      const next = this.outbox.next(this.limits.in_flight);
      if (next === undefined) return;
      if (isLonger(next.text, this.limits.frame)) {
        // A request may overtake the socket: what came before it has to be answered first.
        if (next.first) void this.post(next.id, next.text);
        return;
      }
      if (!this.wire.send(next.text)) return;
      this.outbox.markSent(next.id);
    }
  }

  answered(outcome: Outcome): void {
    this.wire.answered(outcome);
    this.progressed();
  }

  /** There is room for more. */
  progressed(): void {
    this.backoff.reset();
    this.flush();
  }

  refused({ id, version, refusal, retryAfter }: Extract<FromServer, { type: 'refused' }>): void {
    if (this.isForgotten(id, refusal.code)) this.wire.forgotten();
    else if (NOT_JUDGED.has(refusal.code)) this.again(id, retryAfter);
    else this.answered({ kind: 'refused', id, version, refusal });
  }

  /** Everything before the first one was answered, so it is out of order, time and again, only if that is forgotten. */
  private isForgotten(id: MutationId, code: string): boolean {
    if (code !== 'out_of_order' || !this.outbox.wasAlone(id)) return false;
    this.outOfOrder = this.outOfOrder?.id === id[1] ? { id: id[1], times: this.outOfOrder.times + 1 } : { id: id[1], times: 1 };
    return this.outOfOrder.times >= FORGOTTEN_AFTER;
  }

  private again(id: MutationId, retryAfter: number): void {
    if (this.unjudged === undefined || id[1] < this.unjudged[1]) this.unjudged = id;
    if (this.alarms.has(AGAIN)) return;
    this.alarms.set(AGAIN, this.backoff.next(retryAfter), () => {
      this.outbox.again(this.unjudged);
      this.unjudged = undefined;
      this.flush();
    });
  }

  /** Its commit, if there is one, comes with the feed; without one it is settled once the feed has passed the version. */
  private async post(id: MutationId, text: string): Promise<void> {
    this.posting = true;
    this.outbox.markSent(id);
    try {
      const version = await this.http.mutate(this.project, text);
      this.wire.answered({ kind: 'settled', id, version });
    } catch (error) {
      this.postFailed(id, error);
    } finally {
      this.posting = false;
      this.flush();
    }
  }

  private postFailed(id: MutationId, error: unknown): void {
    if (!(error instanceof StoreError)) return report(error);
    const { code, message, errors } = error;
    if (this.isForgotten(id, code)) this.wire.forgotten();
    else if (NOT_JUDGED.has(code) || code === 'unauthenticated') this.again(id, 0);
    else this.wire.answered({ kind: 'refused', id, version: this.wire.cursor(), refusal: { code, message, errors } });
  }
}

/** In UTF-8; counted only where it can matter. */
function isLonger(text: string, bytes: number): boolean {
  if (text.length * 3 <= bytes) return false;
  return text.length > bytes || new TextEncoder().encode(text).length > bytes;
}
