/** Leader lines as pieces for WebGL: fixed to a place, going on in pixels on the screen. */
import type { LabelLook, Marker } from './labels';
import type { Piece, Stroke } from './ribbons';

type Leader = NonNullable<LabelLook['leader']>;
interface Point { x: number; y: number }

const ELBOW = 14;
const CURVE_PIECES = 10;

export function leaderPieces(leader: Leader, lon: number, lat: number, strength: number): Piece[] {
  const points = shapeOf(leader);
  const stroke = { ...leader.stroke, opacity: leader.stroke.opacity * strength };
  let along = 0;
  const piece = (a: Point, b: Point, use: Stroke): Piece => ({ from: { lon, lat, ...a, along: -along }, to: { lon, lat, ...b, along: 0 }, stroke: use });
  const pieces = points.slice(1).map((point, k) => {
    const made = piece(points[k]!, point, stroke);
    along += Math.hypot(point.x - points[k]!.x, point.y - points[k]!.y);
    return made;
  });
  const solid = { ...stroke, gap: 0, cap: true };
  const ends = [[leader.start, points[0]!, points[1]!], [leader.end, points.at(-1)!, points.at(-2)!]] as const;
  for (const [marker, at, from] of ends) pieces.push(...markerPieces(marker, at, from, solid, piece));
  return pieces;
}

function shapeOf({ angle, length, shape }: Leader): Point[] {
  const a = (angle * Math.PI) / 180;
  const end = { x: Math.cos(a) * length, y: -Math.sin(a) * length };
  if (shape === 'elbow') return [{ x: 0, y: 0 }, end, { x: end.x + (Math.cos(a) < -0.01 ? -ELBOW : ELBOW), y: end.y }];
  if (shape !== 'curve') return [{ x: 0, y: 0 }, end];
  const bend = { x: end.x * 0.15, y: end.y * 0.85 };
  return Array.from({ length: CURVE_PIECES + 1 }, (_, k) => {
    const t = k / CURVE_PIECES, u = 1 - t;
    return { x: 2 * u * t * bend.x + t * t * end.x, y: 2 * u * t * bend.y + t * t * end.y };
  });
}

function markerPieces({ marker, size }: Marker, at: Point, from: Point, stroke: Stroke, piece: (a: Point, b: Point, s: Stroke) => Piece): Piece[] {
  if (marker === 'none') return [];
  const length = Math.hypot(at.x - from.x, at.y - from.y) || 1;
  const dx = (at.x - from.x) / length, dy = (at.y - from.y) / length;
  if (marker === 'dot') return [piece(at, at, { ...stroke, width: size })];
  if (marker === 'bar') return [piece({ x: at.x - dy * size, y: at.y + dx * size }, { x: at.x + dy * size, y: at.y - dx * size }, stroke)];
  return [1, -1].map((side) => piece({ x: at.x - dx * size * 1.4 - dy * size * 0.8 * side, y: at.y - dy * size * 1.4 + dx * size * 0.8 * side }, at, stroke));
}
