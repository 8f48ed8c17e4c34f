/** Routes: great circles through their points, a handle on each point, and chevrons that show the direction. */
import type { Store, Tree } from 'sharelite';
import type { Cell } from '../cell';
import { arc, greatCircle, type Place } from '../geo';
import type { Spot } from '../view/camera';
import { PointCloud, type PointLook } from '../view/points';
import { Ribbons, strokeOf, type Piece } from '../view/ribbons';
import type { Stage } from '../view/stage';
import type { LayerTable } from './layerTable';
import { pathTo, rowOf } from './paths';
import type { Theme } from './theme';

export interface RoutePoint extends Place { id: string; name: string; stop: boolean; alt: number }
export interface Route {
  id: string; title: string; visible: boolean; closed: boolean; layer?: string | null;
  line: { color: string; opacity: number; width: number; dash: string; cap: string; arrows: boolean };
  points: RoutePoint[];
}

interface Handle { path: string; route: string; point: RoutePoint }
const LAYER_ORDER = { lines: 4, handles: 7 };
const STEP_DEGREES = 1.5;

export class RouteLayer {
  routes: Route[] = [];
  readonly handles: PointCloud;
  private handleAt: Handle[] = [];
  private readonly ribbons = new Map<string, { ribbons: Ribbons; route: Route }>();
  private readonly stops: (() => void)[] = [];

  constructor(private readonly store: Store, private readonly stage: Stage, private readonly layers: LayerTable, private readonly theme: Cell<Theme>, private readonly selected: Cell<string | undefined>) {
    this.handles = new PointCloud(stage.uniforms, 0);
    this.handles.mesh.renderOrder = LAYER_ORDER.handles;
    stage.add(this.handles.mesh);
    stage.overlay((context) => this.drawNames(context));
    this.stops.push(
      store.subscribe('route', () => this.read()), layers.watch(() => this.redraw()),
      theme.watch(() => this.redraw()), selected.watch(() => this.showHandles()),
    );
    this.read();
  }

  close(): void { this.stops.forEach((stop) => stop()); }

  /** The path of the route point under a pixel. */
  pickPoint(x: number, y: number): string | undefined {
    return this.nearest(x, y, (handle) => handle.path);
  }

  /** The path of the route whose line is under a pixel. */
  pickLine(x: number, y: number): string | undefined {
    const hit = this.routes.find((route) => this.shown(route) && this.legs(route).some((leg) => near(leg.map((place) => this.stage.camera.project(place.lon, place.lat)), x, y, Math.max(5, route.line.width))));
    return hit && pathTo('route', hit.id);
  }

  point(path: string): RoutePoint | undefined { return this.handleAt.find((handle) => handle.path === path)?.point; }

  private nearest(x: number, y: number, answer: (handle: Handle) => string): string | undefined {
    let best: Handle | undefined, least = 11;
    for (const handle of this.handleAt) {
      const spot = this.stage.camera.project(handle.point.lon, handle.point.lat);
      const off = Math.hypot(spot.x - x, spot.y - y);
      if (spot.visible && off < least) [best, least] = [handle, off];
    }
    return best && answer(best);
  }

  private shown(route: Route): boolean { return route.visible && this.layers.look(route.layer ?? undefined).visible; }

  /** Rows that did not change are the same objects as before: only the others are built again. */
  private read(): void {
    this.routes = ((this.store.peek('route') ?? []) as Tree[]).map((tree) => tree as unknown as Route);
    const here = new Set(this.routes.map((route) => route.id));
    for (const [id, { ribbons }] of [...this.ribbons]) {
      if (here.has(id)) continue;
      this.stage.remove(ribbons.mesh);
      ribbons.dispose();
      this.ribbons.delete(id);
    }
    for (const route of this.routes) if (this.ribbons.get(route.id)?.route !== route) this.build(route);
    this.showHandles();
  }

  private redraw(): void {
    this.routes.forEach((route) => this.build(route));
    this.showHandles();
  }

  private build(route: Route): void {
    let built = this.ribbons.get(route.id);
    if (!built) {
      built = { ribbons: new Ribbons(this.stage.uniforms), route };
      built.ribbons.mesh.renderOrder = LAYER_ORDER.lines;
      this.ribbons.set(route.id, built);
      this.stage.add(built.ribbons.mesh);
    }
    built.route = route;
    built.ribbons.show(this.pieces(route));
    this.stage.invalidate();
  }

  private legs(route: Route): Place[][] {
    const ends = route.closed && route.points.length > 2 ? [...route.points, route.points[0]!] : route.points;
    return ends.slice(1).map((to, k) => greatCircle(ends[k]!, to, STEP_DEGREES));
  }

  private pieces(route: Route): Piece[] {
    if (!this.shown(route)) return [];
    const { line } = route;
    const stroke = strokeOf(line.color, line.opacity * this.layers.look(route.layer ?? undefined).opacity, line.width, line.dash, line.cap);
    let along = 0;
    return this.legs(route).flatMap((leg) => leg.slice(1).map((to, k) => {
      const from = leg[k]!, start = along;
      along += arc(from, to);
      return { from: { ...from, along: start }, to: { ...to, along }, stroke };
    }));
  }

