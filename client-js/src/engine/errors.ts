/** A statement that SQLite would not run, with its words and ours. */
export class SqlError extends Error {
  override readonly name = 'SqlError';

  constructor(
    readonly reason: string,
    readonly sql: string,
  ) {
    super(`${reason} in: ${sql.length > 300 ? `${sql.slice(0, 300)}...` : sql}`);
  }

  /** Some rule of the schema (unique, reference, not null, type), not a mistake in the SQL. */
  get constraint(): boolean {
    return /constraint failed|cannot store/i.test(this.reason);
  }
}

/** Engines differ in what they make of these, so none of them ever sees one. */
export function refuseUnstorable(cell: unknown): void {
  if (typeof cell === 'string' && !isWellFormed(cell)) {
    throw new RangeError('text with a lone surrogate cannot be stored; repair the text');
  }
  if (typeof cell === 'number' && Number.isNaN(cell)) {
    throw new RangeError('NaN cannot be stored; write null or a number');
  }
  if (typeof cell === 'bigint' && BigInt.asIntN(64, cell) !== cell) {
    throw new RangeError(`${cell} does not fit 64 bits`);
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}
