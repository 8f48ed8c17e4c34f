/** The scene: what the store holds, on the stage, and what a hand on the canvas does to it. */
import type { Store } from 'sharelite';
import type { Selection } from '../app/selection';
import { Cell } from '../cell';
import type { Place } from '../geo';
import { Gestures, type Frame, type Pointing } from '../view/gestures';
import type { Ground } from '../view/ground';
import type { Stage } from '../view/stage';
import { AnnotationLayer } from './annotationLayer';
import { AreaLayer } from './areaLayer';
import type { Editing } from './editing';
import { flatten } from './fields';
import { Group, GroupDrag, MOST, fine, moved } from './group';
import { LayerTable } from './layerTable';
import { groundLook } from './looks';
import { Markers, type Mark } from './markers';
import { idIn, pathTo, rowOf, tableOf } from './paths';
import type { People } from './people';
import { RouteLayer } from './routeLayer';
import type { Theme } from './theme';

export interface Hover { path: string; x: number; y: number }

export class World implements Pointing {
  readonly selected = new Cell<string | undefined>(undefined);
  readonly group = new Group(this.selected);
  readonly hovered = new Cell<Hover | undefined>(undefined);
  readonly round = new Cell(true);
  readonly layers: LayerTable;
  readonly annotations: AnnotationLayer;
  readonly routes: RouteLayer;
  readonly areas: AreaLayer;
  readonly gestures: Gestures;
  private grabbed: { path: string; moved: boolean; together?: GroupDrag } | undefined;
  private framed: Frame | undefined;
  private lastPlace: Place | undefined;
  private asked = 0;
  private readonly stops: (() => void)[] = [];

  constructor(readonly stage: Stage, private readonly ground: Ground, readonly store: Store, readonly editing: Editing, readonly people: People, readonly theme: Cell<Theme>) {
    this.layers = new LayerTable(store);
    this.areas = new AreaLayer(store, this.stage, this.layers);
    this.annotations = new AnnotationLayer(store, this.stage, this.layers, theme, () => [this.selectedAnnotation(), this.hoveredAnnotation()]);
    this.routes = new RouteLayer(store, this.stage, this.layers, theme, this.selected);
    this.gestures = new Gestures(this.stage, this.stage.overlayCanvas, this);
    this.stops.push(
      store.subscribe('scene', () => this.showGround()), theme.watch(() => this.showGround()),
      this.selected.watch((selected) => { people.say({ selected }); this.annotations.arrange(); }),
      this.hovered.watch(() => this.stage.invalidate()), this.group.rows.watch(() => this.stage.invalidate()),
      editing.session.watch((session) => people.say({ editing: session !== undefined })),
    );
    editing.spread = (path) => this.group.spread(path);
    this.showGround();
    this.look();
  }

  async open(): Promise<void> {
    await this.annotations.open();
    new Markers(this.stage, this.people, (path) => this.mark(path), () => ({
      selected: this.selected.get(), group: this.group.rows.get(), hovered: this.hovered.get()?.path, frame: this.framed, accent: this.theme.get().accent,
    }));
    this.stage.invalidate();
  }

  close(): void {
    this.stops.forEach((stop) => stop());
    this.gestures.dispose();
    for (const part of [this.layers, this.annotations, this.routes, this.areas]) part.close();
  }

  get selection(): Selection {
    return { selected: this.selected, group: this.group, goTo: (path, closer) => this.goTo(path, closer) };
  }

  /** Shows a thing wherever it is. */
  goTo(path: string, closer = 5): void {
    const place = this.place(path);
    if (place) this.stage.flyTo({ lon: place.lon, lat: place.lat, zoom: Math.max(this.stage.camera.zoom, closer) });
  }

  turn(round: boolean): void {
    this.round.set(round);
    this.stage.shape(round ? 1 : 0);
  }

  // What one points at.

