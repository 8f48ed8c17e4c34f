/**
 * What a form needs to know of each property, from the contract alone: title, kind of control, bounds, choices, and its own
 * `x-` keywords. Our `x-sql` is left out; everything else that a UI library wrote there is passed on untouched.
 */
import type { Tree } from '../api.js';
import type { Contract, Leaf, Node, Table } from '../contract/model.js';
import { readContract } from '../contract/read.js';
import { sqlOf } from '../contract/schema.js';
import { parsePath } from '../paths/place.js';

/** One place of a form as the contract describes it. */
export interface FieldNode {
  kind: 'object' | 'list' | 'string' | 'integer' | 'number' | 'boolean' | 'bytes' | 'json';
  name: string;
  title: string;
  description?: string;
  /** undefined: none. */
  default?: Tree;
  required: boolean;
  readOnly: boolean;
  minimum?: number;
  maximum?: number;
  step?: number;
  /** The most characters of a text. */
  longest?: number;
  choices?: Tree[];
  /** The table whose rows' keys it names. */
  references?: string;
  format?: string;
  /** The `x-` keywords that are not ours, as they stand in the contract. */
  extra: Record<string, unknown>;
  /** Of an object: its properties. Of a list: those of one item. */
  fields: FieldNode[];
  /** Of a list: the properties whose values name an item in a path. */
  key?: readonly string[];
}

/** The tree of fields at a path of a row, or of the rows of a list. Throws StoreError where the contract has no such place. */
export function fieldsAt(document: Record<string, unknown>, path: string): FieldNode {
  const place = parsePath(contractOf(document), path);
  if (place.kind === 'list') return listNode(place.table.name, place.table);
  if (place.kind === 'leaf') return leafNode(place.node);
  return objectNode(place.node.name, place.node.schema, place.node.properties, true);
}

/** A path as changes, conflicts and faults name it: one segment for each name. Throws as `fieldsAt` does. */
export function plainPath(document: Record<string, unknown>, path: string): string {
  return parsePath(contractOf(document), path).path;
}

const read = new WeakMap<object, Contract>();

function contractOf(document: Record<string, unknown>): Contract {
  let contract = read.get(document);
  if (contract === undefined) read.set(document, (contract = readContract(document, '')));
  return contract;
}

type Properties = ReadonlyMap<string, Node>;

function nodeOf(node: Node): FieldNode {
  if (node.kind === 'leaf') return leafNode(node);
  if (node.kind === 'list') return listNode(node.name, node.table);
  return objectNode(node.name, node.schema, node.properties, !node.sparse);
}

function objectNode(name: string, schema: Record<string, unknown>, properties: Properties, required: boolean): FieldNode {
  return { ...said(name, schema), kind: 'object', required, fields: [...properties.values()].map(nodeOf) };
}

function listNode(name: string, { root, own }: Table): FieldNode {
  return { ...said(name, root.schema), kind: 'list', required: false, fields: [...root.properties.values()].map(nodeOf), key: own };
}

const KINDS: Record<string, FieldNode['kind']> = { string: 'string', integer: 'integer', number: 'number', boolean: 'boolean' };

function leafNode(leaf: Leaf): FieldNode {
  const { schema, form, kinds } = leaf;
  const [kind] = kinds;
  const number = (word: string): number | undefined => (typeof schema[word] === 'number' ? (schema[word] as number) : undefined);
  return {
    ...said(leaf.name, schema),
    kind: form === 'base64' ? 'bytes' : (kinds.size === 1 ? KINDS[kind!] : undefined) ?? 'json',
    ...present({
      default: leaf.default,
      minimum: number('minimum') ?? number('exclusiveMinimum'),
      maximum: number('maximum') ?? number('exclusiveMaximum'),
      step: number('multipleOf') ?? (kind === 'integer' ? 1 : undefined),
      longest: number('maxLength'),
      references: text(sqlOf(schema).references),
      choices: (schema.enum ?? ('const' in schema ? [schema.const] : undefined)) as Tree[] | undefined,
      format: text(schema.format),
    }),
    required: leaf.required,
    fields: [],
  };
}

function said(name: string, schema: Record<string, unknown>): Pick<FieldNode, 'name' | 'title' | 'description' | 'readOnly' | 'extra'> {
  const { title, description, readOnly } = schema;
  const extra = Object.fromEntries(Object.entries(schema).filter(([word]) => word.startsWith('x-') && word !== 'x-sql'));
  return {
    name,
    title: typeof title === 'string' ? title : inWords(name),
    ...(typeof description === 'string' ? { description } : {}),
    readOnly: readOnly === true,
    extra,
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** `fontSize` and `font_size` are "Font size". */
function inWords(name: string): string {
  const words = name.replace(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2').replace(/[_-]+/g, ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function present<T extends object>(values: T): Partial<{ [K in keyof T]: NonNullable<T[K]> }> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
