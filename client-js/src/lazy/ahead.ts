/**
 * How much to fetch at a miss: one block where reading jumps about, four where it goes on, then twice as much each time.
 *
 * A query follows several places at once (an index, its table, a child table), forwards or backwards; each is a head.
 * Heads also see the reads that need no fetch, or a run through blocks that are already here would lose its speed.
 */
export interface Plan {
  from: number;
  count: number;
}

interface Head {
  at: number;
  /** Blocks that its last fetch brought. */
  speed: number;
}

const HEADS = 8;
/** Blocks, where reading is seen to go on: two requests less for each place that is followed, for some 8 KiB. */
const SECOND = 4;
/** Interior pages lie between the leaves: a step over a few blocks still goes on. */
const STRIDE = 4;

export class ReadAhead {
  private heads: Head[] = [];

  /** `most`: blocks in one fetch. */
  constructor(private readonly most: number) {}

  /** A read that needed no fetch. */
  passed(block: number): void {
    const head = this.near(block);
    if (head !== undefined) this.use(head).at = block;
  }

  /** A read of a block that is not here: what to fetch. May reach beyond either end of the file. */
  missed(block: number): Plan {
    const head = this.near(block);
    if (head === undefined || head.at === block) {
      this.use(head ?? { at: block, speed: 1 });
      return { from: block, count: 1 };
    }
    const forwards = block > head.at;
    head.speed = Math.min(head.speed === 1 ? SECOND : head.speed * 2, this.most);
    this.use(head).at = block;
    return { from: forwards ? block : block - head.speed + 1, count: head.speed };
  }

  private near(block: number): Head | undefined {
    return this.heads.find(({ at }) => Math.abs(block - at) <= STRIDE);
  }

  /** The heads not used for longest are forgotten. */
  private use(head: Head): Head {
    this.heads = [head, ...this.heads.filter((other) => other !== head)].slice(0, HEADS);
    return head;
  }
}
