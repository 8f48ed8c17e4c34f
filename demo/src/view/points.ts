/** Points drawn as icons: one vertex each, all of their look in vertex attributes, so that one change uploads some 100 bytes. */
import { BufferAttribute, BufferGeometry, Color, NoColorSpace, Points, ShaderMaterial } from 'three';
import { POINT_FRAGMENT, POINT_VERTEX } from './pointShader';
import type { CameraUniforms } from './shaders';

export const SHAPES = ['circle', 'square', 'diamond', 'triangle', 'star', 'pin', 'cross', 'ring'] as const;
export const DASHES = ['solid', 'dashed', 'dotted'] as const;

/** What one point looks like; lengths in pixels, angles in degrees, colours final. */
export interface PointLook {
  lon: number; lat: number; alt: number;
  size: number; shape: string; rotation: number;
  color: string; opacity: number;
  outline: { color: string; opacity: number; width: number; dash: string };
  glow: { color: string; strength: number; radius: number };
  shadow: { color: string; opacity: number; blur: number; x: number; y: number };
  shift: { x: number; y: number };
  scale: { near: number; far: number };
  range: { from: number; to: number; fade: number };
  pulse: { period: number; reach: number };
  behind: boolean;
}

interface Column { name: string; items: number; bytes: boolean }
const COLUMNS: Column[] = [
  { name: 'aPlace', items: 3, bytes: false },   // lon, lat (degrees), metres
  { name: 'aIcon', items: 4, bytes: false },    // size, outline width, rotation, shape
  { name: 'aColor', items: 4, bytes: true },
  { name: 'aOutline', items: 4, bytes: true },
  { name: 'aGlow', items: 4, bytes: true },
  { name: 'aShadow', items: 4, bytes: true },
  { name: 'aSpread', items: 4, bytes: false },  // glow radius, shadow blur, shadow x, y
  { name: 'aShift', items: 4, bytes: false },   // offset x, y, scale near, far
  { name: 'aRange', items: 4, bytes: false },   // from zoom, to zoom, fade, dash
  { name: 'aPulse', items: 3, bytes: false },   // period, reach, behind the horizon too
];

export class PointCloud {
  readonly mesh: Points;
  /** What was sent to the GPU since the start: whole uploads, single points, bytes of the latter. */
  readonly uploads = { whole: 0, points: 0, bytes: 0 };
  private readonly geometry = new BufferGeometry();
  private capacity = 0;
  private pulsing = new Set<number>();

  constructor(camera: CameraUniforms, capacity: number) {
    const material = new ShaderMaterial({
      uniforms: { ...camera.shared }, vertexShader: POINT_VERTEX, fragmentShader: POINT_FRAGMENT,
      transparent: true, depthTest: false, depthWrite: false,
    });
    this.mesh = new Points(this.geometry, material);
    this.mesh.frustumCulled = false;
    this.reserve(capacity);
  }

  /** Whether a point moves by itself, so that frames are needed all the time. */
  get animated(): boolean { return this.pulsing.size > 0; }

  /** Makes room for points 0..count-1. The new ones are invisible until they are set. */
  reserve(count: number): void {
    if (!this.geometry.index) this.geometry.setDrawRange(0, count);
    if (count <= this.capacity) return;
    this.capacity = Math.ceil(count * 1.1) + 64;
    for (const { name, items, bytes } of COLUMNS) {
      const array = bytes ? new Uint8Array(this.capacity * items) : new Float32Array(this.capacity * items);
      const old = this.geometry.getAttribute(name) as BufferAttribute | undefined;
      if (old) array.set(old.array as Uint8Array);
      this.geometry.setAttribute(name, new BufferAttribute(array, items, bytes));
    }
    this.geometry.setAttribute('position', this.geometry.getAttribute('aPlace'));
    this.uploads.whole++;
  }

  /** In which order points are drawn: the last lies above the others. */
  arrange(order: Uint32Array<ArrayBuffer>): void {
    this.geometry.setIndex(new BufferAttribute(order, 1));
    this.geometry.setDrawRange(0, order.length);
  }

