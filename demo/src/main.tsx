/** The entry: everything begins side by side. */
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { loadAssets } from './app/globe';
import './app/themes';
import { openFromAddress, projectIn } from './open';
import './style.css';

const address = new URLSearchParams(location.search);
const opening = { store: openFromAddress(address), assets: loadAssets(), address: projectIn(address) };
opening.store.then(({ store }) => window.addEventListener('pagehide', (event) => { if (!event.persisted) store.close(); }), () => undefined); // App tells what failed
createRoot(document.getElementById('root')!).render(<App opening={opening} />);
