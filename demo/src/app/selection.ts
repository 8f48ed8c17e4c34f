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

interface News { selected?: string | undefined; rows: readonly string[] }
type Message = { asks: true } | { news: News } | { goTo: string; closer?: number };

/** Windows of one browser on one project follow each other's selection. Ends with the returned function. */
export function selectTogether(selection: Selection, project: string): () => void {
  const channel = new BroadcastChannel(`sharelite demo: ${project}`);
  let hearing = false;
  const tell = (): void => {
    if (!hearing) channel.postMessage({ news: { selected: selection.selected.get(), rows: selection.group.rows.get() } } satisfies Message);
  };
  const hear = ({ selected, rows }: News): void => {
    hearing = true;
    selection.selected.set(selected);
    selection.group.rows.set(rows);
    hearing = false;
  };
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if ('asks' in data) tell();
    else if ('news' in data) hear(data.news);
    else selection.goTo(data.goTo, data.closer);
  };
  const stops = [selection.selected.watch(tell), selection.group.rows.watch(tell)];
  return () => { stops.forEach((stop) => stop()); channel.close(); };
}

/** The selection of a window without a map: what it is to show, the other windows show. */
export function followedSelection(project: string): Selection {
  const selected = new Cell<string | undefined>(undefined);
  const channel = new BroadcastChannel(`sharelite demo: ${project}`);
  const goTo = (path: string, closer?: number): void => channel.postMessage({ goTo: path, ...(closer === undefined ? {} : { closer }) } satisfies Message);
  const selection = { selected, group: new Group(selected), goTo };
  selectTogether(selection, project);
  channel.postMessage({ asks: true } satisfies Message);
  return selection;
}

/** It says whose it is, so that nobody meets a second self. */
export function openPanelWindow({ address: project, people: { me } }: { address: string; people: People }): void {
  const address = new URL(location.href);
  address.searchParams.set('panel', me.client);
  address.searchParams.set('user', me.name);
  window.open(address, `panel ${project}`, 'popup,width=380,height=760');
}
