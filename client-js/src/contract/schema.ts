/** Questions to the schemas of a contract's document: what the design's section 7 makes of each. */
import type { Tree } from '../api.js';
import type { ColumnType, Form, Leaf } from './model.js';
import { freeze } from './show.js';

export type Schema = Record<string, unknown>;

/** A schema with its references followed, and where the last one led. */
export interface Place {
  schema: Schema;
  pointer: string;
}

/** Keywords whose value is a schema, a list of schemas, schemas by name. */
export const ONE = new Set([
  'items', 'additionalProperties', 'unevaluatedItems', 'unevaluatedProperties', 'contains', 'propertyNames', 'not', 'if', 'then', 'else',
]);
export const MANY = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
export const NAMED = new Set(['$defs', 'properties', 'patternProperties', 'dependentSchemas']);

/** A contract's document. The server has checked it: references are local, lead somewhere and not in a circle. */
export class Document {
  private readonly contained = new Map<string, boolean>();

  constructor(readonly value: Schema) {}

  at(pointer: string): unknown {
    const steps = pointer.split('/').slice(1).map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    return steps.reduce<unknown>((value, step) => (value as Schema | undefined)?.[step], this.value);
  }

  follow(schema: Schema | boolean, pointer: string): Place {
    let beside: Schema = {};
    while (isSchema(schema) && typeof schema.$ref === 'string') {
      const { $ref, ...own } = schema;
      beside = both(own, beside);
      pointer = target($ref as string);
      schema = this.at(pointer) as Schema | boolean;
    }
    // `true` allows everything, `false` nothing.
    const found: Schema = isSchema(schema) ? schema : schema === false ? { not: {} } : {};
    return { schema: Object.keys(beside).length > 0 ? both(found, beside) : found, pointer };
  }

  /** Whether the schema at the pointer can be reached again from itself. */
  recursive(pointer: string): boolean {
    let known = this.contained.get(pointer);
    if (known === undefined) this.contained.set(pointer, (known = this.reaches(pointer, pointer, new Set())));
    return known;
  }

  private reaches(from: string, wanted: string, seen: Set<string>): boolean {
    const schema = this.at(from);
    if (typeof schema !== 'object' || schema === null || seen.has(from)) return false;
    seen.add(from);
    return next(schema as Schema, from).some((pointer) => pointer === wanted || this.reaches(pointer, wanted, seen));
  }

  /** An object whose properties become columns. */
  flattens({ schema, pointer }: Place): boolean {
    const closed = (schema.additionalProperties ?? false) === false && schema.patternProperties === undefined;
    return schema.type === 'object' && schema.properties !== undefined && closed && !this.recursive(pointer);
  }

  /** An array of such objects, which becomes a child table. */
  isRows({ schema, pointer }: Place): boolean {
    if (schema.type !== 'array' || schema.prefixItems !== undefined || this.recursive(pointer)) return false;
    return isSchema(schema.items) && this.flattens(this.follow(schema.items, `${pointer}/items`));
  }
}

/** Pointers of the schemas that a schema asks, `$defs` left out: they count where they are referred to. */
function next(schema: Schema, pointer: string): string[] {
  const found = typeof schema.$ref === 'string' ? [target(schema.$ref)] : [];
  for (const [name, value] of Object.entries(schema)) {
    if (ONE.has(name)) found.push(`${pointer}/${name}`);
    else if (MANY.has(name)) found.push(...(value as unknown[]).map((_, at) => `${pointer}/${name}/${at}`));
    else if (NAMED.has(name) && name !== '$defs') found.push(...Object.keys(value as object).map((key) => join(`${pointer}/${name}`, key)));
  }
  return found;
}

function target(ref: string): string {
  return decodeURIComponent(ref.slice(1));
}

export function join(pointer: string, step: string): string {
  return `${pointer}/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

const ANNOTATIONS = new Set([
  'title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly', '$comment', 'format', 'x-sql',
]);

/** A schema that asks for what both ask for; annotations of the outer one win. */
function both(inner: Schema, outer: Schema): Schema {
  const merged: Schema = { ...inner };
  const also: Schema = {};
  for (const [name, value] of Object.entries(outer)) {
    if (name === 'x-sql' && name in inner) merged[name] = { ...(inner[name] as Schema), ...(value as Schema) };
    else if (name === 'required') merged[name] = [...new Set([...((inner[name] ?? []) as string[]), ...(value as string[])])];
    else if (!(name in inner) || ANNOTATIONS.has(name) || name.startsWith('x-')) merged[name] = value;
    else also[name] = value;
  }
  if (Object.keys(also).length > 0) merged.allOf = [...((merged.allOf ?? []) as Schema[]), also];
  return merged;
}

export function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function sqlOf(schema: Schema): Record<string, unknown> {
  return (schema['x-sql'] ?? {}) as Record<string, unknown>;
}

export function propertiesOf(schema: Schema): [string, Schema][] {
  return Object.entries((schema.properties ?? {}) as Record<string, Schema>);
}

const SCALARS = new Set(['string', 'integer', 'number', 'boolean']);

export function leafOf(name: string, column: string, schema: Schema, required: boolean): Leaf {
  const said = new Set([schema.type ?? []].flat() as string[]);
  // Without a `type`, a JSON value that is null cannot be told from none.
  const nullable = said.delete('null');
  const scalar = said.size > 0 && [...said].every((kind) => SCALARS.has(kind));
  const kinds = sqlOf(schema).any ? ANYTHING : scalar ? said : new Set<string>();
  const [type, form] = typeOf(kinds, schema);
  const value = schema.default === undefined ? undefined : freeze(schema.default as Tree);
  return { kind: 'leaf', name, column, type, form, kinds, schema, required, nullable, default: value === null ? undefined : value, index: -1 };
}

/** What `x-sql.any` opens a column to. */
const ANYTHING = new Set(['string', 'integer', 'number', 'bytes']);
const TYPES: Record<string, ColumnType> = { string: 'TEXT', integer: 'INTEGER', number: 'REAL', boolean: 'INTEGER' };

/** `kinds`: the scalar JSON types; none: any JSON value. */
function typeOf(kinds: Set<string>, schema: Schema): [ColumnType, Form] {
  if (kinds.size === 0) return ['TEXT', 'json'];
  const [kind] = kinds;
  if (kinds.size === 1 && kind === 'string' && schema.contentEncoding === 'base64') return ['BLOB', 'base64'];
  if (kinds.size === 2 && kinds.has('integer') && kinds.has('number')) return ['REAL', 'plain'];
  return [kinds.size > 1 ? 'ANY' : TYPES[kind!]!, kinds.has('boolean') ? 'boolean' : 'plain'];
}
