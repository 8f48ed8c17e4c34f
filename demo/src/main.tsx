/** The entry: everything is fetched side by side, then the page is shown at once. */
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { openFromAddress } from './open';
import type { Assets } from './scene/world';
import './app/themes';
import './style.css';
import bordersUrl from './world/borders.bin?url';
import landUrl from './world/land.png';

async function fetched(url: string): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} could not be loaded (${response.status})`);
  return response;
}

async function assets(): Promise<Assets> {
  const [land, borders] = await Promise.all([
    fetched(landUrl).then((response) => response.blob()).then((blob) => createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' })),
    fetched(bordersUrl).then((response) => response.arrayBuffer()),
  ]);
  return { land, borders };
}

const root = document.getElementById('root')!;
root.innerHTML = '<div class="opening" data-testid="opening"><i></i>Opening the project</div>';
try {
  const [opened, loaded] = await Promise.all([openFromAddress(new URLSearchParams(location.search)), assets()]);
  window.addEventListener('pagehide', (event) => { if (!event.persisted) opened.store.close(); });
  createRoot(root).render(<App opened={opened} assets={loaded} />);
} catch (error) {
  const message = document.createElement('div');
  message.className = 'opening failed';
  message.dataset.testid = 'failed';
  message.textContent = error instanceof Error ? error.message : String(error);
  root.replaceChildren(message);
}