  hover(x: number, y: number, place: Place | undefined): void {
    this.people.say({ at: place });
    if (this.grabbed) return;
    const path = this.pick(x, y, place);
    this.hovered.set(path && tableOf(path) !== 'area' ? { path, x, y } : undefined);
    this.stage.overlayCanvas.style.cursor = this.cursor(path);
  }

  leave(): void {
    this.people.say({ at: undefined });
    this.hovered.set(undefined);
  }

  click(x: number, y: number, place: Place | undefined, more: boolean): void {
    const path = this.pick(x, y, place);
    if (more && path && tableOf(path) === 'annotation') return this.group.toggle(path);
    if (more) return;
    this.group.rows.set([]);
    this.selected.set(path);
  }

  frame(box: Frame | undefined): void {
    this.framed = box;
    this.stage.invalidate();
  }

  enclose(box: Frame): void {
    const found = this.annotations.within(box).filter((id) => this.selectable(id)).slice(0, MOST);
    if (found.length > 0) this.group.set(found.map((id) => pathTo('annotation', id)));
  }

  /** Moves what is selected by so many pixels, for hands on a keyboard. */
  nudge(right: number, down: number): void {
    const { camera } = this.stage;
    const degrees = 180 / Math.PI / camera.scale;
    this.editing.setAll(this.movable(this.group.all()).flatMap((path) => {
      const place = this.place(path);
      if (!place) return [];
      const east = (right * degrees) / Math.max(0.05, Math.cos((place.lat * Math.PI) / 180));
      return [[`${path}/position`, moved(place.lon + east, place.lat - down * degrees)]];
    }), 'nudge');
  }

  grab(x: number, y: number): boolean {
    if (this.readOnly) return false;
    const annotation = this.draggable(this.annotations.pick(x, y));
    // What is selected with others wins over what lies beside it.
    const path = annotation && this.group.has(annotation) ? annotation : this.routes.pickPoint(x, y) ?? annotation;
    if (!path) return false;
    const together = this.group.has(path) ? { together: new GroupDrag(path, this.movable(this.group.rows.get()), (one) => this.place(one)) } : {};
    this.grabbed = { path, moved: false, ...together };
    return true;
  }

  drag(place: Place): void {
    const grabbed = this.grabbed;
    if (!grabbed) return;
    if (!grabbed.moved) {
      grabbed.moved = true;
      this.hovered.set(undefined);
      this.selected.set(grabbed.path);
      this.editing.hold();
    }
    if (grabbed.together) return this.dragTogether(grabbed.together, place);
    const value = { lon: fine(place.lon), lat: fine(place.lat) };
    this.editing.set(tableOf(grabbed.path) === 'route' ? grabbed.path : `${grabbed.path}/position`, value);
  }

  /** Hundreds of rows move once a frame, however often the hand is heard of. */
  private dragTogether(together: GroupDrag, place: Place): void {
    this.lastPlace = place;
    this.asked ||= requestAnimationFrame(() => this.settleDrag(together));
  }

  private settleDrag(together: GroupDrag | undefined): void {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    if (together && this.lastPlace) this.editing.setAll(together.to(this.lastPlace));
    this.lastPlace = undefined;
  }

  drop(cancelled: boolean): void {
    this.settleDrag(cancelled ? undefined : this.grabbed?.together);
    if (this.grabbed?.moved) { if (cancelled) this.editing.abandon(); else this.editing.release(); }
    this.grabbed = undefined;
  }

  private get readOnly(): boolean { return this.store.status.role === 'reader'; }

  private pick(x: number, y: number, place: Place | undefined): string | undefined {
    const id = this.annotations.pick(x, y);
    return this.routes.pickPoint(x, y) ?? (id !== undefined && this.selectable(id) ? pathTo('annotation', id) : undefined)
      ?? this.routes.pickLine(x, y) ?? (place && this.areas.pick(place));
  }

