/** `window.__scene`: what is really drawn, read-only, so that browser tests can prove that the view follows. */
import type { Look, Spot } from '../view/camera';
import type { PointCloud } from '../view/points';
import { idIn } from '../scene/paths';
import type { World } from '../scene/world';

export interface Probe {
  readonly count: number;
  readonly frames: number;
  readonly cost: { frame: number; webgl: number };
  readonly uploads: PointCloud['uploads'];
  readonly still: boolean;
  camera(): Look & { round: number };
  /** What the vertex buffers hold for an annotation. */
  drawn(id: string): ReturnType<PointCloud['read']> | undefined;
  /** Where an annotation is on the canvas, in CSS pixels. */
  project(id: string): Spot | undefined;
  projectPlace(lon: number, lat: number): Spot;
  /** Where the handle of a route point is, and its place. */
  routePoint(path: string): (Spot & { lon: number; lat: number }) | undefined;
  labels(): string[];
  selected(): string | undefined;
  /** What is selected, one or many, with the places and where the icons are on the canvas. */
  group(): { path: string; lon: number; lat: number; x: number; y: number }[];
  others(): { name: string; at?: { lon: number; lat: number } | undefined; selected?: string | undefined }[];
  /** Red, green, blue, alpha of the WebGL canvas at a CSS pixel, after drawing a frame. */
  pixel(x: number, y: number): number[];
}

declare global {
  interface Window { __scene?: Probe }
}

export function expose(world: World): () => void {
  const { stage, annotations } = world;
  const indexOf = (id: string): number | undefined => annotations.data.index.get(id);
  window.__scene = Object.freeze<Probe>({
    get count() { return annotations.data.index.size; },
    get frames() { return stage.frames; },
    get cost() { return { ...stage.cost }; },
    get uploads() { return { ...annotations.points.uploads }; },
    get still() { return stage.still; },
    camera: () => ({ ...stage.camera.look, round: stage.camera.round }),
    drawn: (id) => { const index = indexOf(id); return index === undefined ? undefined : annotations.points.read(index); },
    project: (id) => { const index = indexOf(id); return index === undefined ? undefined : { ...stage.camera.project(annotations.lon(index), annotations.lat(index)) }; },
    projectPlace: (lon, lat) => ({ ...stage.camera.project(lon, lat) }),
    routePoint: (path) => { const point = world.routes.point(path); return point && { ...stage.camera.project(point.lon, point.lat), lon: point.lon, lat: point.lat }; },
    labels: () => annotations.labels.placed.map((label) => label.look.text),
    selected: () => world.selected.get(),
    group: () => world.group.all().flatMap((path) => { const index = indexOf(idIn(path) ?? ''); return index === undefined ? [] : [{ path, lon: annotations.lon(index), lat: annotations.lat(index), ...spotOf(world, index) }]; }),
    others: () => world.people.others.get().map(({ name, at, selected }) => ({ name, at, selected })),
    pixel: (x, y) => readPixel(world, x, y),
  });
  return () => { delete window.__scene; };
}

function spotOf({ stage, annotations }: World, index: number): { x: number; y: number } {
  const spot = stage.camera.project(annotations.lon(index), annotations.lat(index));
  const drawn = annotations.points.hitbox(index, stage.camera.zoom);
  return { x: spot.x + drawn.x, y: spot.y + drawn.y };
}

function readPixel({ stage }: World, x: number, y: number): number[] {
  stage.frame();
  const gl = stage.renderer.getContext(), ratio = stage.renderer.getPixelRatio();
  const bytes = new Uint8Array(4);
  gl.readPixels(Math.floor(x * ratio), Math.floor((stage.camera.height - y) * ratio), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  return [...bytes];
}
