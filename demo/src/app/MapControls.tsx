/** Buttons on the map, and what is known of the thing below the pointer. */
import type { ReactElement } from 'react';
import { useCell } from '../cell';
import { idIn, rowOf, tableOf } from '../scene/paths';
import { useRow } from 'sharelite/react';
import { useReadOnly, useStudio } from './context';
import { countryName, people } from './Sidebar';
import { useWords } from './words';

export function MapControls(): ReactElement {
  const { world } = useStudio();
  const words = useWords();
  const round = useCell(world.round);
  const readOnly = useReadOnly();
  const zoom = (by: number): void => world.gestures.zoomAt(world.stage.camera.width / 2, world.stage.camera.height / 2, by, 240);
  const upright = (): void => world.stage.flyTo({ pitch: 0, bearing: 0 });
  return (
    <div className="map-controls">
      <div className="segmented" role="group">
        <button type="button" aria-pressed={round} onClick={() => world.turn(true)} data-testid="globe">{words.globe}</button>
        <button type="button" aria-pressed={!round} onClick={() => world.turn(false)} data-testid="map">{words.map}</button>
      </div>
      <div className="segmented">
        <button type="button" title={words.closer} aria-label={words.closer} onClick={() => zoom(1)} data-testid="closer">+</button>
        <button type="button" title={words.farther} aria-label={words.farther} onClick={() => zoom(-1)} data-testid="farther">−</button>
        <button type="button" title={words.north} aria-label={words.north} onClick={upright} data-testid="upright">N</button>
      </div>
      {!readOnly && <AddButton />}
      <span className="credit">{words.credit}</span>
    </div>
  );
}

/** A new annotation in the middle of the view. */
function AddButton(): ReactElement {
  const { world, editing, store } = useStudio();
  const words = useWords();
  const add = (): void => {
    const { lon, lat } = world.stage.camera;
    const id = `${store.status.client.slice(0, 8)}-${Date.now().toString(36)}`;
    const row = { id, name: words.newPlace, position: { lon: Math.round(lon * 1e4) / 1e4, lat: Math.round(lat * 1e4) / 1e4 }, icon: { shape: 'pin', size: 22, color: '#f4d35e' }, visibility: { priority: 50 } };
    if (editing.tx((t) => { t.insert('annotation', row); })) world.selected.set(`annotation/${id}`);
  };
  return <div className="segmented"><button type="button" onClick={add} title={words.addHere} data-testid="add">{words.add}</button></div>;
}

export function Tooltip(): ReactElement | null {
  const { world } = useStudio();
  const hover = useCell(world.hovered);
  return hover ? <TooltipOf key={hover.path} path={hover.path} x={hover.x} y={hover.y} /> : null;
}

function TooltipOf({ path, x, y }: { path: string; x: number; y: number }): ReactElement {
  const style = { transform: `translate(${x + 14}px, ${y + 12}px)` };
  return (
    <div className="tooltip" style={style} data-testid="tooltip">
      {tableOf(path) === 'annotation' ? <AboutCity id={idIn(path)!} /> : path === rowOf(path) ? <AboutRoute path={path} /> : <AboutPoint path={path} />}
    </div>
  );
}

function AboutCity({ id }: { id: string }): ReactElement {
  const words = useWords();
  const { world } = useStudio();
  const read = world.annotations.data.read(world.annotations.data.index.get(id) ?? -1);
  const population = Number(read('population') ?? 0);
  const facts = [countryName(String(read('country') ?? '')), population ? words.people(people(population)) : '', String(read('interaction.tooltip') ?? '')];
  return <><b>{String(read('name') ?? '')}</b><small>{facts.filter(Boolean).join(' · ')}</small></>;
}

function AboutRoute({ path }: { path: string }): ReactElement {
  const title = useRow<string>(`${path}/title`);
  return <b>{String(title ?? '')}</b>;
}

function AboutPoint({ path }: { path: string }): ReactElement {
  const words = useWords();
  const name = useRow<string>(`${path}/name`);
  const readOnly = useReadOnly();
  return <><b>{String(name || words.routePoint)}</b>{!readOnly && <small>{words.dragToMove}</small>}</>;
}
