/**
 * Mutations on their way, in the order of their counters. The bytes of a push are made once and never change, so that
 * it can be sent again at any time; each stays until its one answer is there.
 */
import type { MutationId, Outcome, Sent } from '../api.js';

interface Push {
  id: MutationId;
  text: string;
  /** On the present connection. */
  sent: boolean;
  /** It was sent when everything before it had been answered. */
  alone?: boolean;
  answer(outcome: Outcome): void;
}

export class Outbox {
  private readonly pushes: Push[] = [];
  private counter = 0;

  constructor(private name: string) {}

  /** Whose mutations these are. */
  get client(): string {
    return this.name;
  }

  get size(): number {
    return this.pushes.length;
  }

  get ids(): readonly MutationId[] {
    return this.pushes.map((push) => push.id);
  }

  private nextId(): MutationId {
    return [this.name, this.counter + 1];
  }

  /** `body`: the message without type and id. */
  add(body: Record<string, unknown>): Sent {
    const id = this.nextId();
    // First, because it may throw: a counter that is never sent would hold up all that follow.
    const text = JSON.stringify({ type: 'push', id, ...body });
    this.counter++;
    let answer!: (outcome: Outcome) => void;
    const confirmed = new Promise<Outcome>((resolve) => (answer = resolve));
    this.pushes.push({ id, text, sent: false, answer });
    return { id, confirmed };
  }

  /** The next one to send, if no more than `window` are unanswered. */
  next(window: number): { id: MutationId; text: string; first: boolean } | undefined {
    const at = this.pushes.findIndex((push) => !push.sent);
    if (at < 0 || at >= window) return undefined;
    const { id, text } = this.pushes[at]!;
    return { id, text, first: at === 0 };
  }

  markSent(id: MutationId): void {
    const push = this.find(id);
    if (push === undefined) return;
    push.sent = true;
    push.alone = push === this.pushes[0];
  }

  /** From this one on everything is to be sent again: the server did not take it. Without an id: all. */
  again(id?: MutationId): void {
    for (const push of this.pushes) if (id === undefined || push.id[1] >= id[1]) push.sent = false;
  }

  /**
   * The server knows nothing of what it had answered (its log was restored from an older copy): what is unanswered
   * begins anew under another client, from counter 1. Whoever holds an id of it holds the new one then.
   */
  rename(client: string): void {
    this.name = client;
    this.counter = 0;
    for (const push of this.pushes) {
      push.id.splice(0, 2, client, ++this.counter);
      push.text = JSON.stringify({ ...(JSON.parse(push.text) as object), id: push.id });
      push.sent = false;
    }
  }

  /**
   * Whether it was sent when everything before it had been answered. Once for each sending: what the server said of
   * earlier ones, while it had not seen what comes before, may still be on its way.
   */
  wasAlone(id: MutationId): boolean {
    const push = this.find(id);
    const alone = push?.alone === true;
    if (alone) push!.alone = false;
    return alone;
  }

  isWaiting(id: MutationId): boolean {
    return this.find(id) !== undefined;
  }

  /** Gives the answer and forgets the push; false if it is not one of ours, or answered already. */
  answer(outcome: Outcome): boolean {
    const at = this.pushes.findIndex((push) => sameId(push.id, outcome.id));
    if (at < 0) return false;
    this.pushes.splice(at, 1)[0]!.answer(outcome);
    return true;
  }

  private find(id: MutationId): Push | undefined {
    return this.pushes.find((push) => sameId(push.id, id));
  }
}

function sameId(a: MutationId, b: MutationId): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
