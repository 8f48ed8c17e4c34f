/** Night and day: what automatic colours become. */
export interface Theme {
  name: 'dark' | 'light';
  sea: string; land: string; air: string; grid: string;
  ink: string; faint: string; paper: string; accent: string;
}

export const DARK: Theme = {
  name: 'dark', sea: '#0e1826', land: '#2d435d', air: '#5b8fd0', grid: '#5d7fa6',
  ink: '#e8eef6', faint: '#8fa3ba', paper: '#0a1019', accent: '#5cc8bb',
};

export const LIGHT: Theme = {
  name: 'light', sea: '#c3d5e6', land: '#fbfaf4', air: '#b9cbe0', grid: '#7d93ab',
  ink: '#1c2836', faint: '#5d7187', paper: '#ffffff', accent: '#0f8f83',
};
