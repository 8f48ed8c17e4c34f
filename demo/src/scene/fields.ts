/** The properties of a row as the demo shows them, from what the product says of the contract. Nothing here knows annotations. */
import type { Tree } from 'sharelite';
import type { FieldNode } from 'sharelite/forms';

export type ControlKind = 'slider' | 'number' | 'checkbox' | 'select' | 'color' | 'text' | 'textarea';

/** What a property is edited with; undefined: it is not shown in a form. */
export function controlOf({ kind, extra, choices, references, readOnly, minimum, maximum }: FieldNode): ControlKind | undefined {
  const wish = extra['x-component'];
  if (readOnly || wish === 'hidden' || !SCALAR.has(kind)) return undefined;
  if (wish === 'textarea' || wish === 'color') return wish;
  if (choices || references !== undefined) return 'select';
  if (kind === 'boolean') return 'checkbox';
  if (kind !== 'number' && kind !== 'integer') return 'text';
  return wish !== 'number' && minimum !== undefined && maximum !== undefined ? 'slider' : 'number';
}

const SCALAR: ReadonlySet<FieldNode['kind']> = new Set(['string', 'number', 'integer', 'boolean']);

/** All properties below a node by their names with dots: `text.font.size`. Lists are left out. */
export function leavesOf(node: FieldNode, prefix = ''): [name: string, leaf: FieldNode][] {
  return node.fields.flatMap((field) => {
    const name = prefix + field.name;
    if (field.kind === 'object') return leavesOf(field, `${name}.`);
    return field.kind === 'list' ? [] : [[name, field] as [string, FieldNode]];
  });
}

/** How many properties that a form shows differ from their defaults. */
export function changedIn(node: FieldNode, tree: Tree | undefined): number {
  const cells = flatten(tree);
  return leavesOf(node).filter(([name, leaf]) => controlOf(leaf) && !leaf.required && (cells[name] ?? leaf.default) !== leaf.default).length;
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
