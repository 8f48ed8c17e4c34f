/** Lines between countries: where the nearest place of two neighbouring land cells lies in two countries. */
import { DEGREES, HEIGHT, WIDTH } from './field.mjs';

/** Smoothed polylines of [lon, lat], in degrees. `country(i)` is 0 where there is no land. */
export function borderLines(country) {
  const lines = chains(edges(country)).filter((line) => line.length > 3);
  return lines.map((line) => simplify(smooth(line, 6), 0.06));
}

/** Grid corners joined by the cell sides that separate two countries: corner -> neighbouring corners. */
function edges(country) {
  const graph = new Map();
  const join = (a, b) => { for (const [p, q] of [[a, b], [b, a]]) graph.set(p, [...(graph.get(p) ?? []), q]); };
  const corner = (x, y) => y * (WIDTH + 1) + x;
  const differ = (i, j) => country(i) && country(j) && country(i) !== country(j);
  for (let y = 1; y < HEIGHT; y++) {
    for (let x = 1; x < WIDTH; x++) {
      const i = y * WIDTH + x;
      if (differ(i, i - 1)) join(corner(x, y), corner(x, y + 1));
      if (differ(i, i - WIDTH)) join(corner(x, y), corner(x + 1, y));
    }
  }
  return graph;
}

/** Walks from ends and junctions first, then around what is left. */
function chains(graph) {
  const used = new Set(), lines = [];
  const name = (a, b) => (a < b ? `${a},${b}` : `${b},${a}`);
  const walk = (from, to) => {
    const line = [from];
    for (let a = from, b = to; !used.has(name(a, b));) {
      used.add(name(a, b));
      line.push(b);
      const on = graph.get(b).find((c) => graph.get(b).length === 2 && !used.has(name(b, c)));
      if (on === undefined) break;
      [a, b] = [b, on];
    }
    return line;
  };
  for (const junctions of [true, false]) {
    for (const [from, next] of graph) {
      if (junctions === (next.length === 2)) continue;
      for (const to of next) if (!used.has(name(from, to))) lines.push(walk(from, to));
    }
  }
  return lines.map((line) => line.map((c) => [(c % (WIDTH + 1)) * DEGREES - 180, 90 - Math.floor(c / (WIDTH + 1)) * DEGREES]));
}

function smooth(line, rounds) {
  for (let k = 0; k < rounds; k++) {
    line = line.map((p, i) => {
      const a = line[i - 1], b = line[i + 1];
      return a && b ? [(a[0] + 2 * p[0] + b[0]) / 4, (a[1] + 2 * p[1] + b[1]) / 4] : p;
    });
  }
  return line;
}

/** Douglas and Peucker. */
function simplify(line, tolerance) {
  if (line.length < 3) return line;
  const [a, b] = [line[0], line[line.length - 1]];
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1e-9;
  let worst = 0, at = 0;
  line.forEach((p, i) => {
    const off = Math.abs((b[0] - a[0]) * (a[1] - p[1]) - (a[0] - p[0]) * (b[1] - a[1])) / length;
    if (off > worst) [worst, at] = [off, i];
  });
  if (worst <= tolerance) return [a, b];
  return [...simplify(line.slice(0, at + 1), tolerance), ...simplify(line.slice(at), tolerance).slice(1)];
}
