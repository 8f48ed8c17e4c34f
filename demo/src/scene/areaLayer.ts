/** Areas: a fill and an outline each. */
import type { Store, Tree } from 'sharelite';
import { arc, greatCircle, insideRing, type Place } from '../geo';
import { Fill } from '../view/fills';
import { Ribbons, strokeOf, type Piece } from '../view/ribbons';
import type { Stage } from '../view/stage';
import type { LayerTable } from './layerTable';
import { pathTo } from './paths';

export interface Area {
  id: string; title: string; visible: boolean; layer?: string | null;
  fill: { color: string; opacity: number; pattern: string };
  outline: { visible: boolean; color: string; opacity: number; width: number; dash: string };
  corners: Place[];
}

interface Drawn { fill: Fill; outline: Ribbons; area: Area }
const LAYER_ORDER = 3;

export class AreaLayer {
  areas: Area[] = [];
  private readonly drawn = new Map<string, Drawn>();
  private readonly stops: (() => void)[];

  constructor(private readonly store: Store, private readonly stage: Stage, private readonly layers: LayerTable) {
    this.stops = [store.subscribe('area', () => this.read()), layers.watch(() => this.areas.forEach((area) => this.build(area)))];
    this.read();
  }

  close(): void { this.stops.forEach((stop) => stop()); }

  pick(place: Place): string | undefined {
    const hit = [...this.areas].reverse().find((area) => this.strength(area) > 0 && insideRing(place, area.corners));
    return hit && pathTo('area', hit.id);
  }

  private read(): void {
    this.areas = ((this.store.peek('area') ?? []) as Tree[]).map((tree) => tree as unknown as Area);
    const here = new Set(this.areas.map((area) => area.id));
    for (const [id, { fill, outline }] of [...this.drawn]) {
      if (here.has(id)) continue;
      this.stage.remove(fill.mesh, outline.mesh);
      fill.dispose();
      outline.dispose();
      this.drawn.delete(id);
    }
    for (const area of this.areas) if (this.drawn.get(area.id)?.area !== area) this.build(area);
  }

  private strength(area: Area): number {
    const layer = this.layers.look(area.layer ?? undefined);
    return area.visible && layer.visible ? layer.opacity : 0;
  }

  private build(area: Area): void {
    const drawn = this.drawn.get(area.id) ?? this.make(area);
    drawn.area = area;
    drawn.fill.show({ corners: area.corners, color: area.fill.color, opacity: area.fill.opacity * this.strength(area), pattern: area.fill.pattern });
    drawn.outline.show(this.pieces(area));
    this.stage.invalidate();
  }

  private make(area: Area): Drawn {
    const drawn = { fill: new Fill(this.stage.uniforms), outline: new Ribbons(this.stage.uniforms), area };
    drawn.fill.mesh.renderOrder = drawn.outline.mesh.renderOrder = LAYER_ORDER;
    this.drawn.set(area.id, drawn);
    this.stage.add(drawn.fill.mesh, drawn.outline.mesh);
    return drawn;
  }

  private pieces({ outline, corners, ...area }: Area): Piece[] {
    const opacity = outline.visible ? outline.opacity * this.strength({ outline, corners, ...area }) : 0;
    if (opacity === 0 || corners.length < 3) return [];
    const stroke = strokeOf(outline.color, opacity, outline.width, outline.dash, 'round');
    let along = 0;
    return corners.flatMap((from, k) => {
      const leg = greatCircle(from, corners[(k + 1) % corners.length]!, 2);
      return leg.slice(1).map((to, j) => {
        const start = along;
        along += arc(leg[j]!, to);
        return { from: { ...leg[j]!, along: start }, to: { ...to, along }, stroke };
      });
    });
  }
}
