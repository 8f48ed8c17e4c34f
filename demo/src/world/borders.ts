/** Reads borders.bin (see world/make.mjs) as polylines. */
import type { Place } from '../geo';

export function readBorders(bytes: ArrayBuffer): Place[][] {
  const numbers = new Int16Array(bytes);
  const lines: Place[][] = [];
  for (let at = 0; at < numbers.length; at += 1 + numbers[at]! * 2) {
    lines.push(Array.from({ length: numbers[at]! }, (_, k) => ({ lon: numbers[at + 1 + k * 2]! / 100, lat: numbers[at + 2 + k * 2]! / 100 })));
  }
  return lines;
}
