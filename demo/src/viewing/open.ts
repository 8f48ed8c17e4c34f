/** The scene as its published file says it: read page by page, nothing written. */
import { openViewer } from 'sharelite/viewer';
import type { Opened } from '../open';
import { ViewStore } from './viewStore';

/** What the page shows at once; everything else is read when somebody looks. */
const FIRST = ['scene', 'layer', 'route', 'area'];
const LOOK_EVERY = 10;

export async function openView(project: string): Promise<Opened> {
  const viewer = await openViewer({ project, lookEvery: LOOK_EVERY });
  await Promise.all(FIRST.map((path) => viewer.get(path)));
  return { store: new ViewStore(viewer), viewer, project: project.replace(/^name:/, ''), user: 'Guest' };
}
