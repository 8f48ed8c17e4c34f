/** What is selected, as panels see it; and windows of one person that select together. */
import { Cell } from '../cell';
import { Group } from '../scene/group';
import type { People } from '../scene/people';

export interface Selection {
  readonly selected: Cell<string | undefined>;
  readonly group: Group;
  /** Shows a thing on the map. */
  goTo(path: string, closer?: number): void;
}

/** A selection that windows share. */
export interface SharedSelection extends Selection {
  /** What is selected is not there (any more): here nothing is selected. Other windows see for themselves. */
  forget(): void;
  stop(): void;
}

interface News { selected?: string | undefined; rows: readonly string[] }
/** `to`: an answer to the window that asked. */
type Message = { asks: string } | { news: News; to?: string } | { goTo: string; closer?: number };

/** Windows of one browser on one project follow each other's selection; one that opens or is loaded again takes over theirs, or its last. */
export function selectTogether({ selected, group, goTo }: Selection, project: string): SharedSelection {
  const channel = new BroadcastChannel(`sharelite demo: ${project}`);
  const me = Math.random().toString(36);
  let hearing = false;
  const post = (message: Message): void => channel.postMessage(message);
  const news = (): News => ({ selected: selected.get(), rows: group.rows.get() });
  const tell = (): void => {
    if (hearing) return;
    keep(project, news());
    post({ news: news() });
  };
  const hear = (heard: News): void => {
    hearing = true;
    selected.set(heard.selected);
    group.rows.set(heard.rows);
    hearing = false;
    keep(project, heard);
  };
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if ('asks' in data) { if (selected.get()) post({ news: news(), to: data.asks }); }
    else if ('goTo' in data) goTo(data.goTo, data.closer);
    else if ((data.to ?? me) === me) hear(data.news);
  };
  hear(kept(project));
  const stops = [selected.watch(tell), group.rows.watch(tell)];
  post({ asks: me });
  const stop = (): void => { stops.forEach((end) => end()); channel.close(); };
  return { selected, group, goTo, forget: () => hear({ rows: [] }), stop };
}

/** The selection of a window without a map: what it is to show, the other windows show. */
export function followedSelection(project: string): SharedSelection {
  const selected = new Cell<string | undefined>(undefined);
  const channel = new BroadcastChannel(`sharelite demo: ${project}`);
  const goTo = (path: string, closer?: number): void => channel.postMessage({ goTo: path, ...(closer === undefined ? {} : { closer }) } satisfies Message);
  return selectTogether({ selected, group: new Group(selected), goTo }, project);
}

const nameOf = (project: string): string => `sharelite demo selection: ${project}`;

function keep(project: string, { selected, rows }: News): void {
  try { sessionStorage.setItem(nameOf(project), JSON.stringify({ selected, rows })); } catch { return; } // then nothing is selected after a reload
}

function kept(project: string): News {
  try { return { rows: [], ...JSON.parse(sessionStorage.getItem(nameOf(project)) ?? '{}') as Partial<News> }; } catch { return { rows: [] }; }
}

/** It says whose it is, so that nobody meets a second self. */
export function openPanelWindow({ address: project, people: { me } }: { address: string; people: People }): void {
  const address = new URL(location.href);
  address.searchParams.set('panel', me.client);
  address.searchParams.set('user', me.name);
  window.open(address, `panel ${project}`, 'popup,width=380,height=760');
}
