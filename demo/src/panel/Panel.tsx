/** The property panel: what is selected, how edits are sent, and the form. */
import { useEffect, useState, type ReactElement } from 'react';
import { useCell } from '../cell';
import { useProperty, useReadOnly, useStudio } from '../app/context';
import { rowOf, tableOf } from '../scene/paths';
import { Form, type Filter } from './Form';
import { Points } from './Points';

/** `route/r1/points/p7` is a row of the table `route.points`; a singleton is a row by itself. */
function tableAt(path: string): string {
  return path.split('/').filter((_, k) => k % 2 === 0).join('.');
}

const KINDS: Record<string, string> = { annotation: 'Annotation', route: 'Route', 'route.points': 'Route point', area: 'Area', layer: 'Layer', scene: 'Scene' };

export function Panel(): ReactElement {
  const { world } = useStudio();
  const row = useCell(world.selected);
  const [filter, setFilter] = useState<Filter>({ text: '', changedOnly: false });
  if (!row) return <Nothing />;
  return (
    <aside className="panel right" data-testid="panel" data-row={row}>
      <Head row={row} />
      <div className="panel-tools">
        <input type="search" placeholder="Find a property" value={filter.text} onChange={(event) => setFilter({ ...filter, text: event.target.value })} data-testid="property-search" />
        <button type="button" className="chip" aria-pressed={filter.changedOnly} onClick={() => setFilter({ ...filter, changedOnly: !filter.changedOnly })} data-testid="changed-only">Changed</button>
      </div>
      <div className="panel-scroll">
        <Form key={row} row={row} table={tableAt(row)} filter={filter} />
        {tableOf(row) === 'route' && row === rowOf(row) && <Points route={row} />}
      </div>
      <Foot />
    </aside>
  );
}

function Nothing(): ReactElement {
  const readOnly = useReadOnly();
  return (
    <aside className="panel right hint" data-testid="panel">
      <h2>Nothing selected</h2>
      <p>Click a city, a route or a region, or find one on the left.{!readOnly && ' Drag what is selected to move it.'}</p>
      <p><kbd>drag</kbd> to move around, <kbd>wheel</kbd> to come closer, <kbd>right drag</kbd> to tilt.</p>
    </aside>
  );
}

function Head({ row }: { row: string }): ReactElement {
  const { world, editing, say, viewer } = useStudio();
  const readOnly = useReadOnly();
  const table = tableAt(row);
  const name = useProperty(`${row}/${table === 'annotation' || table === 'route.points' ? 'name' : 'title'}`);
  const tree = useProperty(row);
  // What is looked at in a file may still be on its way, and is never removed.
  const gone = tree === undefined && !viewer;
  useEffect(() => {
    if (!gone) return;
    world.selected.set(undefined);
    say('What was selected has been removed.');
  }, [gone, world, say]);
  const removable = table !== 'scene' && table !== 'layer' && !readOnly;
  /** What one has removed oneself is no news; after a point its route is looked at. */
  const remove = (): void => {
    if (editing.tx((t) => t.delete(row))) world.selected.set(rowOf(row) === row ? undefined : rowOf(row));
  };
  return (
    <header className="panel-head">
      <div>
        <small>{KINDS[table] ?? table}</small>
        <h2 data-testid="selected-name">{String(name ?? '')}</h2>
      </div>
      <button type="button" className="icon-button" title="Show on the map" onClick={() => world.goTo(row)} data-testid="go-to"><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="4" /><path d="M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3" /></svg></button>
      {removable && <button type="button" className="icon-button" title="Remove" onClick={remove} data-testid="remove"><svg viewBox="0 0 16 16"><path d="M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9" /></svg></button>}
      <button type="button" className="icon-button" title="Close" onClick={() => world.selected.set(undefined)}><svg viewBox="0 0 16 16"><path d="m4 4 8 8M12 4l-8 8" /></svg></button>
    </header>
  );
}

function Foot(): ReactElement {
  const { editing } = useStudio();
  const session = useCell(editing.session);
  const live = useCell(editing.live);
  if (useReadOnly()) return <footer className="panel-foot"><span data-testid="read-only">Read only</span></footer>;
  if (!session) {
    return (
      <footer className="panel-foot">
        <button type="button" className="primary" onClick={() => editing.begin()} data-testid="edit">Edit session</button>
        <label className="live" title="Send every step of a drag, so that others see it move">
          <input type="checkbox" checked={live} onChange={(event) => editing.live.set(event.target.checked)} data-testid="live" /> Live
        </label>
        <span className="foot-note">Sent when you let go</span>
      </footer>
    );
  }
  return (
    <footer className="panel-foot session" data-testid="session">
      <span data-testid="session-count">{session.changes.length === 0 ? 'Nothing changed yet' : session.changes.length === 1 ? '1 change, not sent' : `${session.changes.length} changes, not sent`}</span>
      <button type="button" onClick={() => editing.cancel()} data-testid="cancel">Cancel</button>
      <button type="button" className="primary" onClick={() => editing.save()} data-testid="save">Save</button>
    </footer>
  );
}
