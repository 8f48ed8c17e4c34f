/** What every part of the page may use. */
import { createContext, useContext, type ReactElement, type ReactNode } from 'react';
import type { Store, Undo } from 'sharelite';
import { DraftProvider, StoreProvider, useStatus } from 'sharelite/react';
import type { Viewer } from 'sharelite/viewer';
import { useCell, type Cell } from '../cell';
import type { Editing } from '../scene/editing';
import type { People } from '../scene/people';
import type { Theme } from '../scene/theme';
import type { World } from '../scene/world';
import type { SharedSelection } from './selection';
import type { Say } from './Toasts';

/** What a panel needs, in the main window or in one of its own. */
export interface Desk {
  store: Store;
  editing: Editing;
  selection: SharedSelection;
  /** Absent where one only looks. */
  history?: Undo;
  /** As the address of the page names the project. */
  address: string;
  /** Where the scene is only looked at. */
  viewer?: Viewer;
  people: People;
  say: Say;
}

/** The main window: with the world. */
export interface Studio extends Desk {
  world: World;
  theme: Cell<Theme>;
  project: string;
  /** The viewer has become a live store. */
  joined: (store: Store) => void;
}

const DeskContext = createContext<Desk | Studio | undefined>(undefined);

/** What is below writes into the edit session, if one is open. */
export function DeskProvider({ value, children }: { value: Desk | Studio; children: ReactNode }): ReactElement {
  const session = useCell(value.editing.session);
  return (
    <DeskContext.Provider value={value}>
      <StoreProvider store={value.store}><DraftProvider draft={session}>{children}</DraftProvider></StoreProvider>
    </DeskContext.Provider>
  );
}

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error('outside of DeskProvider');
  return desk;
}

export function useStudio(): Studio {
  const desk = useDesk();
  if (!('world' in desk)) throw new Error('this needs the main window');
  return desk as Studio;
}

/** Whether one only looks. */
export function useReadOnly(): boolean {
  return useStatus().role === 'reader';
}
