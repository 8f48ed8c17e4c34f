/** How long to wait before the next attempt: twice as long each time, spread so that not everybody comes at once. */

const FIRST = 250;
const LONGEST = 30_000;

export class Backoff {
  private attempts = 0;

  constructor(private readonly random: () => number) {}

  /** Between half of the time and the whole; never sooner than the server asked for. */
  next(atLeast = 0): number {
    const whole = Math.min(LONGEST, FIRST * 2 ** this.attempts++);
    return Math.max(atLeast, whole * (0.5 + this.random() / 2));
  }

  reset(): void {
    this.attempts = 0;
  }
}
