/** From properties of the contract to what is drawn. */
import type { Tree } from 'sharelite';
import type { GroundLook } from '../view/ground';
import type { LabelLook } from '../view/labels';
import type { PointLook } from '../view/points';
import { strokeOf } from '../view/ribbons';
import type { Theme } from './theme';

/** One row's properties by dotted name, defaults resolved; undefined where there is no value. */
export type Read = (name: string) => Tree | undefined;
export interface LayerLook { color: string; opacity: number; visible: boolean }

const number = (read: Read, name: string): number => Number(read(name) ?? 0);
const text = (read: Read, name: string): string => String(read(name) ?? '');
const on = (read: Read, name: string): boolean => Boolean(read(name));
const color = (read: Read, name: string, automatic: string): string => (read(name) as string | null | undefined) ?? automatic;

export function pointLook(read: Read, layer: LayerLook, theme: Theme): PointLook {
  const shown = on(read, 'visibility.visible') && layer.visible ? layer.opacity : 0;
  const icon = on(read, 'icon.visible') ? shown : 0;
  const size = number(read, 'icon.size'), scaled = on(read, 'icon.scale.enabled');
  return {
    lon: number(read, 'position.lon'), lat: number(read, 'position.lat'), alt: number(read, 'position.alt'),
    size, shape: text(read, 'icon.shape'), rotation: number(read, 'icon.rotation'),
    color: color(read, 'icon.color', layer.color), opacity: number(read, 'icon.opacity') * icon,
    outline: {
      color: color(read, 'icon.outline.color', theme.paper), dash: text(read, 'icon.outline.dash'),
      opacity: on(read, 'icon.outline.visible') ? number(read, 'icon.outline.opacity') * icon : 0,
      width: on(read, 'icon.outline.visible') ? number(read, 'icon.outline.width') : 0,
    },
    glow: { color: text(read, 'icon.glow.color'), radius: number(read, 'icon.glow.radius'), strength: on(read, 'icon.glow.visible') ? number(read, 'icon.glow.strength') * icon : 0 },
    shadow: {
      color: text(read, 'icon.shadow.color'), opacity: on(read, 'icon.shadow.visible') ? number(read, 'icon.shadow.opacity') * icon : 0,
      blur: number(read, 'icon.shadow.blur'), x: number(read, 'icon.shadow.offset.x'), y: number(read, 'icon.shadow.offset.y'),
    },
    shift: {
      x: number(read, 'icon.offset.x') + (0.5 - number(read, 'icon.anchor.x')) * size,
      y: number(read, 'icon.offset.y') + (0.5 - number(read, 'icon.anchor.y')) * size,
    },
    scale: { near: scaled ? number(read, 'icon.scale.near') : 1, far: scaled ? number(read, 'icon.scale.far') : 1 },
    range: { from: number(read, 'visibility.minZoom'), to: number(read, 'visibility.maxZoom'), fade: number(read, 'visibility.fade') },
    pulse: { period: number(read, 'icon.pulse.period'), reach: on(read, 'icon.pulse.enabled') ? number(read, 'icon.pulse.reach') : 0 },
    behind: on(read, 'visibility.behindTerrain'),
  };
}

