/** The entry: everything begins side by side. */
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { PanelWindow } from './app/PanelWindow';
import { loadAssets } from './app/globe';
import './app/themes';
import { openFromAddress, projectIn } from './open';
import './style.css';

const address = new URLSearchParams(location.search);
const project = projectIn(address), opened = openFromAddress(address);
opened.then(({ store }) => window.addEventListener('pagehide', (event) => { if (!event.persisted) store.close(); }), () => undefined); // App tells what failed
const root = createRoot(document.getElementById('root')!);
if (address.has('panel')) {
  document.body.dataset.panel = '';
  root.render(<PanelWindow opening={opened} address={project} />);
} else root.render(<App opening={{ store: opened, assets: loadAssets(), address: project }} />);
