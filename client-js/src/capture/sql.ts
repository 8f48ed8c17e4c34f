/** Quoting, the one way there is. */

/** An identifier: table, column, trigger. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
