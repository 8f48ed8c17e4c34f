/** Types written beside the code that uses them: one module for each contract, touched only where it differs. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SUFFIX, readContractFile } from './files.js';
import { typesOf } from './typescript.js';

export interface Written {
  contract: string;
  output: string;
  changed: boolean;
  /** Every file that the types were made from. */
  sources: string[];
}

/** The contract files that a name means: itself, or those of a folder. Throws where there is none. */
export function contractFiles(named: string): string[] {
  if (!existsSync(named)) throw new Error(`${named}: there is no such file or folder`);
  if (!statSync(named).isDirectory()) return [named];
  const found = readdirSync(named).filter((name) => name.endsWith(SUFFIX)).sort().map((name) => join(named, name));
  if (found.length === 0) throw new Error(`${named}: there is no file *${SUFFIX} in it`);
  return found;
}

/** Writes the types of one contract: to a `.ts` file, or into a folder under the contract's name. */
export function writeTypes(contract: string, output: string): Written {
  const { name, document, files } = readContractFile(contract);
  const target = output.endsWith('.ts') ? output : join(output, `${basename(contract).replace(SUFFIX, '')}.ts`);
  const text = typesOf(document, name);
  const changed = !existsSync(target) || readFileSync(target, 'utf8') !== text;
  if (changed) replace(target, text);
  return { contract, output: target, changed, sources: files };
}

/** Whoever reads meanwhile sees the old text or the new one. */
function replace(target: string, text: string): void {
  mkdirSync(dirname(target), { recursive: true });
  const beside = `${target}.${process.pid}.tmp`;
  writeFileSync(beside, text);
  renameSync(beside, target);
}
