/** Whose project this is, who is here, and how the connection is. */
import type { ReactElement } from 'react';
import { useCell } from '../cell';
import { Share } from '../viewing/Share';
import { ViewBar } from '../viewing/ViewBar';
import { DARK, LIGHT } from '../scene/theme';
import { useRow, useStatus } from 'sharelite/react';
import { useStudio } from './context';
import { UndoButtons } from './Keys';
import { otherLanguage, useWords } from './words';

export function TopBar(): ReactElement {
  const { world, project, viewer, history } = useStudio();
  const words = useWords();
  const title = useRow<string>('scene/title');
  return (
    <header className="topbar">
      <span className="brand"><svg viewBox="0 0 32 32"><circle cx="16" cy="16" r="10" /><path d="M6 16h20M16 6c6 6 6 14 0 20M16 6c-6 6-6 14 0 20" /><circle className="spot" cx="23" cy="9" r="4" /></svg></span>
      <button type="button" className="title" onClick={() => world.selected.set('scene')} title={words.sceneProperties} data-testid="scene">
        <b>{String(title ?? project)}</b><small>{project}</small>
      </button>
      <span className="spacer" />
      {history && <UndoButtons history={history} />}
      {viewer ? <ViewBar viewer={viewer} /> : <><Faces /><StatusPill /></>}
      {!viewer && <Download />}
      <Share />
      <LanguageSwitch />
      <ThemeSwitch />
    </header>
  );
}

/** The scene as a plain SQLite file; the console has the other forms. */
function Download(): ReactElement {
  const { store } = useStudio();
  const words = useWords();
  return (
    <a className="icon-button" href={`../v1/projects/${store.project}/export?format=db`} download title={words.download} aria-label={words.download} data-testid="download">
      <svg viewBox="0 0 16 16"><path d="M8 2v8M4.8 7 8 10.2 11.2 7M3 13.5h10" /></svg>
    </a>
  );
}

function Faces(): ReactElement {
  const { people, world } = useStudio();
  const words = useWords();
  const others = useCell(people.others);
  const shown = [people.me, ...others].slice(0, 6);
  return (
    <span className="faces" data-testid="people">
      {shown.map((person) => (
        <button type="button" key={person.client} className="face" style={{ background: person.color }} data-testid={person === people.me ? 'me' : 'peer'} data-name={person.name}
          title={person === people.me ? words.you(person.name) : words.goToPerson(person.name)}
          onClick={() => { if (person.selected) world.goTo(person.selected, 4); else if (person.at) world.stage.flyTo(person.at); }}>
          {person.name.slice(0, 1).toUpperCase()}
          {person.editing && <i />}
        </button>
      ))}
      {others.length > 5 && <em>+{others.length - 5}</em>}
    </span>
  );
}

function StatusPill(): ReactElement {
  const status = useStatus();
  const words = useWords();
  return (
    <span className="status" data-testid="status" data-connection={status.connection} data-version={status.version} data-pending={status.pending} data-engine={status.engine}
      title={status.problem ? status.problem.message : `${status.engine}, ${status.role ?? 'editor'}`}>
      <i /><b>{words.connection[status.connection]}</b>
      <span>v{status.version.toLocaleString(words.language)}</span>
      {status.pending > 0 && <em>{words.waiting(status.pending)}</em>}
    </span>
  );
}

function LanguageSwitch(): ReactElement {
  const words = useWords();
  return <button type="button" className="bar-button quiet" lang={words.language === 'en' ? 'zh' : 'en'} onClick={otherLanguage} data-testid="language">{words.other}</button>;
}

function ThemeSwitch(): ReactElement {
  const { theme } = useStudio();
  const now = useCell(theme);
  const words = useWords();
  return (
    <button type="button" className="icon-button" title={now.name === 'dark' ? words.day : words.night} aria-label={now.name === 'dark' ? words.day : words.night} onClick={() => theme.set(now.name === 'dark' ? LIGHT : DARK)} data-testid="theme" data-theme={now.name}>
      {now.name === 'dark'
        ? <svg viewBox="0 0 16 16"><circle cx="8" cy="8" r="3" /><path d="M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1" /></svg>
        : <svg viewBox="0 0 16 16"><path d="M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z" /></svg>}
    </button>
  );
}
