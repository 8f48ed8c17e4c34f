/** A panel in a window of its own, with a store of its own: it follows what is selected in the other windows. */
import { useEffect, useState, type ReactElement } from 'react';
import { showDrafts, undoOf } from 'sharelite';
import { useCell } from '../cell';
import type { Opened } from '../open';
import { Panel } from '../panel/Panel';
import { Editing } from '../scene/editing';
import { People } from '../scene/people';
import { DeskProvider, type Desk } from './context';
import { UndoButtons } from './Keys';
import { followedSelection } from './selection';
import { themeCell } from './themes';
import { Toasts, ToastList } from './Toasts';
import { Waiting } from './Waiting';
import { useWords, wordsCell } from './words';

export function PanelWindow({ opening, address }: { opening: Promise<Opened>; address: string }): ReactElement {
  const words = useWords();
  const theme = useCell(themeCell);
  const [toasts] = useState(() => new ToastList());
  const [desk, setDesk] = useState<Desk>();
  const [failure, setFailure] = useState<string>();
  useEffect(() => {
    opening.then((opened) => setDesk(deskOf(opened, address, toasts)), (error: Error) => setFailure(error.message));
  }, [opening, address, toasts]);
  return (
    <div className="panel-window" data-theme={theme.name}>
      {desk ? (
        <DeskProvider value={desk}>
          <header className="topbar"><b>{words.following}</b><span className="spacer" />{desk.history && <UndoButtons history={desk.history} />}</header>
          <Panel />
        </DeskProvider>
      ) : <Waiting failure={failure} />}
      <Toasts list={toasts} />
    </div>
  );
}

function deskOf({ store, viewer, user }: Opened, address: string, toasts: ToastList): Desk {
  const editing = new Editing(store, (error) => toasts.say(error instanceof Error ? error.message : String(error), 'problem'), viewer ? undefined : 'panel');
  const selection = followedSelection(address);
  editing.spread = (path) => selection.group.spread(path);
  store.on('refused', ({ refusal }) => toasts.say(wordsCell.get().refused(refusal.message), 'problem'));
  if (!viewer) showDrafts(store);
  const of = new URLSearchParams(location.search).get('panel') || undefined;
  const people = new People(store, user, of);
  selection.selected.watch((selected) => people.say({ selected }));
  return { store, editing, selection, people, address, ...(viewer ? { viewer } : { history: undoOf(store, { name: 'panel' }) }), say: toasts.say };
}
