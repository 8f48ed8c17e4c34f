/** Files that are dropped on the page: GeoJSON goes into this scene, a SQLite file becomes a project of its own. */
import type { Say } from '../app/Toasts';
import { wordsCell, type Words } from '../app/words';
import type { Editing } from '../scene/editing';
import { read, type Placed } from './geojson';

/** Rows of one mutation: a slow line shows something soon, and nothing is too large to send. */
const AT_ONCE = 500;

/** Until the returned function is called. */
export function takeDrops(editing: Editing, say: Say): () => void {
  const stop = new AbortController();
  const on = (type: 'dragover' | 'drop', act: (event: DragEvent) => void): void => window.addEventListener(type, act, { signal: stop.signal });
  on('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
  on('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    for (const file of event.dataTransfer?.files ?? []) take(file, editing, say, stop.signal).catch((error: unknown) => say(words(error), 'problem'));
  });
  return () => stop.abort();
}

function hasFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

async function take(file: File, editing: Editing, say: Say, signal: AbortSignal): Promise<void> {
  const imports = await consoleImports();
  if (await imports.isDatabase(file)) return makeProject(file, imports, say, signal);
  if (!/\.(geo)?json$/i.test(file.name)) throw new Error(said().unknown(file.name));
  const { rows, skipped } = read(await file.text(), file.name, () => crypto.randomUUID());
  for (let start = 0; start < rows.length; start += AT_ONCE) {
    const some = rows.slice(start, start + AT_ONCE);
    if (!editing.tx((t) => some.forEach(({ list, value }) => t.insert(list, value)))) return;
  }
  say(said().read(file.name, counted(rows), skipped));
}

const LISTS = ['annotation', 'route', 'area'] as const;

function counted(rows: Placed[]): string {
  const lists = LISTS.map((list) => [list, rows.filter((row) => row.list === list).length] as const);
  return lists.filter(([, count]) => count > 0).map(([list, count]) => said()[list](count)).join(said().and) || said().nothing;
}

async function makeProject(file: File, imports: Imports, say: Say, signal: AbortSignal): Promise<void> {
  const name = file.name.replace(/\.[^.]+$/, '') || file.name;
  say(said().importing(file.name));
  const { report } = await imports.importFile(file, name, ask, () => undefined, signal);
  const tables = Object.keys(report.rows).length;
  const rows = Object.values(report.rows).reduce((sum, count) => sum + count, 0);
  say(said().imported(name, tables, rows));
}

async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  const bytes = body instanceof Blob;
  const type = bytes ? 'application/octet-stream' : 'application/json';
  const answer = await fetch(new URL(`../${path}`, document.baseURI), {
    method,
    ...(body === undefined ? {} : { headers: { 'Content-Type': type }, body: bytes ? body : JSON.stringify(body) }),
  });
  if (answer.ok) return answer;
  const told = (await answer.json()) as { error?: { message?: string } };
  throw Object.assign(new Error(told.error?.message ?? said().status(answer.status)), { status: answer.status });
}

interface Imports {
  isDatabase(file: File): Promise<boolean>;
  importFile(file: File, name: string, asking: typeof ask, tell: (progress: unknown) => void, signal: AbortSignal): Promise<{ report: { rows: Record<string, number> } }>;
}

/** The server has one body of this, which the console uses too. */
async function consoleImports(): Promise<Imports> {
  const address = new URL('../console/import.js', document.baseURI).href;
  return (await import(/* @vite-ignore */ address)) as Imports;
}

const said = (): Words['files'] => wordsCell.get().files;
const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
