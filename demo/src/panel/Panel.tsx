/** The property panel: what is selected, how edits are sent, and the form. */
import { useEffect, useRef, useState, type ReactElement } from 'react';
import { remove } from '../app/Keys';
import { openPanelWindow } from '../app/selection';
import { useCell } from '../cell';
import { useOpenDraft, useRow } from 'sharelite/react';
import { useReadOnly, useDesk } from '../app/context';
import { rowOf, tableOf } from '../scene/paths';
import { useWords } from '../app/words';
import type { Filter } from './Form';
import { Points } from './Points';
import { PropertyPanel } from './PropertyPanel';

/** `route/r1/points/p7` is a row of the table `route.points`; a singleton is a row by itself. */
function tableAt(path: string): string {
  return path.split('/').filter((_, k) => k % 2 === 0).join('.');
}

export function Panel(): ReactElement {
  const { selection } = useDesk();
  const row = useCell(selection.selected);
  const [filter, setFilter] = useState<Filter>({ text: '', changedOnly: false });
  return row ? <Selected key={row} row={row} filter={filter} setFilter={setFilter} /> : <Nothing />;
}

/** What another window has made may be on its way here, or in a draft there: nothing is shown until it comes. */
function Selected({ row, filter, setFilter }: { row: string; filter: Filter; setFilter: (filter: Filter) => void }): ReactElement {
  const { selection, say, viewer } = useDesk();
  const words = useWords();
  // What is looked at in a file may still be on its way, and is never removed.
  const here = useRow(row) !== undefined || viewer !== undefined;
  const seen = useRef(here);
  useEffect(() => {
    if (seen.current && !here) {
      selection.forget();
      say(words.removed);
    }
    seen.current = here;
  }, [here, selection, say, words]);
  if (!here) return <Nothing />;
  return (
    <aside className="panel right" data-testid="panel" data-row={row}>
      <Head row={row} />
      <div className="panel-tools">
        <input type="search" placeholder={words.find} aria-label={words.find} value={filter.text} onChange={(event) => setFilter({ ...filter, text: event.target.value })} data-testid="property-search" />
        <button type="button" className="chip" aria-pressed={filter.changedOnly} onClick={() => setFilter({ ...filter, changedOnly: !filter.changedOnly })} data-testid="changed-only">{words.changed}</button>
      </div>
      <div className="panel-scroll">
        <PropertyPanel path={row} filter={filter} />
        {tableOf(row) === 'route' && row === rowOf(row) && <Points route={row} />}
      </div>
      <Foot />
    </aside>
  );
}

function Nothing(): ReactElement {
  const session = useCell(useDesk().editing.session);
  const readOnly = useReadOnly();
  const words = useWords();
  return (
    <aside className="panel right hint" data-testid="panel">
      <h2>{words.nothingSelected}</h2>
      <p>{words.howToSelect}{!readOnly && ` ${words.howToMove}`}</p>
      <p>{words.howToLook.map(([key, what]) => <span key={key}><kbd>{key}</kbd> {what} </span>)}</p>
      {session && <Foot />}
    </aside>
  );
}

function Head({ row }: { row: string }): ReactElement {
  const desk = useDesk();
  const { selection } = desk;
  const words = useWords();
  const count = useCell(selection.group.rows).length;
  const readOnly = useReadOnly();
  const table = tableAt(row);
  const name = useRow<string>(`${row}/${table === 'annotation' || table === 'route.points' ? 'name' : 'title'}`);
  const removable = table !== 'scene' && table !== 'layer' && !readOnly;
  return (
    <header className="panel-head">
      <div>
        <small>{count > 1 ? words.together : words.kinds[table] ?? table}</small>
        <h2 data-testid="selected-name">{count > 1 ? words.selectedCount(count) : String(name ?? '')}</h2>
      </div>
      <button type="button" className="icon-button" title={words.showOnMap} aria-label={words.showOnMap} onClick={() => selection.goTo(row)} data-testid="go-to"><svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="4" /><path d="M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3" /></svg></button>
      {removable && <button type="button" className="icon-button" title={words.remove} aria-label={words.remove} onClick={() => remove(desk, words, count > 1 ? selection.group.all() : [row])} data-testid="remove"><svg viewBox="0 0 16 16"><path d="M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9" /></svg></button>}
      {!('panel' in document.body.dataset) && <button type="button" className="icon-button" title={words.ownWindow} aria-label={words.ownWindow} onClick={() => openPanelWindow(desk)} data-testid="own-window"><svg viewBox="0 0 16 16"><path d="M6.5 3.5h-3v9h9v-3M9 3.5h3.5V7M12.2 3.8 7.5 8.5" /></svg></button>}
      <button type="button" className="icon-button" title={words.close} aria-label={words.close} onClick={() => selection.selected.set(undefined)}><svg viewBox="0 0 16 16"><path d="m4 4 8 8M12 4l-8 8" /></svg></button>
    </header>
  );
}

function Foot(): ReactElement {
  const { editing } = useDesk();
  const { draft, changes, conflicts } = useOpenDraft();
  const words = useWords();
  if (useReadOnly()) return <footer className="panel-foot"><span data-testid="read-only">{words.readOnly}</span></footer>;
  if (!draft) {
    return (
      <footer className="panel-foot">
        <button type="button" className="primary" onClick={() => editing.begin()} data-testid="edit">{words.editSession}</button>
        <Live />
        <span className="foot-note">{words.sentWhenLetGo}</span>
      </footer>
    );
  }
  return (
    <>
      <Lost />
      <footer className="panel-foot session" data-testid="session">
        <span><b data-testid="session-count">{words.changes(changes.length)}</b>{conflicts.length > 0 && <em data-testid="session-conflicts">{words.conflicts(conflicts.length)}</em>}</span>
        <Live />
        <button type="button" onClick={() => editing.cancel()} data-testid="cancel">{words.cancel}</button>
        <button type="button" className="primary" onClick={() => editing.save()} data-testid="save">{words.save}</button>
      </footer>
    </>
  );
}

function Live(): ReactElement {
  const { editing } = useDesk();
  const live = useCell(editing.live);
  const words = useWords();
  return (
    <label className="live" title={words.liveHint}>
      <input type="checkbox" checked={live} onChange={(event) => editing.live.set(event.target.checked)} data-testid="live" /> {words.live}
    </label>
  );
}

/** Edits of the session that do not fit any more: they stay, come back if they fit again, and are let go by hand. */
function Lost(): ReactElement | null {
  const { draft, lost } = useOpenDraft();
  const words = useWords();
  if (!draft || lost.length === 0) return null;
  return (
    <ul className="lost" role="alert" data-testid="lost">
      {lost.map(({ path, code, message }) => (
        <li key={path}>
          <span title={message}>{words.lost(path, words.lostWhy[code] ?? message)}</span>
          <button type="button" onClick={() => draft.revert(path)}>{words.letGo}</button>
        </li>
      ))}
    </ul>
  );
}
