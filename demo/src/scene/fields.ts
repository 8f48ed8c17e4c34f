/** The contract as a form sees it: one field per property, found by walking the JSON Schema. Nothing here knows annotations. */
import type { Tree } from 'sharelite';

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Tree;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  enum?: string[];
  readOnly?: boolean;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  'x-component'?: string;
  'x-step'?: number;
  'x-unit'?: string;
  'x-automatic'?: string;
  'x-sql'?: { key?: string | string[]; references?: string };
}

export type Control = 'slider' | 'number' | 'checkbox' | 'select' | 'color' | 'text' | 'textarea' | 'hidden';

export interface Field {
  /** With dots: `text.font.size`. */
  name: string;
  title: string;
  control: Control;
  schema: Schema;
  /** undefined: none, the property may be absent. */
  default: Tree | undefined;
  required: boolean;
}

/** A nested object: its own fields, then the objects in it. */
export interface Group {
  name: string;
  title: string;
  fields: Field[];
  groups: Group[];
}

/** The schema of one row of a table, or of a singleton. */
export function rowSchema(document: Record<string, unknown>, table: string): Schema {
  let schema: Schema | undefined = document as Schema;
  for (const part of table.split('.')) {
    schema = schema?.properties?.[part];
    if (schema?.type === 'array') schema = schema.items;
  }
  if (!schema) throw new Error(`the contract has no ${table}`);
  return schema;
}

export function groupOf(schema: Schema, name = '', title = schema.title ?? name): Group {
  const group: Group = { name, title, fields: [], groups: [] };
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const path = name ? `${name}.${key}` : key;
    if (property.type === 'object' && property.properties) group.groups.push(groupOf(property, path, property.title ?? key));
    else if (property.type !== 'array') group.fields.push(fieldOf(path, key, property, schema.required?.includes(key) ?? false));
  }
  return group;
}

export function allFields(group: Group): Field[] {
  return [...group.fields, ...group.groups.flatMap(allFields)];
}

function fieldOf(name: string, key: string, schema: Schema, required: boolean): Field {
  return { name, title: schema.title ?? key, control: controlOf(schema), schema, default: schema.default, required };
}

function controlOf(schema: Schema): Control {
  const wish = schema['x-component'];
  if (wish === 'hidden' || wish === 'textarea' || wish === 'color') return wish;
  if (schema.enum || schema['x-sql']?.references) return 'select';
  if (schema.type === 'boolean') return 'checkbox';
  if (schema.type === 'number' || schema.type === 'integer') {
    return wish !== 'number' && schema.minimum !== undefined && schema.maximum !== undefined ? 'slider' : 'number';
  }
  return 'text';
}

/** A tree with all nested objects taken apart: `{icon: {size: 3}}` as `{'icon.size': 3}`. Lists are left out. */
export function flatten(tree: Tree | undefined, prefix = '', out: Record<string, Tree> = {}): Record<string, Tree> {
  if (tree === null || typeof tree !== 'object' || Array.isArray(tree) || tree instanceof Uint8Array) return out;
  for (const [key, value] of Object.entries(tree)) {
    if (Array.isArray(value)) continue;
    if (value !== null && typeof value === 'object' && !(value instanceof Uint8Array)) flatten(value, `${prefix}${key}.`, out);
    else out[prefix + key] = value;
  }
  return out;
}
