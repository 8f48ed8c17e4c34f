/** The page: the world behind, panels above it. */
import { useEffect, useRef, useState, type ReactElement } from 'react';
import { useCell } from '../cell';
import { Panel } from '../panel/Panel';
import { Editing } from '../scene/editing';
import { People } from '../scene/people';
import { World, type Assets } from '../scene/world';
import { expose } from './probe';
import type { Opened } from '../open';
import { StudioProvider, type Studio } from './context';
import { MapControls, Tooltip } from './MapControls';
import { Sidebar } from './Sidebar';
import { themeCell } from './themes';
import { Toasts, ToastList } from './Toasts';
import { TopBar } from './TopBar';

export function App({ opened, assets }: { opened: Opened; assets: Assets }): ReactElement {
  const host = useRef<HTMLDivElement>(null);
  const [toasts] = useState(() => new ToastList());
  const [studio, setStudio] = useState<Studio>();
  useEffect(() => {
    const started = start(host.current!, opened, assets, toasts);
    let open = true;
    void started.ready.then(() => { if (open) setStudio(started.studio); }, (error: unknown) => toasts.say(words(error), 'problem'));
    return () => { open = false; started.close(); };
  }, [opened, assets, toasts]);
  return (
    <>
      <div className="stage" ref={host} />
      {studio && <StudioProvider value={studio}><Chrome /></StudioProvider>}
      <Toasts list={toasts} />
    </>
  );
}

function Chrome(): ReactElement {
  const { theme } = useStudioTheme();
  return (
    <div className="chrome" data-theme={theme} data-testid="ready">
      <TopBar />
      <Sidebar />
      <Panel />
      <MapControls />
      <Tooltip />
    </div>
  );
}

function useStudioTheme(): { theme: string } {
  return { theme: useCell(themeCell).name };
}

function start(host: HTMLElement, { store, user, project }: Opened, assets: Assets, toasts: ToastList): { studio: Studio; ready: Promise<void>; close: () => void } {
  const report = (error: unknown): void => toasts.say(words(error), 'problem');
  const editing = new Editing(store, report);
  const people = new People(store, user);
  const world = new World(host, assets, store, editing, people, themeCell);
  const stop = store.on('refused', ({ refusal }) => toasts.say(`Not accepted: ${refusal.message}`, 'problem'));
  const hide = expose(world);
  const studio: Studio = { store, editing, people, world, theme: themeCell, project, say: toasts.say };
  return { studio, ready: world.open(), close: () => { stop(); hide(); people.close(); world.close(); } };
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
