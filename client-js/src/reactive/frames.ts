/**
 * Callbacks that are called once in an animation frame, however often there was something to tell: with the newest value,
 * the newest source, and the paths of everything since. What is as it was told before is not told.
 */
import type { ChangeInfo } from '../api.js';
import { sameTree } from './difference.js';

type Tell = (value: unknown, info: ChangeInfo) => void;

export class Frames {
  private readonly waiting = new Map<Paced, { value: unknown; info: ChangeInfo }>();
  private asked = false;

  /** `frame` calls back when the next frame is drawn. */
  constructor(private readonly frame: (fn: () => void) => unknown) {}

  /** `guarded` runs a callback so that what it throws stops nobody. */
  paced(callback: Tell, guarded: (fn: () => void) => void): Paced {
    return new Paced(this, callback, guarded);
  }

  wait(paced: Paced, value: unknown, info: ChangeInfo): void {
    const before = this.waiting.get(paced);
    const paths = before === undefined ? info.paths : [...new Set([...before.info.paths, ...info.paths])];
    this.waiting.set(paced, { value, info: { ...info, paths } });
    if (this.asked) return;
    this.asked = true;
    this.frame(() => this.flush());
  }

  forget(paced: Paced): void {
    this.waiting.delete(paced);
  }

  clear(): void {
    this.waiting.clear();
  }

  private flush(): void {
    this.asked = false;
    const due = [...this.waiting.keys()];
    for (const paced of due) {
      // One that was called before it may have ended this one.
      const news = this.waiting.get(paced);
      this.waiting.delete(paced);
      if (news !== undefined) paced.tell(news.value, news.info);
    }
  }
}

export class Paced {
  /** What was told last; `NOTHING` where values are not kept. */
  private last: unknown = NOTHING;

  constructor(
    private readonly frames: Frames,
    private readonly callback: Tell,
    private readonly guarded: (fn: () => void) => void,
  ) {}

  readonly first = (value: unknown): void => void (this.last = value);
  readonly later: Tell = (value, info) => this.frames.wait(this, value, info);

  tell(value: unknown, info: ChangeInfo): void {
    if (this.last !== NOTHING && sameTree(this.last as never, value as never)) return;
    if (this.last !== NOTHING) this.last = value;
    this.guarded(() => this.callback(value, info));
  }

  end(): void {
    this.frames.forget(this);
  }
}

const NOTHING = Symbol('nothing');