export function labelLook(read: Read, layer: LayerLook, theme: Theme): LabelLook {
  const shown = on(read, 'visibility.visible') && layer.visible ? layer.opacity : 0;
  return {
    text: on(read, 'text.visible') ? cased(text(read, 'text.content') || text(read, 'name'), text(read, 'text.transform')) : '',
    font: {
      family: text(read, 'text.font.family'), size: number(read, 'text.font.size'), weight: number(read, 'text.font.weight'),
      style: text(read, 'text.font.style'), underline: on(read, 'text.font.underline'),
    },
    color: color(read, 'text.color', theme.ink), opacity: number(read, 'text.opacity') * shown, shown: shown > 0,
    rotation: number(read, 'text.rotation'), maxWidth: number(read, 'text.maxWidth'), lineHeight: number(read, 'text.lineHeight'),
    letterSpacing: number(read, 'text.letterSpacing'), align: text(read, 'text.align') as CanvasTextAlign, placement: text(read, 'text.placement'),
    background: on(read, 'text.background.visible') ? { color: text(read, 'text.background.color'), opacity: number(read, 'text.background.opacity') } : undefined,
    radius: number(read, 'text.background.radius'),
    border: on(read, 'text.border.visible')
      ? strokeOf(text(read, 'text.border.color'), number(read, 'text.border.opacity'), number(read, 'text.border.width'), read('text.border.dash'), 'butt') : undefined,
    halo: on(read, 'text.halo.visible') ? { color: color(read, 'text.halo.color', theme.paper), width: number(read, 'text.halo.width'), blur: number(read, 'text.halo.blur') } : undefined,
    shadow: on(read, 'text.shadow.visible')
      ? { color: text(read, 'text.shadow.color'), opacity: number(read, 'text.shadow.opacity'), blur: number(read, 'text.shadow.blur'), x: number(read, 'text.shadow.offset.x'), y: number(read, 'text.shadow.offset.y') } : undefined,
    offset: { x: number(read, 'text.offset.x'), y: number(read, 'text.offset.y') },
    padding: { top: number(read, 'text.padding.top'), right: number(read, 'text.padding.right'), bottom: number(read, 'text.padding.bottom'), left: number(read, 'text.padding.left') },
    icon: on(read, 'icon.visible') ? number(read, 'icon.size') : 0,
    collide: on(read, 'visibility.collide'), from: number(read, 'visibility.minZoom'), to: number(read, 'visibility.maxZoom'),
    badge: on(read, 'icon.badge.visible')
      ? { text: text(read, 'icon.badge.text'), color: text(read, 'icon.badge.color'), ink: text(read, 'icon.badge.textColor'), size: number(read, 'icon.badge.size'), corner: text(read, 'icon.badge.corner') } : undefined,
    leader: on(read, 'leader.visible') ? leaderLook(read, shown, theme) : undefined,
  };
}

function leaderLook(read: Read, shown: number, theme: Theme): LabelLook['leader'] {
  const width = number(read, 'leader.width');
  const lengths = { dash: number(read, 'leader.dashLength'), gap: number(read, 'leader.gap') };
  return {
    length: number(read, 'leader.length'), angle: number(read, 'leader.angle'), shape: text(read, 'leader.shape'),
    stroke: strokeOf(color(read, 'leader.color', theme.faint), number(read, 'leader.opacity') * shown, width, read('leader.dash'), read('leader.cap'), lengths),
    start: { marker: text(read, 'leader.start.marker'), size: number(read, 'leader.start.size') },
    end: { marker: text(read, 'leader.end.marker'), size: number(read, 'leader.end.size') },
  };
}

export function groundLook(read: Read, theme: Theme): GroundLook {
  return {
    sea: color(read, 'background', theme.sea), land: color(read, 'land', theme.land), air: theme.air,
    grid: { color: color(read, 'grid.color', theme.grid), opacity: on(read, 'grid.visible') ? number(read, 'grid.opacity') : 0, step: number(read, 'grid.step') || 15 },
    light: { azimuth: number(read, 'light.azimuth'), elevation: number(read, 'light.elevation'), intensity: number(read, 'light.intensity'), ambient: number(read, 'light.ambient') },
    fog: { color: text(read, 'fog.color'), density: on(read, 'fog.visible') ? number(read, 'fog.density') : 0 },
  };
}

function cased(value: string, transform: string): string {
  if (transform === 'uppercase') return value.toLocaleUpperCase();
  if (transform === 'lowercase') return value.toLocaleLowerCase();
  return transform === 'capitalize' ? value.replace(/\b\p{L}/gu, (letter) => letter.toLocaleUpperCase()) : value;
}
