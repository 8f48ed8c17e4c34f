/** formily's addresses (`points.0.x`) and the store's paths (`route/r1/points/p7/x`) name the same places. */
import type { Tree } from '../api.js';
import type { FieldNode } from '../forms/fields.js';

/** The path of an address. `whole`: it lies in an item that has no key yet, so the list at this address is written whole. */
export function pathOf(row: string, node: FieldNode, address: string, values: unknown): { path: string; whole?: string } {
  let path = row;
  let at: FieldNode | undefined = node;
  let value: unknown = values;
  const steps = address.split('.');
  for (const [place, step] of steps.entries()) {
    value = (value as Record<string, unknown> | undefined)?.[step];
    if (at?.kind === 'list') {
      const key = (at.key ?? []).map((name) => (value as Record<string, unknown> | undefined)?.[name]);
      if (key.some((part) => part === undefined || part === null)) return { path, whole: steps.slice(0, place).join('.') };
      path += `/${keyOf(at, value)}`;
      at = { ...at, kind: 'object' };
    } else {
      path += `/${step.replaceAll('%', '%25').replaceAll('/', '%2F')}`;
      at = at?.fields.find((field) => field.name === step);
    }
  }
  return { path };
}

/** The address of a path at or below the row; undefined: the row itself. Where an item came or went, the list is meant. */
export function addressOf(row: string, node: FieldNode, path: string, value: Tree | undefined): string | undefined {
  if (!path.startsWith(`${row}/`)) return undefined;
  const steps: string[] = [];
  let at: unknown = value;
  let here: FieldNode | undefined = node;
  for (const segment of path.slice(row.length + 1).split('/')) {
    if (here?.kind === 'list') {
      const index = ((at ?? []) as unknown[]).findIndex((item) => keyOf(here!, item) === segment);
      if (index < 0) return steps.join('.');
      steps.push(String(index));
      at = (at as unknown[])[index];
      here = { ...here, kind: 'object' };
    } else {
      const name = decodeURIComponent(segment);
      steps.push(name);
      at = (at as Record<string, unknown> | undefined | null)?.[name];
      here = here?.fields.find((field) => field.name === name);
    }
  }
  return steps.join('.');
}

function keyOf({ key = [] }: FieldNode, item: unknown): string {
  return key.map((name) => encodeURIComponent(String((item as Record<string, unknown>)[name]))).join(',');
}
