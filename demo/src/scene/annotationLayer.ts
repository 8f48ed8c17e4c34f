/** Annotations in the view: icons and leader lines in WebGL, names above; follows the store row by row. */
import type { ChangeInfo, Store } from 'sharelite';
import type { Cell } from '../cell';
import { Labels, type LabelLook, type LabelSource } from '../view/labels';
import type { Frame } from '../view/gestures';
import { PointCloud } from '../view/points';
import { Ribbons } from '../view/ribbons';
import type { Stage } from '../view/stage';
import { Annotations } from './annotations';
import type { LayerTable } from './layerTable';
import { labelLook, pointLook } from './looks';
import { idIn } from './paths';
import type { Theme } from './theme';

const LAYER_ORDER = { leaders: 5, points: 6 };

export class AnnotationLayer implements LabelSource {
  readonly data: Annotations;
  readonly points: PointCloud;
  readonly labels: Labels;
  private readonly leaders: Ribbons;
  private readonly looks = new Map<number, LabelLook>();
  private readonly stops: (() => void)[] = [];

  constructor(
    private readonly store: Store, private readonly stage: Stage, private readonly layers: LayerTable,
    private readonly theme: Cell<Theme>, private readonly keep: () => readonly (string | undefined)[],
  ) {
    this.data = new Annotations(store);
    this.points = new PointCloud(stage.uniforms, 0);
    this.leaders = new Ribbons(stage.uniforms);
    this.labels = new Labels(this);
    this.points.mesh.renderOrder = LAYER_ORDER.points;
    this.leaders.mesh.renderOrder = LAYER_ORDER.leaders;
  }

  async open(): Promise<void> {
    this.stops.push(this.store.subscribe({ rows: 'annotation' }, (_, info) => this.follow(info)));
    await this.data.load();
    this.redraw();
    this.stage.add(this.leaders.mesh, this.points.mesh);
    this.stage.animate(() => this.points.animated);
    this.stage.overlay((context) => {
      const moving = this.labels.draw(context, this.stage.camera);
      this.leaders.show(this.labels.leaders);
      return moving;
    });
    this.stops.push(this.layers.watch(() => this.redraw()), this.theme.watch(() => this.redraw()));
  }

  /** The upper layers lie above the lower ones, the important above the others, what is selected above all. */
  arrange(): void {
    const selected = this.kept().slice(0, 1);
    const levels: number[][] = [[], ...this.layers.rows.map(() => [])];
    for (const index of this.data.importance()) levels[this.layers.rank(this.data.read(index)('layer')) + 1]!.push(index);
    const [none, ...layers] = levels;
    this.points.arrange(Uint32Array.from([none!, ...layers.reverse()].flatMap((level) => level.reverse()).concat(selected)));
    this.stage.invalidate();
  }

  close(): void { this.stops.forEach((stop) => stop()); }

  order(): readonly number[] { return this.data.importance(); }
  lon(index: number): number { return this.data.lon[index]!; }
  lat(index: number): number { return this.data.lat[index]!; }
  kept(): readonly number[] { return this.keep().map((id) => this.data.index.get(id ?? '') ?? -1).filter((index) => index >= 0); }

  look(index: number): LabelLook {
    let look = this.looks.get(index);
    if (!look) {
      const read = this.data.read(index);
      look = labelLook(read, this.layers.look(read('layer')), this.theme.get());
      this.looks.set(index, look);
    }
    return look;
  }

  /** Those whose icons are in a frame on the screen, the most important first. */
  within({ left, top, right, bottom }: Frame): string[] {
    const { camera } = this.stage;
    return this.data.importance().filter((index) => {
      const drawn = this.points.hitbox(index, camera.zoom);
      if (drawn.radius <= 0) return false;
      const spot = camera.project(this.lon(index), this.lat(index));
      const x = spot.x + drawn.x, y = spot.y + drawn.y;
      return spot.visible && x >= left && x <= right && y >= top && y <= bottom;
    }).map((index) => this.data.ids[index]!);
  }

  /** The annotation whose icon is nearest to a pixel, within reach of a finger. */
  pick(x: number, y: number): string | undefined {
    const { camera } = this.stage;
    const place = camera.unproject(x, y);
    if (!place) return undefined;
    const degrees = (70 / camera.scale) * (180 / Math.PI);
    const narrow = degrees / Math.max(0.05, Math.cos((place.lat * Math.PI) / 180));
    let best: number | undefined, nearest = Infinity;
    for (const [id, index] of this.data.index) {
      if (Math.abs(this.lat(index) - place.lat) > degrees) continue;
      const across = Math.abs(this.lon(index) - place.lon);
      if (Math.min(across, 360 - across) > narrow || id === '') continue;
      const off = this.offset(index, x, y);
      if (off < nearest) [best, nearest] = [index, off];
    }
    return best === undefined ? undefined : this.data.ids[best];
  }

  /** Pixels between a pixel and an icon; Infinity beyond its reach or where it cannot be seen. */
  private offset(index: number, x: number, y: number): number {
    const drawn = this.points.hitbox(index, this.stage.camera.zoom);
    const spot = this.stage.camera.project(this.lon(index), this.lat(index));
    const off = Math.hypot(spot.x + drawn.x - x, spot.y + drawn.y - y);
    return spot.visible && drawn.radius > 0 && off <= Math.max(7, drawn.radius + 3) ? off : Infinity;
  }

  /** Of 25,000 rows only those that changed are read again and sent to the GPU. */
  private follow(info: ChangeInfo): void {
    const ids = new Set(info.paths.map(idIn));
    if (ids.has(undefined)) { void this.data.load().then((gone) => { gone.forEach((index) => this.points.hide(index)); this.redraw(); }); return; }
    const count = this.data.index.size;
    for (const id of ids) this.refresh(id!);
    if (this.data.index.size !== count) this.arrange();
    this.stage.invalidate();
  }

  private refresh(id: string): void {
    const row = this.data.refresh(id);
    if (!row) return;
    this.looks.delete(row.index);
    this.points.reserve(this.data.count);
    if (row.gone) this.points.hide(row.index);
    else this.points.update(row.index, this.pointLook(row.index));
  }

  private redraw(): void {
    this.looks.clear();
    this.points.reserve(this.data.count);
    for (const index of this.data.index.values()) this.points.write(index, this.pointLook(index));
    this.points.uploadAll();
    this.arrange();
  }

  private pointLook(index: number): ReturnType<typeof pointLook> {
    const read = this.data.read(index);
    return pointLook(read, this.layers.look(read('layer')), this.theme.get());
  }
}