  /** Sets one point, without upload: for the first load. */
  write(index: number, look: PointLook): void {
    this.put('aPlace', index, look.lon, look.lat, look.alt);
    this.put('aIcon', index, look.size, look.outline.width, (look.rotation * Math.PI) / 180, Math.max(0, (SHAPES as readonly string[]).indexOf(look.shape)));
    this.paint('aColor', index, look.color, look.opacity);
    this.paint('aOutline', index, look.outline.color, look.outline.opacity);
    this.paint('aGlow', index, look.glow.color, look.glow.strength);
    this.paint('aShadow', index, look.shadow.color, look.shadow.opacity);
    this.put('aSpread', index, look.glow.radius, look.shadow.blur, look.shadow.x, look.shadow.y);
    this.put('aShift', index, look.shift.x, look.shift.y, look.scale.near, look.scale.far);
    this.put('aRange', index, look.range.from, look.range.to, look.range.fade, Math.max(0, (DASHES as readonly string[]).indexOf(look.outline.dash)));
    this.put('aPulse', index, look.pulse.period, look.pulse.reach, look.behind ? 1 : 0);
    this.note(index, look.pulse.reach > 0 && look.opacity > 0);
  }

  /** Sets one point and sends just its part of each buffer. */
  update(index: number, look: PointLook): void {
    this.write(index, look);
    this.send(index);
  }

  hide(index: number): void {
    for (const { name, items, bytes } of COLUMNS) if (bytes) this.put(name, index, ...new Array<number>(items).fill(0));
    this.note(index, false);
    this.send(index);
  }

  /** Everything was written: send all of it. */
  uploadAll(): void {
    for (const { name } of COLUMNS) {
      const attribute = this.attribute(name);
      attribute.clearUpdateRanges();
      attribute.needsUpdate = true;
    }
    this.uploads.whole++;
  }

  /** What the buffers hold for one point (the probe's proof that the view follows). */
  read(index: number): { lon: number; lat: number; size: number; shape: string; rotation: number; color: string; opacity: number; outline: { color: string; width: number; opacity: number }; glow: number } {
    const place = this.get('aPlace', index), icon = this.get('aIcon', index), color = this.get('aColor', index);
    const outline = this.get('aOutline', index);
    return {
      lon: place[0]!, lat: place[1]!, size: icon[0]!, rotation: (icon[2]! * 180) / Math.PI, shape: SHAPES[icon[3]!] ?? 'circle',
      color: hex(color), opacity: color[3]! / 255,
      outline: { color: hex(outline), width: icon[1]!, opacity: outline[3]! / 255 }, glow: this.get('aGlow', index)[3]! / 255,
    };
  }

  /** Where on the screen an icon can be touched, relative to its place; radius 0: it is not drawn. */
  hitbox(index: number, zoom: number): { x: number; y: number; radius: number } {
    const [size, outline] = this.get('aIcon', index) as [number, number];
    const [x, y, near, far] = this.get('aShift', index) as [number, number, number, number];
    const [from, to] = this.get('aRange', index) as [number, number];
    const t = Math.min(1, Math.max(0, (zoom - 2) / 7)), grow = far + (near - far) * t * t * (3 - 2 * t);
    const drawn = zoom >= from && zoom <= to && this.get('aColor', index)[3]! > 0;
    return { x: x * grow, y: y * grow, radius: drawn ? (size / 2) * grow + outline : 0 };
  }

  private attribute(name: string): BufferAttribute { return this.geometry.getAttribute(name) as BufferAttribute; }

  private put(name: string, index: number, ...values: number[]): void {
    const { array, itemSize } = this.attribute(name);
    for (let k = 0; k < itemSize; k++) array[index * itemSize + k] = values[k]!;
  }

  private paint(name: string, index: number, css: string, alpha: number): void {
    const rgb = rgbOf(css);
    this.put(name, index, rgb[0], rgb[1], rgb[2], Math.round(alpha * 255));
  }

  private get(name: string, index: number): number[] {
    const { array, itemSize } = this.attribute(name);
    return Array.from(array.slice(index * itemSize, (index + 1) * itemSize));
  }

  private note(index: number, pulses: boolean): void {
    if (pulses) this.pulsing.add(index); else this.pulsing.delete(index);
  }

  private send(index: number): void {
    for (const { name, items, bytes } of COLUMNS) {
      const attribute = this.attribute(name);
      attribute.addUpdateRange(index * items, items);
      attribute.needsUpdate = true;
      this.uploads.bytes += items * (bytes ? 1 : 4);
    }
    this.uploads.points++;
  }
}

const known = new Map<string, [number, number, number]>();

/** Red, green, blue as bytes. */
export function rgbOf(css: string): [number, number, number] {
  let rgb = known.get(css);
  if (!rgb) {
    const c = new Color().setStyle(css, NoColorSpace);
    rgb = [Math.round(c.r * 255), Math.round(c.g * 255), Math.round(c.b * 255)];
    known.set(css, rgb);
  }
  return rgb;
}

function hex(rgb: number[]): string {
  return '#' + rgb.slice(0, 3).map((v) => v.toString(16).padStart(2, '0')).join('');
}
