/** Which SQL a mutation may contain. */
import { CannotApply } from './errors.js';

const ALLOWED = /^(select|with|values|insert|replace|update|delete)\b/i;
/** Texts and names, then comments. */
const TOKEN = /('(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
/** Ours and SQLite's: the capture does not see them, and only the core may change them. (`sqlite_version()` is no table.) */
const RESERVED = /(?<![\w$])(?:_sharelite|_capture|_capture_on|sqlite_\w+)(?![\w$]|\s*\()/i;

/** One statement that reads or writes the project's rows; transactions and the schema are not the caller's to change. */
export function guardStatement(sql: string): void {
  const names: string[] = [];
  const bare = sql.replace(TOKEN, (_, name: string | undefined) => {
    // SQLite takes a text for a name where a name is wanted.
    if (name !== undefined && RESERVED.exec(name)?.[0].length === name.length - 2) names.push(name);
    return name === undefined ? ' ' : 'x';
  }).trim();
  if (/;\s*\S/.test(bare)) throw new CannotApply('invalid', 'one statement at a time; a second one follows the semicolon');
  if (names.length > 0 || RESERVED.test(bare)) throw new CannotApply('forbidden', "this SQL names a table that is not one of the project's");
  if (ALLOWED.test(bare)) return;
  throw new CannotApply('invalid', `a mutation reads and writes rows; it cannot ${bare.split(/\s/, 1)[0] || 'do nothing'}`);
}
