/** The property panel: what is selected, how edits are sent, and the form. */
import { useEffect, useState, type ReactElement } from 'react';
import { remove as removeAll } from '../app/Keys';
import { openPanelWindow } from '../app/selection';
import { useCell } from '../cell';
import { useProperty, useReadOnly, useDesk } from '../app/context';
import { rowOf, tableOf } from '../scene/paths';
import { useWords } from '../app/words';
import { Form, type Filter } from './Form';
import { Points } from './Points';

/** `route/r1/points/p7` is a row of the table `route.points`; a singleton is a row by itself. */
function tableAt(path: string): string {
  return path.split('/').filter((_, k) => k % 2 === 0).join('.');
}

export function Panel(): ReactElement {
  const { selection } = useDesk();
  const words = useWords();
  const row = useCell(selection.selected);
  const [filter, setFilter] = useState<Filter>({ text: '', changedOnly: false });
  if (!row) return <Nothing />;
  return (
    <aside className="panel right" data-testid="panel" data-row={row}>
      <Head row={row} />
      <div className="panel-tools">
        <input type="search" placeholder={words.find} aria-label={words.find} value={filter.text} onChange={(event) => setFilter({ ...filter, text: event.target.value })} data-testid="property-search" />
        <button type="button" className="chip" aria-pressed={filter.changedOnly} onClick={() => setFilter({ ...filter, changedOnly: !filter.changedOnly })} data-testid="changed-only">{words.changed}</button>
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
  const words = useWords();
  return (
    <aside className="panel right hint" data-testid="panel">
      <h2>{words.nothingSelected}</h2>
      <p>{words.howToSelect}{!readOnly && ` ${words.howToMove}`}</p>
      <p>{words.howToLook.map(([key, what]) => <span key={key}><kbd>{key}</kbd> {what} </span>)}</p>
    </aside>
  );
}

function Head({ row }: { row: string }): ReactElement {
  const desk = useDesk();
  const { selection, editing, say, viewer } = desk;
  const words = useWords();
  const count = useCell(selection.group.rows).length;
  const readOnly = useReadOnly();
  const table = tableAt(row);
  const name = useProperty(`${row}/${table === 'annotation' || table === 'route.points' ? 'name' : 'title'}`);
  const tree = useProperty(row);
  // What is looked at in a file may still be on its way, and is never removed.
  const gone = tree === undefined && !viewer;
  useEffect(() => {
    if (!gone) return;
    selection.selected.set(undefined);
    say(words.removed);
  }, [gone, selection, say, words]);
  const removable = table !== 'scene' && table !== 'layer' && !readOnly;
  /** What one has removed oneself is no news; after a point its route is looked at. */
  const remove = (): void => {
    if (count > 1) removeAll(desk);
    else if (editing.tx((t) => t.delete(row), 'remove')) selection.selected.set(rowOf(row) === row ? undefined : rowOf(row));
  };
  return (
    <header className="panel-head">
      <div>
        <small>{count > 1 ? words.together : words.kinds[table] ?? table}</small>
        <h2 data-testid="selected-name">{count > 1 ? words.selectedCount(count) : String(name ?? '')}</h2>
      </div>
      <button type="button" className="icon-button" title={words.showOnMap} aria-label={words.showOnMap} onClick={() => selection.goTo(row)} data-testid="go-to"><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="4" /><path d="M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3" /></svg></button>
      {removable && <button type="button" className="icon-button" title={words.remove} aria-label={words.remove} onClick={remove} data-testid="remove"><svg viewBox="0 0 16 16"><path d="M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9" /></svg></button>}
      {!('panel' in document.body.dataset) && <button type="button" className="icon-button" title={words.ownWindow} aria-label={words.ownWindow} onClick={() => openPanelWindow(desk.address)} data-testid="own-window"><svg viewBox="0 0 16 16"><path d="M6.5 3.5h-3v9h9v-3M9 3.5h3.5V7M12.2 3.8 7.5 8.5" /></svg></button>}
      <button type="button" className="icon-button" title={words.close} aria-label={words.close} onClick={() => selection.selected.set(undefined)}><svg viewBox="0 0 16 16"><path d="m4 4 8 8M12 4l-8 8" /></svg></button>
    </header>
  );
}

function Foot(): ReactElement {
  const { editing } = useDesk();
  const session = useCell(editing.session);
  const live = useCell(editing.live);
  const words = useWords();
  if (useReadOnly()) return <footer className="panel-foot"><span data-testid="read-only">{words.readOnly}</span></footer>;
  if (!session) {
    return (
      <footer className="panel-foot">
        <button type="button" className="primary" onClick={() => editing.begin()} data-testid="edit">{words.editSession}</button>
        <label className="live" title={words.liveHint}>
          <input type="checkbox" checked={live} onChange={(event) => editing.live.set(event.target.checked)} data-testid="live" /> {words.live}
        </label>
        <span className="foot-note">{words.sentWhenLetGo}</span>
      </footer>
    );
  }
  return (
    <footer className="panel-foot session" data-testid="session">
      <span data-testid="session-count">{words.changes(session.changes.length)}</span>
      <button type="button" onClick={() => editing.cancel()} data-testid="cancel">{words.cancel}</button>
      <button type="button" className="primary" onClick={() => editing.save()} data-testid="save">{words.save}</button>
    </footer>
  );
}
