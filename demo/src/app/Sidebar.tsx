/** What there is in the scene: cities by name, layers, routes, regions. */
import { useDeferredValue, useState, type ReactElement } from 'react';
import { useCell } from '../cell';
import { pathTo, rowOf } from '../scene/paths';
import { move, type Value } from 'sharelite';
import { useQuery } from 'sharelite/react';
import { useReadOnly, useStudio } from './context';
import { useWords, wordsCell } from './words';

const CITIES = `SELECT a.id, a.name, a.country, a.population, l.color FROM annotation a LEFT JOIN layer l ON l.id = a.layer
  WHERE a.name LIKE ? ESCAPE '\\' ORDER BY a.population DESC, a.id LIMIT 40`;
const COUNT = 'SELECT count(*) AS n FROM annotation';
const LAYERS = 'SELECT l.id, l.title, l.color, l.visible, (SELECT count(*) FROM annotation a WHERE a.layer = l.id) AS n FROM layer l ORDER BY l."order"';
const SHAPES = `SELECT 'route' AS kind, id, title, "line.color" AS color FROM route UNION ALL SELECT 'area', id, title, "fill.color" FROM area`;
const DEFAULT_COLOR: Record<string, string> = { route: '#e5731a', area: '#43a047', layer: '#2f7ed8' };

type Rows = readonly Record<string, Value>[];

const regions: Record<string, Intl.DisplayNames> = {}, numbers: Record<string, Intl.NumberFormat> = {};
const like = (text: string): string => `%${text.replace(/[\\%_]/g, (sign) => `\\${sign}`)}%`;

export function countryName(code: string): string {
  const { language } = wordsCell.get();
  const names = (regions[language] ??= new Intl.DisplayNames([language], { type: 'region' }));
  try { return code ? names.of(code) ?? code : ''; } catch { return code; } // not every two letters are a region
}
export function people(count: number): string {
  const { language } = wordsCell.get();
  return (numbers[language] ??= new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 })).format(count);
}

export function Sidebar(): ReactElement {
  const words = useWords();
  const [text, setText] = useState('');
  const wanted = useDeferredValue(text);
  const cities = useQuery(CITIES, [like(wanted)]);
  const count = Number(useQuery(COUNT)[0]?.n ?? 0);
  return (
    <nav className="panel left" data-testid="sidebar">
      <div className="panel-tools">
        <input type="search" placeholder={words.search(count.toLocaleString(words.language))} aria-label={words.search(count.toLocaleString(words.language))} value={text} onChange={(event) => setText(event.target.value)} data-testid="search" />
      </div>
      <div className="panel-scroll">
        {text === '' && <><Layers /><Shapes /></>}
        <h3>{text ? words.found : words.largest}</h3>
        <Cities rows={cities} />
      </div>
    </nav>
  );
}

function Cities({ rows }: { rows: Rows }): ReactElement {
  const words = useWords();
  const { world } = useStudio();
  const selected = useCell(world.selected);
  return (
    <ul className="list" data-testid="cities">
      {rows.map((row) => {
        const path = pathTo('annotation', String(row.id));
        return (
          <li key={String(row.id)}>
            <button type="button" aria-current={selected === path} onClick={(event) => { if (event.shiftKey) { world.group.toggle(path); return; } world.selected.set(path); world.goTo(path); }} data-testid={`city:${String(row.id)}`}>
              <i className="dot" style={{ background: String(row.color ?? DEFAULT_COLOR.layer) }} />
              <span>{String(row.name)}<small>{countryName(String(row.country ?? ''))}</small></span>
              <em>{people(Number(row.population ?? 0))}</em>
            </button>
          </li>
        );
      })}
      {rows.length === 0 && <li className="empty">{words.nothingFound}</li>}
    </ul>
  );
}

function Layers(): ReactElement {
  const { world, editing, store } = useStudio();
  const words = useWords();
  const [over, setOver] = useState<string>();
  const rows = useQuery(LAYERS);
  const selected = useCell(world.selected);
  const readOnly = useReadOnly();
  const paths = rows.map((row) => pathTo('layer', String(row.id)));
  /** Puts a layer in the place of another one: before it on the way up, behind it on the way down. */
  const put = (path: string, target: string | undefined): void => {
    if (!target || path === target || readOnly || !paths.includes(path)) return;
    const up = paths.indexOf(target) < paths.indexOf(path);
    editing.tx((t) => { move(store, t, path, up ? { before: target } : { after: target }); }, 'order of layers');
  };
  const drop = (event: React.DragEvent, target: string): void => { event.preventDefault(); setOver(undefined); put(event.dataTransfer.getData('text/plain'), target); };
  const keys = (event: React.KeyboardEvent, path: string): void => {
    const step = event.altKey && event.key === 'ArrowUp' ? -1 : event.altKey && event.key === 'ArrowDown' ? 1 : 0;
    if (step === 0) return;
    event.preventDefault();
    put(path, paths[paths.indexOf(path) + step]);
  };
  return (
    <>
      <h3>{words.layers}</h3>
      <ul className="list" data-testid="layers">
        {rows.map((row) => {
          const path = pathTo('layer', String(row.id)), visible = row.visible !== 0;
          return (
            <li key={String(row.id)} className="with-action" draggable={!readOnly} data-over={over === path || undefined} title={readOnly ? undefined : words.moveLayer} data-layer={String(row.id)}
              onDragStart={(event) => event.dataTransfer.setData('text/plain', path)} onDragOver={(event) => { event.preventDefault(); setOver(path); }}
              onDragLeave={() => setOver(undefined)} onDrop={(event) => drop(event, path)} onKeyDown={(event) => keys(event, path)}>
              <button type="button" aria-current={selected === path} onClick={() => world.selected.set(path)} data-testid={`layer:${String(row.id)}`} data-dim={!visible || undefined}>
                <i className="dot" style={{ background: String(row.color ?? DEFAULT_COLOR.layer) }} /><span>{String(row.title)}</span><em>{Number(row.n) > 0 ? Number(row.n).toLocaleString(words.language) : ''}</em>
              </button>
              {!readOnly && <button type="button" className="eye" aria-pressed={visible} title={visible ? words.hide : words.show} aria-label={`${visible ? words.hide : words.show}: ${String(row.title)}`} onClick={() => editing.set(`${path}/visible`, !visible)} data-testid={`eye:${String(row.id)}`}>
                <svg viewBox="0 0 16 16"><path d="M1.5 8s2.4-4.2 6.5-4.2S14.5 8 14.5 8 12.1 12.2 8 12.2 1.5 8 1.5 8Z" />{visible ? <circle cx="8" cy="8" r="2" /> : <path d="m3 13.5 10-11" />}</svg>
              </button>}
            </li>
          );
        })}
      </ul>
    </>
  );
}

function Shapes(): ReactElement {
  const { world } = useStudio();
  const words = useWords();
  const rows = useQuery(SHAPES);
  const selected = useCell(world.selected);
  return (
    <>
      <h3>{words.shapes}</h3>
      <ul className="list" data-testid="shapes">
        {rows.map((row) => {
          const kind = String(row.kind), path = pathTo(kind, String(row.id));
          return (
            <li key={path}>
              <button type="button" aria-current={selected !== undefined && rowOf(selected) === path} onClick={() => { world.selected.set(path); world.goTo(path, 3); }} data-testid={`${kind}:${String(row.id)}`}>
                <i className={kind === 'route' ? 'dash' : 'square'} style={{ background: String(row.color ?? DEFAULT_COLOR[kind]) }} /><span>{String(row.title)}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </>
  );
}
