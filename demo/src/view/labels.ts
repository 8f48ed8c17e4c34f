/**
 * Names beside their icons, on a canvas above the WebGL one: the most important first, none over another.
 * Leader lines of the names that are shown are handed to WebGL.
 */
import { clamp, wrapDegrees } from '../geo';
import type { Camera, Spot } from './camera';
import { boxOf, drawLabel, type Box } from './labelDrawing';
import { leaderPieces } from './leaders';
import type { Piece, Stroke } from './ribbons';

export interface Marker { marker: string; size: number }
export interface LabelLook {
  text: string;
  font: { family: string; size: number; weight: number; style: string; underline: boolean };
  color: string; opacity: number; shown: boolean;
  rotation: number; maxWidth: number; lineHeight: number; letterSpacing: number; align: CanvasTextAlign; placement: string;
  background?: { color: string; opacity: number } | undefined;
  radius: number;
  border?: Stroke | undefined;
  halo?: { color: string; width: number; blur: number } | undefined;
  shadow?: { color: string; opacity: number; blur: number; x: number; y: number } | undefined;
  offset: { x: number; y: number };
  padding: { top: number; right: number; bottom: number; left: number };
  icon: number; collide: boolean; from: number; to: number;
  badge?: { text: string; color: string; ink: string; size: number; corner: string } | undefined;
  leader?: { length: number; angle: number; shape: string; stroke: Stroke; start: Marker; end: Marker } | undefined;
}

/** What there is to label. `order`: indexes, the most important first. */
export interface LabelSource {
  order(): readonly number[];
  lon(index: number): number;
  lat(index: number): number;
  look(index: number): LabelLook;
  /** Labels that are shown whatever they cover (selected, hovered). */
  kept(): readonly number[];
}

interface Placed { index: number; look: LabelLook; box: Box; spot: Spot }

const NOWHERE: Box = { x: -1e6, y: -1e6, width: 0, height: 0, lines: [] };
const MOST_TESTED = 2500;
const PIXELS_PER_LABEL = 19_000;
const FADE_MS = 220, LONGEST_FRAME_MS = 110;

export class Labels {
  /** What was drawn in the last frame: for the probe. */
  placed: Placed[] = [];
  leaders: Piece[] = [];
  private readonly shown = new Map<number, number>();
  private drawnAt = 0;

  constructor(private readonly source: LabelSource) {}

  /** Draws one frame; says whether labels are still fading in or out. */
  draw(context: CanvasRenderingContext2D, camera: Camera): boolean {
    this.place(context, camera);
    const now = new Set(this.placed.map((label) => label.index));
    const step = this.step();
    let moving = this.fade(now, step);
    this.leaders = [];
    for (const label of [...this.placed].reverse()) {
      const strength = this.shown.get(label.index) ?? 1;
      drawLabel(context, label.look, label.box, label.spot, strength);
      const { index, look } = label;
      if (look.leader) this.leaders.push(...leaderPieces(look.leader, this.source.lon(index), this.source.lat(index), strength));
    }
    for (const index of [...this.shown.keys()]) if (!now.has(index)) moving = this.drawLeaving(context, camera, index, step) || moving;
    return moving;
  }

  private place(context: CanvasRenderingContext2D, camera: Camera): void {
    const budget = clamp(Math.round((camera.width * camera.height) / PIXELS_PER_LABEL), 12, 110);
    const kept = this.source.kept();
    this.placed = [];
    for (const index of kept) this.try(context, camera, index, true);
    const near = reach(camera);
    let tested = 0;
    for (const index of this.source.order()) {
      if (this.placed.length >= budget || tested > MOST_TESTED) break;
      if (Math.abs(this.source.lat(index) - camera.lat) > near.lat || Math.abs(wrapDegrees(this.source.lon(index) - camera.lon)) > near.lon) continue;
      tested++;
      if (!kept.includes(index)) this.try(context, camera, index, false);
    }
  }

  private try(context: CanvasRenderingContext2D, camera: Camera, index: number, kept: boolean): void {
    const spot = camera.project(this.source.lon(index), this.source.lat(index));
    if (!spot.visible || spot.x < -60 || spot.y < -30 || spot.x > camera.width + 60 || spot.y > camera.height + 30) return;
    const look = this.source.look(index);
    if (!look.shown || camera.zoom < look.from || camera.zoom > look.to + 0.01) return;
    if (!look.text && !look.leader && !look.badge) return;
    const box = boxOf(context, look, spot);
    const covered = !kept && look.collide && this.placed.some((other) => overlaps(box, other.box));
    if (!covered) this.placed.push({ index, look, box, spot });
    else if (look.badge) this.placed.push({ index, look, box: NOWHERE, spot }); // a badge belongs to the icon
  }

  /** How far labels fade in this frame. After a rest they do not come at once. */
  private step(): number {
    const now = performance.now(), since = now - this.drawnAt;
    this.drawnAt = now;
    return Math.min(since, LONGEST_FRAME_MS) / FADE_MS;
  }

  private fade(now: Set<number>, step: number): boolean {
    let moving = false;
    for (const index of now) {
      const strength = Math.min(1, (this.shown.get(index) ?? 0) + step);
      if (strength < 1) moving = true;
      this.shown.set(index, strength);
    }
    return moving;
  }

  private drawLeaving(context: CanvasRenderingContext2D, camera: Camera, index: number, step: number): boolean {
    const strength = (this.shown.get(index) ?? 0) - step * 1.5;
    const spot = camera.project(this.source.lon(index), this.source.lat(index));
    const look = this.source.look(index);
    if (strength <= 0 || !spot.visible || !look.shown) { this.shown.delete(index); return false; }
    this.shown.set(index, strength);
    drawLabel(context, look, boxOf(context, look, spot), spot, strength);
    return true;
  }
}

function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** Degrees around the middle that the view may show at most. */
function reach(camera: Camera): { lon: number; lat: number } {
  const pixels = Math.hypot(camera.width, camera.height) * (0.55 + camera.pitch / 40);
  const degrees = (pixels / camera.scale) * (180 / Math.PI);
  const narrow = Math.max(0.08, Math.cos(((Math.abs(camera.lat) + Math.min(degrees, 60)) * Math.PI) / 180));
  return { lat: Math.min(180, degrees), lon: Math.min(180, degrees / narrow) };
}
