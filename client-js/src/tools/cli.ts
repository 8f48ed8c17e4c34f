/** `npx sharelite`: what front-end people need of a contract, without Python. */
import { parseArgs } from 'node:util';
import { readContractFile } from './files.js';
import { typesOf } from './typescript.js';
import { contractFiles, writeTypes } from './write.js';

const HELP = `Usage: sharelite types CONTRACT... [-o OUTPUT]

  TypeScript types of the trees that a contract (*.schema.json) describes.

  CONTRACT is a file, or a folder with contracts in it. Without -o the types go to the screen.

Options:
  -o, --output PATH  a file NAME.ts, or a folder that gets one file for each contract
  -h, --help         show this message

Examples:
  npx sharelite types contracts/todo.schema.json
  npx sharelite types contracts -o src/contracts

With Vite, the plugin of 'sharelite/vite' does the same at each start and each change of a contract.
Whether a contract is a good one says \`sharelite contract check\` of the server.
`;

class UsageError extends Error {}

export function main(words: string[], say: (text: string) => void): void {
  const { values, positionals } = parsed(words);
  const [command, ...contracts] = positionals;
  if (values.help || command === undefined) return say(HELP);
  if (command !== 'types') throw new UsageError(`there is no command '${command}'; try: sharelite types CONTRACT`);
  if (contracts.length === 0) throw new UsageError('which contract? Try: sharelite types contracts/todo.schema.json');
  const files = contracts.flatMap(contractFiles);
  if (values.output === undefined) return files.forEach((file) => say(shown(file)));
  if (files.length > 1 && values.output.endsWith('.ts')) throw new UsageError(`${values.output} is one file, and there are ${files.length} contracts; name a folder`);
  for (const file of files) {
    const { output, changed } = writeTypes(file, values.output);
    say(`${output}: ${changed ? 'written' : 'is up to date'}\n`);
  }
}

function parsed(words: string[]): { values: { help?: boolean; output?: string }; positionals: string[] } {
  try {
    return parseArgs({ args: words, allowPositionals: true, options: { output: { type: 'string', short: 'o' }, help: { type: 'boolean', short: 'h' } } });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function shown(file: string): string {
  const { name, document } = readContractFile(file);
  return typesOf(document, name);
}

/** Exit 2: not understood; 1: a contract that cannot be read. */
export function run(words: string[]): void {
  try {
    main(words, (text) => void process.stdout.write(text));
  } catch (error) {
    process.stderr.write(`sharelite: ${(error as Error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
