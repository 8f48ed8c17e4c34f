/** Grids over the whole world (equirectangular, north up) and exact distances on them. */

export const DEGREES = 0.25;
export const WIDTH = 360 / DEGREES;
export const HEIGHT = 180 / DEGREES;
const FAR = 1e9;

export const cellOf = (lng, lat) =>
  Math.min(HEIGHT - 1, Math.floor((90 - lat) / DEGREES)) * WIDTH + (Math.floor((lng + 180) / DEGREES) + WIDTH) % WIDTH;

/** For each cell the nearest cell of `inside`: its distance in degrees of arc, and which it is. */
export function nearest(inside) {
  const down = columns(inside);
  const distance = new Float32Array(WIDTH * HEIGHT), which = new Int32Array(WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y++) rowOf(y, down, distance, which);
  return { distance, which };
}

/** Vertical distance in cells to the nearest inside cell of the same column, and its row. */
function columns(inside) {
  const steps = new Float32Array(WIDTH * HEIGHT).fill(FAR), row = new Int32Array(WIDTH * HEIGHT).fill(-1);
  const sweep = (x, from, to, step) => {
    let last = -1;
    for (let y = from; y !== to; y += step) {
      const i = y * WIDTH + x;
      if (inside[i]) last = y;
      if (last >= 0 && Math.abs(y - last) < steps[i]) { steps[i] = Math.abs(y - last); row[i] = last; }
    }
  };
  for (let x = 0; x < WIDTH; x++) { sweep(x, 0, HEIGHT, 1); sweep(x, HEIGHT - 1, -1, -1); }
  return { steps, row };
}

/** The lower envelope of parabolas (Felzenszwalb and Huttenlocher), around the globe, narrowed by the cosine of the latitude. */
function rowOf(y, { steps, row }, distance, which) {
  const narrow = Math.max(0.05, Math.cos(((90 - (y + 0.5) * DEGREES) * Math.PI) / 180)) ** 2;
  const half = WIDTH / 2, count = WIDTH * 2;
  const at = (q) => (q - half + WIDTH * 2) % WIDTH;
  const height = (q) => (steps[y * WIDTH + at(q)] ** 2) / narrow;
  const site = new Int32Array(count), start = new Float64Array(count + 1);
  let k = -1;
  for (let q = 0; q < count; q++) {
    if (steps[y * WIDTH + at(q)] >= FAR) continue;
    let s = -Infinity;
    while (k >= 0) {
      const v = site[k];
      s = (height(q) + q * q - height(v) - v * v) / (2 * q - 2 * v);
      if (s > start[k]) break;
      k--;
    }
    site[++k] = q; start[k] = k === 0 ? -Infinity : s; start[k + 1] = Infinity;
  }
  for (let q = half, j = 0; q < half + WIDTH; q++) {
    const i = y * WIDTH + at(q);
    if (k < 0) { distance[i] = FAR; which[i] = -1; continue; }
    while (j < k && start[j + 1] < q) j++;
    const v = site[j];
    distance[i] = Math.sqrt(((q - v) ** 2 + height(v)) * narrow) * DEGREES;
    which[i] = row[y * WIDTH + at(v)] * WIDTH + at(v);
  }
}