  private showHandles(): void {
    const selected = this.selected.get();
    this.handleAt = this.routes.filter((route) => this.shown(route)).flatMap((route) => route.points.map((point) => ({ path: pathTo('route', route.id, 'points', point.id), route: route.id, point })));
    this.handles.reserve(this.handleAt.length);
    this.handleAt.forEach((handle, index) => this.handles.write(index, this.handleLook(handle, selected)));
    this.handles.uploadAll();
    this.stage.invalidate();
  }

  private handleLook({ path, route, point }: Handle, selected: string | undefined): PointLook {
    const { line } = this.routes.find((other) => other.id === route)!;
    const theme = this.theme.get();
    const inSelected = selected !== undefined && rowOf(selected) === pathTo('route', route);
    const size = path === selected ? 13 : inSelected ? 10 : point.stop ? 8 : 6;
    return {
      ...PLAIN, lon: point.lon, lat: point.lat, alt: point.alt, size, color: inSelected ? theme.paper : line.color, opacity: 1,
      outline: { color: inSelected ? line.color : theme.paper, opacity: 1, width: inSelected ? 2.5 : 1.5, dash: 'solid' },
    };
  }

  private drawNames(context: CanvasRenderingContext2D): boolean {
    const selected = this.selected.get();
    context.textAlign = 'center';
    for (const route of this.routes) {
      if (!this.shown(route)) continue;
      if (route.line.arrows) this.drawChevrons(context, route);
      if (selected && rowOf(selected) === pathTo('route', route.id)) this.drawStops(context, route);
    }
    return false;
  }

  private drawStops(context: CanvasRenderingContext2D, route: Route): void {
    const theme = this.theme.get();
    context.font = "600 11px 'Inter', system-ui, sans-serif";
    context.textBaseline = 'top';
    context.lineWidth = 3;
    context.lineJoin = 'round';
    const named: Spot[] = [];
    route.points.forEach((point, k) => {
      const spot = this.stage.camera.project(point.lon, point.lat);
      if (!spot.visible) return;
      const crowded = named.some((other) => Math.abs(other.x - spot.x) < 90 && Math.abs(other.y - spot.y) < 14);
      if (!crowded) named.push(spot);
      const name = point.name && !crowded ? `${k + 1} · ${point.name}` : String(k + 1);
      context.strokeStyle = theme.paper;
      context.strokeText(name, spot.x, spot.y + 10);
      context.fillStyle = theme.ink;
      context.fillText(name, spot.x, spot.y + 10);
    });
  }

  private drawChevrons(context: CanvasRenderingContext2D, route: Route): void {
    context.strokeStyle = route.line.color;
    context.lineWidth = Math.max(1.5, route.line.width * 0.7);
    context.lineCap = 'round';
    const { camera } = this.stage;
    for (const leg of this.legs(route)) {
      const k = Math.floor(leg.length / 2);
      const a = camera.project(leg[k - 1]!.lon, leg[k - 1]!.lat), b = camera.project(leg[k]!.lon, leg[k]!.lat);
      if (!a.visible || !b.visible) continue;
      const turn = Math.atan2(b.y - a.y, b.x - a.x), size = 4 + route.line.width;
      const x = leg.length === 2 ? (a.x + b.x) / 2 : b.x, y = leg.length === 2 ? (a.y + b.y) / 2 : b.y;
      context.beginPath();
      context.moveTo(x - size * Math.cos(turn - 0.6), y - size * Math.sin(turn - 0.6));
      context.lineTo(x, y);
      context.lineTo(x - size * Math.cos(turn + 0.6), y - size * Math.sin(turn + 0.6));
      context.stroke();
    }
  }
}

export const PLAIN: PointLook = {
  lon: 0, lat: 0, alt: 0, size: 8, shape: 'circle', rotation: 0, color: '#ffffff', opacity: 1,
  outline: { color: '#000000', opacity: 0, width: 0, dash: 'solid' }, glow: { color: '#ffffff', strength: 0, radius: 0 },
  shadow: { color: '#000000', opacity: 0, blur: 0, x: 0, y: 0 }, shift: { x: 0, y: 0 }, scale: { near: 1, far: 1 },
  range: { from: 0, to: 24, fade: 0 }, pulse: { period: 1, reach: 0 }, behind: false,
};

/** Whether a pixel lies within `reach` of a line on the screen. */
function near(spots: Spot[], x: number, y: number, reach: number): boolean {
  return spots.slice(1).some((b, k) => {
    const a = spots[k]!;
    if (!a.visible || !b.visible) return false;
    const dx = b.x - a.x, dy = b.y - a.y;
    const t = Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(a.x + dx * t - x, a.y + dy * t - y) <= reach;
  });
}
