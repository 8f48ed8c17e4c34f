/** The page: the world behind, panels above it. */
import { useEffect, useRef, useState, type ReactElement } from 'react';
import { useCell } from '../cell';
import { showDrafts, undoOf, type Store } from 'sharelite';
import { takeDrops } from '../drop/drop';
import { nameFor, type Opened } from '../open';
import { Panel } from '../panel/Panel';
import { Editing } from '../scene/editing';
import { People } from '../scene/people';
import { World } from '../scene/world';
import { bareGlobe, type Assets, type Globe } from './globe';
import { DeskProvider, type Studio } from './context';
import { Keys } from './Keys';
import { MapControls, Tooltip } from './MapControls';
import { expose } from './probe';
import { selectTogether } from './selection';
import { Sidebar } from './Sidebar';
import { themeCell } from './themes';
import { Toasts, ToastList } from './Toasts';
import { TopBar } from './TopBar';
import { Waiting } from './Waiting';
import { wordsCell } from './words';

export interface Opening { store: Promise<Opened>; assets: Promise<Assets>; address: string }

export function App({ opening: first }: { opening: Opening }): ReactElement {
  const [opening, setOpening] = useState(first);
  const host = useRef<HTMLDivElement>(null);
  const [toasts] = useState(() => new ToastList());
  const [studio, setStudio] = useState<Studio>();
  const [failure, setFailure] = useState<string>();
  useEffect(() => {
    const ends: (() => void)[] = [];
    let open = true;
    const again = (next: Opened): void => {
      setStudio(undefined);
      setOpening({ ...opening, store: Promise.resolve(next) });
    };
    start(host.current!, opening, toasts, ends, again).then(
      (started) => { if (open) setStudio(started); }, (error: unknown) => setFailure(reason(error)));
    return () => { open = false; ends.reverse().forEach((end) => end()); };
  }, [opening, toasts]);
  return (
    <>
      <div className="stage" ref={host} />
      {studio && <DeskProvider value={studio}><Chrome /></DeskProvider>}
      {!studio && <Waiting failure={failure} />}
      <Toasts list={toasts} />
    </>
  );
}

function Chrome(): ReactElement {
  const theme = useCell(themeCell);
  return (
    <div className="chrome" data-theme={theme.name} data-testid="ready">
      <TopBar />
      <Sidebar />
      <Panel />
      <MapControls />
      <Tooltip />
      <Keys />
    </div>
  );
}

/** The globe is there while the project is still on its way. What has to be ended is added to `ends`. */
async function start(host: HTMLElement, opening: Opening, toasts: ToastList, ends: (() => void)[], again: (next: Opened) => void): Promise<Studio> {
  const globe: Globe = bareGlobe(host, await opening.assets, themeCell.get());
  ends.push(() => globe.stage.dispose());
  const { store, viewer, user, project } = await opening.store;
  const editing = new Editing(store, (error) => toasts.say(reason(error), 'problem'), viewer ? undefined : 'scene');
  const people = new People(store, user);
  const world = new World(globe.stage, globe.ground, store, editing, people, themeCell);
  ends.push(() => people.close(), () => world.close(), askBeforeLeaving(editing));
  if (!viewer) {
    const shown = showDrafts(store);
    ends.push(() => shown.stop(), takeDrops(editing, toasts.say));
  }
  ends.push(store.on('refused', ({ refusal }) => toasts.say(wordsCell.get().refused(refusal.message), 'problem')), expose(world));
  const undo = viewer ? undefined : undoOf(store);
  if (undo) ends.push(() => undo.close());
  await world.open();
  const joined = (live: Store): void => {
    history.replaceState(null, '', editAddress());
    again({ store: live, project, user: nameFor(live.status.client) });
    viewer?.close();
  };
  const selection = selectTogether(world.selection, opening.address);
  ends.push(() => selection.stop());
  return { store, editing, people, world, selection, theme: themeCell, project, address: opening.address, ...(viewer && { viewer }), ...(undo && { history: undo }), joined, say: toasts.say };
}

function editAddress(): string {
  const address = new URL(location.href);
  address.searchParams.delete('view');
  return address.href;
}

function askBeforeLeaving(editing: Editing): () => void {
  const ask = (event: BeforeUnloadEvent): void => { if (editing.unsaved) event.preventDefault(); };
  window.addEventListener('beforeunload', ask);
  return () => window.removeEventListener('beforeunload', ask);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
