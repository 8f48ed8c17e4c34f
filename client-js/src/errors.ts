/** What goes wrong in the client, with the server's codes where the server would have said the same. */
import type { Fault } from './api.js';

/** What could not be done: `code` for programs, `message` for a person, `errors` with each fault at its place. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';

  constructor(
    readonly code: string,
    message: string,
    readonly errors: Fault[] = [],
  ) {
    super(message);
  }
}

/** A write that cannot be applied here: nothing of it remains. */
export function invalid(message: string, fault: Omit<Fault, 'message'> = {}): StoreError {
  return new StoreError('invalid', message, [{ message, ...fault }]);
}

export function notFound(what: string): StoreError {
  return new StoreError('not_found', what);
}

/** An error that no caller can catch (in a callback, in the background): it must not be lost, nor stop the others. */
export function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}
