/** Contract files: one document out of one or several files of a folder (SPEC C19). Nothing outside of that folder is read. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import { MANY, NAMED, ONE, isSchema, join, type Schema } from '../contract/schema.js';

export const SUFFIX = '.schema.json';

/** What is wrong with a file, with its place. */
export class ContractFileError extends Error {
  override readonly name = 'ContractFileError';

  constructor(readonly file: string, readonly pointer: string, reason: string) {
    super(`${file}${pointer && `#${pointer}`}: ${reason}`);
  }
}

export interface Bundled {
  /** The file's name without `.schema.json`. */
  name: string;
  document: Schema;
  /** Every file that was read; a change of any of them changes the document. */
  files: string[];
}

/** The document of a contract whose `$ref`s may lead into other files at or below its folder; those become `$defs`. */
export function readContractFile(path: string): Bundled {
  const bundle = new Bundle(path);
  return { name: basename(path).replace(SUFFIX, ''), document: bundle.document(), files: bundle.files };
}

class Bundle {
  readonly files: string[] = [];
  private readonly root: string;
  private readonly folder: string;
  private readonly names = new Map<string, string>();
  private readonly waiting: string[] = [];

  constructor(private readonly path: string) {
    this.folder = real(dirname(resolve(path)));
    this.root = real(path);
  }

  document(): Schema {
    const root = this.read(this.root);
    const taken = new Set(isSchema(root.$defs) ? Object.keys(root.$defs) : []);
    this.names.set(this.root, '');
    const found = this.rewritten(root, this.root, '', taken) as Schema;
    const others: Schema = {};
    for (let path = this.waiting.pop(); path !== undefined; path = this.waiting.pop()) {
      const { $schema: _, ...inner } = this.read(path);
      others[this.names.get(path)!] = this.rewritten(inner, path, '', taken);
    }
    return Object.keys(others).length === 0 ? found : { ...found, $defs: { ...(found.$defs as object), ...others } };
  }

  private read(path: string): Schema {
    this.files.push(path);
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new ContractFileError(this.shown(path), '', `the file cannot be read: ${(error as Error).message}`);
    }
    if (!isSchema(value)) throw new ContractFileError(this.shown(path), '', 'a schema file holds a JSON object');
    return value;
  }

  /** A copy in which every `$ref` leads into the bundled document. */
  private rewritten(schema: unknown, path: string, pointer: string, taken: Set<string>): unknown {
    if (!isSchema(schema)) return schema;
    const inner = (value: unknown, ...steps: string[]): unknown => this.rewritten(value, path, steps.reduce(join, pointer), taken);
    return Object.fromEntries(Object.entries(schema).map(([name, value]) => {
      if (name === '$ref' && typeof value === 'string') return [name, this.reference(value, path, join(pointer, name), taken)];
      if (ONE.has(name)) return [name, inner(value, name)];
      if (MANY.has(name) && Array.isArray(value)) return [name, value.map((item, at) => inner(item, name, String(at)))];
      if (NAMED.has(name) && isSchema(value)) return [name, Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inner(item, name, key)]))];
      return [name, value];
    }));
  }

  private reference(ref: string, path: string, pointer: string, taken: Set<string>): string {
    const [place, inside] = ref.includes('#') ? [ref.slice(0, ref.indexOf('#')), ref.slice(ref.indexOf('#') + 1)] : [ref, ''];
    const wrong = (reason: string): never => {
      throw new ContractFileError(this.shown(path), pointer, reason);
    };
    if (place.includes(':') || place.startsWith('/')) wrong(`'${ref}' is not a file at or below this folder; nothing is fetched`);
    const target = place ? this.target(resolve(dirname(path), decodeURIComponent(place)), ref, place, wrong) : path;
    if (!this.names.has(target)) this.names.set(target, this.named(target, taken));
    const name = this.names.get(target)!;
    return `#${name && encodeURI(join('/$defs', name)).replace(/[!'()*;,?:@&=+#]/g, percent)}${inside}`;
  }

  private target(path: string, ref: string, place: string, wrong: (reason: string) => never): string {
    const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
    const target = isFile ? real(path) : path;
    if (!target.startsWith(this.folder + sep)) wrong(`'${ref}' leads out of the folder of the contract`);
    if (!isFile) wrong(`there is no file '${place}'`);
    return target;
  }

  private named(target: string, taken: Set<string>): string {
    let name = this.shown(target);
    while (taken.has(name)) name += '_';
    taken.add(name);
    this.waiting.push(target);
    return name;
  }

  private shown(path: string): string {
    return path === this.root ? this.path : relative(this.folder, path).split(sep).join('/');
  }
}

function percent(letter: string): string {
  return `%${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
