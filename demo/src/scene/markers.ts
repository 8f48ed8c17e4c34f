/** What is drawn around things: hover and selection, others' selections, and others' cursors with their names. */
import { wordsCell } from '../app/words';
import { wrapDegrees } from '../geo';
import type { Frame } from '../view/gestures';
import type { Stage } from '../view/stage';
import type { People, Person } from './people';

/** Where a selected thing is on the screen, and how large. */
export interface Mark { x: number; y: number; radius: number }
export type FindMark = (path: string) => Mark | undefined;

/** What is drawn for oneself. */
export interface Mine { selected?: string | undefined; group: readonly string[]; hovered?: string | undefined; frame?: Frame | undefined; accent: string }

/** Rings of more things than this lie close around them, so that one still sees what is below. */
const CROWD = 50;

interface Drift { lon: number; lat: number }

export class Markers {
  private readonly drifts = new Map<string, Drift>();

  constructor(private readonly stage: Stage, private readonly people: People, private readonly find: FindMark, private readonly mine: () => Mine) {
    stage.overlay((context) => this.draw(context));
    people.others.watch(() => stage.invalidate());
  }

  private draw(context: CanvasRenderingContext2D): boolean {
    const { selected, group, hovered, frame, accent } = this.mine();
    if (hovered && hovered !== selected) this.ring(context, hovered, accent, 1, 0.7);
    for (const person of this.people.others.get()) if (person.selected) this.tagged(context, person);
    const many = group.length > CROWD;
    for (const path of group) if (path !== selected) this.ring(context, path, accent, many ? 1 : 1.5, many ? 0.75 : 0.9, many ? 1.5 : 4);
    if (selected) this.ring(context, selected, accent, 2, 1);
    if (frame) around(context, frame, accent);
    let moving = false;
    for (const person of this.people.others.get()) moving = this.cursor(context, person) || moving;
    return moving;
  }

  private ring(context: CanvasRenderingContext2D, path: string, color: string, width: number, alpha: number, gap = 4): Mark | undefined {
    const mark = this.find(path);
    if (!mark) return undefined;
    context.globalAlpha = alpha;
    context.strokeStyle = color;
    context.lineWidth = width;
    context.beginPath();
    context.arc(mark.x, mark.y, mark.radius + gap, 0, Math.PI * 2);
    context.stroke();
    context.globalAlpha = 1;
    return mark;
  }

  private tagged(context: CanvasRenderingContext2D, person: Person): void {
    const mark = this.ring(context, person.selected!, person.color, 2, 1);
    if (mark && !person.at) flag(context, person, mark.x + mark.radius + 6, mark.y - mark.radius - 6);
  }

  /** Cursors glide to where they were last heard of. */
  private cursor(context: CanvasRenderingContext2D, person: Person): boolean {
    if (!person.at) { this.drifts.delete(person.client); return false; }
    const drift = this.drifts.get(person.client) ?? { ...person.at };
    const east = wrapDegrees(person.at.lon - drift.lon), north = person.at.lat - drift.lat;
    drift.lon += east * 0.35;
    drift.lat += north * 0.35;
    this.drifts.set(person.client, drift);
    const spot = this.stage.camera.project(drift.lon, drift.lat);
    if (spot.visible) {
      arrow(context, person.color, spot.x, spot.y);
      flag(context, person, spot.x + 12, spot.y + 16);
    }
    return Math.hypot(east, north) * this.stage.camera.scale > 10;
  }
}

function around(context: CanvasRenderingContext2D, { left, top, right, bottom }: Frame, color: string): void {
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = 1;
  context.globalAlpha = 0.12;
  context.fillRect(left, top, right - left, bottom - top);
  context.globalAlpha = 1;
  context.strokeRect(left + 0.5, top + 0.5, right - left, bottom - top);
}

function arrow(context: CanvasRenderingContext2D, color: string, x: number, y: number): void {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + 4.5, y + 15);
  context.lineTo(x + 7.6, y + 8.6);
  context.lineTo(x + 14.4, y + 6.4);
  context.closePath();
  context.fillStyle = color;
  context.fill();
  context.strokeStyle = 'rgba(0, 0, 0, 0.45)';
  context.lineWidth = 1;
  context.stroke();
}

function flag(context: CanvasRenderingContext2D, { name, color, editing }: Person, x: number, y: number): void {
  const text = editing ? wordsCell.get().isEditing(name) : name;
  context.font = "600 11px 'Inter', system-ui, sans-serif";
  context.letterSpacing = '0px';
  const width = context.measureText(text).width + 14;
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(x, y, width, 19, 9.5);
  context.fill();
  context.fillStyle = '#10161f';
  context.textAlign = 'left';
  context.textBaseline = 'middle';
  context.fillText(text, x + 7, y + 10);
}
