/** The entry: everything begins side by side. */
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { loadAssets } from './app/globe';
import './app/themes';
import { openFromAddress } from './open';
import './style.css';

const opening = { store: openFromAddress(new URLSearchParams(location.search)), assets: loadAssets() };
opening.store.then(({ store }) => window.addEventListener('pagehide', (event) => { if (!event.persisted) store.close(); }), () => undefined); // App tells what failed
createRoot(document.getElementById('root')!).render(<App opening={opening} />);
