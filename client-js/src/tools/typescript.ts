/**
 * TypeScript types of the trees that a contract describes, as the store reads them: defaults resolved.
 *
 * The server's `sharelite contract types` writes the very same text (SPEC C26); tests compare both.
 */
import { canonical } from '../contract/canonical.js';
import type { Branch, Contract, Leaf, Table } from '../contract/model.js';
import { readContract } from '../contract/read.js';
import { Document, sqlOf, isSchema, propertiesOf, type Schema } from '../contract/schema.js';
import { sha256 } from '../core/sha256.js';

const WORD = /^[A-Za-z_$][\p{L}\p{N}_$]*$/u;
const SCALARS: Record<string, string> = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null' };
const DEEPEST = 8;

/** The text of a module: an interface for each part and each item of a nested list, and one for the whole. */
export function typesOf(document: Schema, name: string): string {
  const hash = hex(sha256(new TextEncoder().encode(canonical(document))));
  return `${[...new Writer(readContract(document, hash), name).lines()].join('\n')}\n`;
}

class Writer {
  private readonly names = new Map<string, string>();
  private readonly document: Document;

  constructor(private readonly contract: Contract, private readonly name: string) {
    this.document = new Document(contract.document);
    for (const table of contract.tables.keys()) this.names.set(table, this.fresh(table));
  }

  *lines(): Generator<string> {
    const { document, hash, tables } = this.contract;
    const name = canonical(this.name || (document.title ?? 'a contract'));
    yield `// Made by sharelite from ${name} (${hash.slice(0, 12)}). Do not edit.`;
    for (const table of tables.values()) yield* this.part(table);
    yield '';
    yield '/** The whole project. */';
    yield 'export interface Project {';
    for (const table of tables.values())
      if (table.parent === undefined) yield `  ${property(table.name)}: ${this.names.get(table.name)}${table.singleton ? '' : '[]'};`;
    yield '}';
  }

  private *part(table: Table): Generator<string> {
    yield '';
    yield* comment(table.root.schema, '');
    yield `export interface ${this.names.get(table.name)} {`;
    if (table.hidden) {
      yield '  /** Chosen by whoever writes the item. */';
      yield table.own[0] === '_id' ? '  _id: string;' : '  _key: number | bigint;';
    }
    yield* this.members(table, table.root, '  ');
    yield '}';
  }

  private fresh(name: string): string {
    const words = name.match(/[\p{L}\p{N}]+/gu) ?? ['Part'];
    let pascal = words.map((word) => [...word].map((letter, at) => (at === 0 ? letter.toUpperCase() : letter)).join('')).join('');
    if (!WORD.test(pascal) || pascal === 'Project') pascal = `Part${pascal}`;
    const taken = new Set(this.names.values());
    let free = pascal;
    for (let n = 2; taken.has(free); n++) free = `${pascal}${n}`;
    return free;
  }

  private *members(table: Table, branch: Branch, indent: string): Generator<string> {
    for (const [name, node] of branch.properties) {
      if (node.kind === 'leaf') {
        yield* comment(node.schema, indent);
        const always = node.required || node.default !== undefined || table.own.includes(node.column);
        yield `${indent}${property(name)}${always ? '' : '?'}: ${this.leaf(node)};`;
      } else if (node.kind === 'list') {
        yield `${indent}${property(name)}: ${this.names.get(node.table.name)}[];`;
      } else {
        yield* comment(node.schema, indent);
        yield `${indent}${property(name)}${node.sparse ? '?' : ''}: {`;
        yield* this.members(table, node, `${indent}  `);
        yield `${indent}};`;
      }
    }
  }

  /** NULL reads as null only where the property is required; elsewhere it is absent. */
  private leaf({ schema, nullable, required }: Leaf): string {
    const shown = nullable && !required ? { ...schema, type: kindsOf(schema).filter((kind) => kind !== 'null') } : schema;
    return this.type(shown, 0);
  }

  /** A JSON Schema as a type; `unknown` where a type cannot say it. */
  private type(schema: unknown, depth: number): string {
    const found = this.document.follow(schema as Schema | boolean, '').schema;
    if (depth > DEEPEST) return 'unknown';
    if (sqlOf(found).any) return 'string | number | bigint | Uint8Array';
    if ('const' in found || 'enum' in found) return ((found.enum as unknown[] | undefined) ?? [found.const]).map(canonical).join(' | ');
    for (const word of ['oneOf', 'anyOf'])
      if (!('type' in found) && Array.isArray(found[word])) return union(found[word].map((one) => this.type(one, depth + 1)));
    return union(kindsOf(found).map((kind) => this.kind(kind, found, depth))) || 'unknown';
  }

  private kind(kind: string, schema: Schema, depth: number): string {
    if (kind === 'array') return this.array(schema, depth);
    return kind === 'object' ? this.object(schema, depth) : SCALARS[kind]!;
  }

  private array(schema: Schema, depth: number): string {
    const first = ((schema.prefixItems ?? []) as unknown[]).map((item) => this.type(item, depth + 1));
    const rest = schema.items ?? true;
    if (first.length === 0) return rest === false ? '[]' : `(${this.type(rest, depth + 1)})[]`;
    const least = (schema.minItems as number | undefined) ?? 0;
    const items = first.map((text, at) => (at >= least ? `${text}?` : text));
    if (rest !== false) items.push(`...(${this.type(rest, depth + 1)})[]`);
    return `[${items.join(', ')}]`;
  }

  private object(schema: Schema, depth: number): string {
    const wanted = new Set((schema.required ?? []) as string[]);
    const members = propertiesOf(schema).map(([name, inner]) => `${property(name)}${wanted.has(name) ? '' : '?'}: ${this.type(inner, depth + 1)}`);
    const more = schema.additionalProperties ?? true;
    if (members.length === 0) return `{ [property: string]: ${isSchema(more) ? this.type(more, depth + 1) : 'unknown'} }`;
    if (more !== false || 'patternProperties' in schema) members.push('[property: string]: unknown');
    return `{ ${members.join('; ')} }`;
  }
}

function kindsOf(schema: Schema): string[] {
  return [schema.type ?? []].flat() as string[];
}

function union(types: string[]): string {
  return [...new Set(types)].join(' | ');
}

function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : canonical(name);
}

function* comment(schema: Schema, indent: string): Generator<string> {
  const said = ['title', 'description'].map((word) => schema[word]).filter((text) => typeof text === 'string');
  const text = said.join(': ').trim().split(/\s+/u).join(' ').replaceAll('*/', '* /');
  const standard = 'default' in schema ? canonical(schema.default) : '';
  const sentence = text && standard && !/[.!?]$/.test(text) ? `${text}.` : text;
  const shown = [sentence, standard && `Default: ${standard}.`].filter(Boolean).join(' ').replaceAll('*/', '* /');
  if (shown) yield `${indent}/** ${shown} */`;
}

function hex(words: Uint32Array): string {
  return [...words].map((word) => word.toString(16).padStart(8, '0')).join('');
}
