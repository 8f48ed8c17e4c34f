/** Which SQL a mutation may contain. */
import { CannotApply } from './errors.js';

const ALLOWED = /^(select|with|values|insert|replace|update|delete)\b/i;
/** Texts and names, then comments. */
const TOKEN = /('(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;

/** One statement that reads or writes rows; transactions and the schema are not the caller's to change. */
export function guardStatement(sql: string): void {
  const bare = sql.replace(TOKEN, (_, name: string | undefined) => (name === undefined ? ' ' : 'x')).trim();
  if (/;\s*\S/.test(bare)) throw new CannotApply('invalid', 'one statement at a time; a second one follows the semicolon');
  if (ALLOWED.test(bare)) return;
  throw new CannotApply('invalid', `a mutation reads and writes rows; it cannot ${bare.split(/\s/, 1)[0] || 'do nothing'}`);
}
