/** What can go wrong in the core. */
import type { Key } from '../api.js';
import { SqlError } from '../engine/errors.js';

/** The confirmed rows are not those of the server: load the file again. Never the user's fault. */
export class Diverged extends Error {
  override readonly name = 'Diverged';

  constructor(
    readonly version: number,
    why: string,
    options?: ErrorOptions,
  ) {
    super(`version ${version} of the server does not fit the rows here: ${why}`, options);
  }
}

export type CannotApplyCode = 'invalid' | 'exists' | 'not_found' | 'unique' | 'reference' | 'forbidden' | 'failed';

/** An operation that cannot be done here and now; the code is the one the server would answer. */
export class CannotApply extends Error {
  override readonly name = 'CannotApply';

  constructor(
    readonly code: CannotApplyCode,
    message: string,
    readonly table?: string,
    readonly key?: Key,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const CODES: readonly (readonly [RegExp, CannotApplyCode])[] = [
  [/UNIQUE constraint/i, 'unique'],
  [/FOREIGN KEY constraint/i, 'reference'],
  [/constraint failed|cannot store/i, 'invalid'],
];

/** What SQLite would not do, in the words of a refusal; other errors as they are. */
export function explained(error: unknown, where: string, table?: string, key?: Key): unknown {
  if (!(error instanceof SqlError)) return error;
  const code = CODES.find(([pattern]) => pattern.test(error.reason))?.[1] ?? 'failed';
  return new CannotApply(code, `${where}: ${error.reason}`, table, key, { cause: error });
}
