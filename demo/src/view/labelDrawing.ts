/** One label on a 2D canvas: where it lies, and how its text, box, border and badge are painted. */
import type { Spot } from './camera';
import type { LabelLook } from './labels';

export interface Box { x: number; y: number; width: number; height: number; lines: string[] }

const FAMILIES: Record<string, string> = {
  'sans-serif': "'Inter', 'SF Pro Text', 'Segoe UI', system-ui, sans-serif",
  serif: "Georgia, 'Times New Roman', serif",
  monospace: "ui-monospace, 'SF Mono', Menlo, monospace",
  cursive: "'Snell Roundhand', 'Segoe Script', cursive",
};
const ELBOW = 14;
const wraps = new WeakMap<LabelLook, { lines: string[]; width: number }>();

function fontOf({ font }: LabelLook): string {
  return `${font.style === 'italic' ? 'italic ' : ''}${font.weight} ${font.size}px ${FAMILIES[font.family] ?? font.family}`;
}

export function boxOf(context: CanvasRenderingContext2D, look: LabelLook, spot: Spot): Box {
  const { lines, width: widest } = wrapped(context, look);
  const { padding } = look;
  const width = lines.length ? widest + padding.left + padding.right : 0;
  const height = lines.length ? lines.length * look.font.size * look.lineHeight + padding.top + padding.bottom : 0;
  const at = anchor(look, spot);
  const [dx, dy] = direction(look);
  const gap = look.leader ? 2 : look.icon / 2 + 1;
  return {
    x: at.x + dx * (gap + width / 2) - width / 2 + look.offset.x,
    y: at.y + dy * (gap + height / 2) - height / 2 + look.offset.y + (dy === -1 ? 4 : 0),
    width, height, lines,
  };
}

/** Where the label is fixed: the icon, or the far end of its leader line. */
function anchor({ leader }: LabelLook, spot: Spot): { x: number; y: number } {
  if (!leader) return spot;
  const angle = (leader.angle * Math.PI) / 180;
  const elbow = leader.shape === 'elbow' ? ELBOW * (Math.cos(angle) < -0.01 ? -1 : 1) : 0;
  return { x: spot.x + Math.cos(angle) * leader.length + elbow, y: spot.y - Math.sin(angle) * leader.length };
}

/** The side of the anchor on which the text lies. */
function direction({ placement, leader }: LabelLook): [number, number] {
  if (leader && placement === 'top') {
    const c = Math.cos((leader.angle * Math.PI) / 180);
    if (leader.shape === 'elbow' || Math.abs(c) > 0.5) return [c < -0.01 ? -1 : 1, 0];
    return [0, leader.angle < 0 ? 1 : -1];
  }
  const x = placement.includes('left') ? -1 : placement.includes('right') ? 1 : 0;
  const y = placement.startsWith('top') ? -1 : placement.startsWith('bottom') ? 1 : 0;
  return [x, y];
}

function wrapped(context: CanvasRenderingContext2D, look: LabelLook): { lines: string[]; width: number } {
  let result = wraps.get(look);
  if (result) return result;
  prepare(context, look);
  const lines: string[] = [];
  for (const paragraph of look.text ? look.text.split('\n') : []) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      const longer = line ? `${line} ${word}` : word;
      if (line && context.measureText(longer).width > look.maxWidth) { lines.push(line); line = word; } else line = longer;
    }
    lines.push(line);
  }
  result = { lines, width: Math.max(0, ...lines.map((line) => context.measureText(line).width)) };
  wraps.set(look, result);
  return result;
}

function prepare(context: CanvasRenderingContext2D, look: LabelLook): void {
  context.font = fontOf(look);
  context.letterSpacing = `${look.letterSpacing}px`;
  context.textAlign = look.align;
  context.textBaseline = 'middle';
}

