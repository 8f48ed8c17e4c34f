/** Night or day, remembered by the browser. */
import { Cell } from '../cell';
import { DARK, LIGHT, type Theme } from '../scene/theme';

const KEY = 'sharelite-demo-theme';

function remembered(): Theme {
  return localStorage.getItem(KEY) === 'light' ? LIGHT : DARK;
}

function show(theme: Theme): void {
  document.documentElement.dataset.theme = theme.name;
  localStorage.setItem(KEY, theme.name);
}

export const themeCell = new Cell<Theme>(remembered());
show(themeCell.get());
themeCell.watch(show);
