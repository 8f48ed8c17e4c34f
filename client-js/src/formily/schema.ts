/** A formily schema from the contract: our keywords apart, formily's own (`x-component`, `x-reactions`, `x-index` ...) kept. */
import { fieldsAt, type FieldNode } from '../forms/fields.js';

/** A schema as `@formily/json-schema` reads it. */
export type FormilySchema = Record<string, unknown>;

/** How properties get their components. */
export interface SchemaOptions {
  /** What shows a property for which the contract names no component. Default: the names of formily's own component sets. */
  component?: (node: FieldNode) => FormilySchema;
}

/** The schema of the form of a row (`annotation/a1`), of an object in it, or of one property. */
export function formilySchema(document: Record<string, unknown>, path: string, { component = standardComponent }: SchemaOptions = {}): FormilySchema {
  return schemaOf(fieldsAt(document, path), component);
}

const TYPES: Record<FieldNode['kind'], string> = {
  object: 'object', list: 'array', string: 'string', integer: 'number', number: 'number', boolean: 'boolean', bytes: 'string', json: 'object',
};

function schemaOf(node: FieldNode, component: NonNullable<SchemaOptions['component']>): FormilySchema {
  const inner = Object.fromEntries(node.fields.map((field) => [field.name, schemaOf(field, component)]));
  return {
    type: TYPES[node.kind],
    title: node.title,
    ...(node.description === undefined ? {} : { description: node.description }),
    ...(node.required && node.kind !== 'object' ? { required: true } : {}),
    ...(node.readOnly ? { readOnly: true } : {}),
    ...(node.choices === undefined ? {} : { enum: node.choices.map((value) => ({ label: String(value), value })) }),
    ...component(node),
    ...node.extra,
    ...(node.kind === 'object' ? { properties: inner } : {}),
    ...(node.kind === 'list' ? { items: { type: 'object', properties: inner } } : {}),
  };
}

function standardComponent(node: FieldNode): FormilySchema {
  if (node.kind === 'object') return {};
  const { minimum: min, maximum: max, step } = node;
  const props = Object.fromEntries(Object.entries({ min, max, step }).filter(([, value]) => value !== undefined));
  return { 'x-decorator': 'FormItem', 'x-component': nameOf(node), ...(Object.keys(props).length > 0 ? { 'x-component-props': props } : {}) };
}

function nameOf({ kind, choices, format, minimum, maximum }: FieldNode): string {
  if (choices !== undefined) return 'Select';
  if (format === 'color') return 'ColorPicker';
  if (kind === 'boolean') return 'Switch';
  if (kind === 'list') return 'ArrayTable';
  if (kind === 'integer' || kind === 'number') return minimum !== undefined && maximum !== undefined ? 'Slider' : 'NumberPicker';
  return kind === 'string' ? 'Input' : 'Input.TextArea';
}