export function drawLabel(context: CanvasRenderingContext2D, look: LabelLook, box: Box, spot: Spot, strength: number): void {
  context.save();
  if (look.badge) drawBadge(context, look, spot, strength);
  if (look.rotation !== 0) {
    context.translate(box.x + box.width / 2, box.y + box.height / 2);
    context.rotate((look.rotation * Math.PI) / 180);
    context.translate(-box.x - box.width / 2, -box.y - box.height / 2);
  }
  if (box.lines.length) {
    drawBox(context, look, box, strength);
    drawText(context, look, box, strength);
  }
  context.restore();
}

function drawBox(context: CanvasRenderingContext2D, look: LabelLook, box: Box, strength: number): void {
  if (!look.background && !look.border) return;
  context.beginPath();
  context.roundRect(box.x, box.y, box.width, box.height, look.radius);
  if (look.background) {
    context.globalAlpha = look.background.opacity * look.opacity * strength;
    context.fillStyle = look.background.color;
    context.fill();
  }
  if (look.border && look.border.width > 0) {
    const { border } = look;
    context.globalAlpha = border.opacity * look.opacity * strength;
    context.strokeStyle = border.color;
    context.lineWidth = border.width;
    context.setLineDash(border.gap > 0 ? [border.dash, border.gap] : []);
    context.stroke();
    context.setLineDash([]);
  }
}

function drawText(context: CanvasRenderingContext2D, look: LabelLook, box: Box, strength: number): void {
  prepare(context, look);
  const { padding, font } = look;
  const left = box.x + padding.left, right = box.x + box.width - padding.right;
  const x = look.align === 'left' ? left : look.align === 'right' ? right : (left + right) / 2;
  const step = font.size * look.lineHeight;
  box.lines.forEach((line, k) => {
    const y = box.y + padding.top + (k + 0.5) * step;
    if (look.shadow) drawShadow(context, look, line, x, y, strength);
    if (look.halo && look.halo.width > 0) drawHalo(context, look.halo, look.opacity * strength, line, x, y);
    context.globalAlpha = look.opacity * strength;
    context.fillStyle = look.color;
    context.fillText(line, x, y);
    if (font.underline) context.fillRect(left, y + font.size * 0.45, right - left, Math.max(1, font.size / 14));
  });
}

function drawShadow(context: CanvasRenderingContext2D, { shadow, opacity }: LabelLook, line: string, x: number, y: number, strength: number): void {
  context.globalAlpha = shadow!.opacity * opacity * strength;
  context.filter = shadow!.blur > 0 ? `blur(${shadow!.blur / 2}px)` : 'none';
  context.fillStyle = shadow!.color;
  context.fillText(line, x + shadow!.x, y + shadow!.y);
  context.filter = 'none';
}

function drawHalo(context: CanvasRenderingContext2D, halo: NonNullable<LabelLook['halo']>, opacity: number, line: string, x: number, y: number): void {
  context.globalAlpha = 0.85 * opacity;
  context.strokeStyle = halo.color;
  context.lineJoin = 'round';
  context.lineWidth = halo.width * 2;
  // A blur below a pixel cannot be seen, and a filter costs a layer for each label.
  context.filter = halo.blur >= 1 ? `blur(${halo.blur / 2}px)` : 'none';
  context.strokeText(line, x, y);
  context.filter = 'none';
}

function drawBadge(context: CanvasRenderingContext2D, look: LabelLook, spot: Spot, strength: number): void {
  const badge = look.badge!;
  const away = look.icon / 2 + badge.size * 0.2;
  const x = spot.x + (badge.corner.endsWith('left') ? -away : away), y = spot.y + (badge.corner.startsWith('top') ? -away : away);
  context.font = `600 ${badge.size}px ${FAMILIES['sans-serif']}`;
  context.letterSpacing = '0px';
  const width = Math.max(badge.size * 1.5, context.measureText(badge.text).width + badge.size * 0.8);
  context.globalAlpha = strength * look.opacity;
  context.fillStyle = badge.color;
  context.beginPath();
  context.roundRect(x - width / 2, y - badge.size * 0.75, width, badge.size * 1.5, badge.size * 0.75);
  context.fill();
  context.fillStyle = badge.ink;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(badge.text, x, y + badge.size * 0.05);
}