  private reader(id: string): ReturnType<AnnotationLayer['data']['read']> {
    return this.annotations.data.read(this.annotations.data.index.get(id) ?? -1);
  }

  private selectable(id: string): boolean { return this.reader(id)('interaction.selectable') !== false; }

  /** Only what is selected can be dragged, so that panning over 25,000 icons moves none of them. */
  private draggable(id: string | undefined): string | undefined {
    if (id === undefined) return undefined;
    const path = pathTo('annotation', id);
    return path === this.selected.get() || this.group.has(path) ? this.movable([path])[0] : undefined;
  }

  private movable(paths: readonly string[]): string[] {
    if (this.store.status.role === 'reader') return [];
    return paths.filter((path) => {
      if (tableOf(path) !== 'annotation') return false;
      const read = this.reader(idIn(path)!);
      return read('locked') !== true && read('interaction.draggable') !== false;
    });
  }

  private cursor(path: string | undefined): string {
    if (!path || tableOf(path) === 'area') return 'grab';
    if (this.readOnly) return 'pointer';
    if (tableOf(path) === 'route') return path === rowOf(path) ? 'pointer' : 'move';
    return this.selected.get() === path || this.group.has(path) ? 'move' : String(this.reader(idIn(path)!)('interaction.cursor') ?? 'pointer');
  }

  private selectedAnnotation(): string | undefined { return annotationIn(this.selected.get()); }
  private hoveredAnnotation(): string | undefined { return annotationIn(this.hovered.get()?.path); }

  private place(path: string): Place | undefined {
    const id = idIn(path);
    if (tableOf(path) === 'annotation') {
      const index = this.annotations.data.index.get(id ?? '');
      return index === undefined ? undefined : { lon: this.annotations.lon(index), lat: this.annotations.lat(index) };
    }
    if (tableOf(path) === 'route') return this.routes.point(path) ?? middle(this.routes.routes.find((route) => route.id === id)?.points);
    return middle(this.areas.areas.find((area) => area.id === id)?.corners);
  }

  private mark(path: string): Mark | undefined {
    const table = tableOf(path);
    if (table !== 'annotation' && (table !== 'route' || path === rowOf(path))) return undefined;
    const place = this.place(path);
    if (!place) return undefined;
    const spot = this.stage.camera.project(place.lon, place.lat);
    if (!spot.visible) return undefined;
    const index = this.annotations.data.index.get(idIn(path)!);
    if (table === 'route' || index === undefined) return { x: spot.x, y: spot.y, radius: 8 };
    const box = this.annotations.points.hitbox(index, this.stage.camera.zoom);
    return { x: spot.x + box.x, y: spot.y + box.y, radius: Math.max(4, box.radius) };
  }

  private showGround(): void {
    const scene = flatten(this.store.peek('scene'));
    this.ground.show(groundLook((name) => scene[name], this.theme.get()));
    this.stage.uniforms.shared.uExaggeration.value = Number(scene['exaggeration'] ?? 1);
    this.stage.invalidate();
  }

  /** The view that the scene was left with. */
  private look(): void {
    const scene = flatten(this.store.peek('scene'));
    const at = (name: string): number => Number(scene[`view.${name}`] ?? 0);
    this.stage.camera.set({ lon: at('lon'), lat: at('lat'), zoom: at('zoom'), pitch: at('pitch'), bearing: at('bearing') });
  }
}

function annotationIn(path: string | undefined): string | undefined {
  return path && tableOf(path) === 'annotation' ? idIn(path) : undefined;
}

function middle(places: Place[] | undefined): Place | undefined {
  if (!places?.length) return undefined;
  const sum = places.map(({ lon, lat }) => [Math.cos(lon * Math.PI / 180), Math.sin(lon * Math.PI / 180), lat] as const)
    .reduce((a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]] as const, [0, 0, 0] as const);
  return { lon: Math.atan2(sum[1], sum[0]) * 180 / Math.PI, lat: sum[2] / places.length };
}
