/** Steps as a text, to be found again when the page was loaded again; the newest that fit. */
import type { Shelf } from '../api.js';
import { decodeChange, encodeChange } from '../capture/wire.js';
import type { TableInfo } from '../core/types.js';
import { changesOf, type Step } from './steps.js';

/** Characters; a page has about five million for everything. */
const MOST = 500_000;

export interface Stacks { undos: Step[]; redos: Step[] }

export function write(shelf: Shelf, name: string, { undos, redos }: Stacks, tables: ReadonlyMap<string, TableInfo>): void {
  const [kept, size] = newest(undos, MOST, tables);
  const [again] = newest(redos, MOST - size, tables);
  try {
    if (kept.length + again.length === 0) shelf.removeItem(name);
    else shelf.setItem(name, `{"format":1,"undos":[${kept.join(',')}],"redos":[${again.join(',')}]}`);
  } catch {
    // The page's storage is full or closed; half of a history would be worse than none.
    shelf.removeItem(name);
  }
}

/** Nothing where there is nothing, or where it cannot be understood. */
export function read(shelf: Shelf, name: string): Stacks {
  try {
    const text = shelf.getItem(name);
    const { format, undos, redos } = text === null ? EMPTY : (JSON.parse(text) as Kept);
    return format === 1 ? { undos: undos.map(stepOf), redos: redos.map(stepOf) } : { undos: [], redos: [] };
  } catch {
    return { undos: [], redos: [] };
  }
}

interface KeptStep { tag?: string; at: number; changes: unknown[] }
interface Kept { format: number; undos: KeptStep[]; redos: KeptStep[] }
const EMPTY: Kept = { format: 1, undos: [], redos: [] };

function stepOf({ tag, at, changes }: KeptStep): Step {
  return { ...(tag === undefined ? {} : { tag }), at, writes: [{ id: undefined, changes: changes.map(decodeChange) }] };
}

function newest(steps: readonly Step[], most: number, tables: ReadonlyMap<string, TableInfo>): [texts: string[], size: number] {
  const texts: string[] = [];
  let size = 0;
  for (const step of steps.toReversed()) {
    const text = textOf(step, tables);
    if (size + text.length > most) break;
    size += text.length;
    texts.unshift(text);
  }
  return [texts, size];
}

function textOf(step: Step, tables: ReadonlyMap<string, TableInfo>): string {
  const changes = changesOf(step).map((change) => encodeChange(change, tables.get(change[1])?.types ?? new Map()));
  return JSON.stringify({ tag: step.tag, at: step.at, changes });
}
