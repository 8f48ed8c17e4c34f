/** Reads borders.bin (see world/make.mjs) into line segments for the ground. */
import { RADIANS, wrapDegrees } from '../geo';

/** Two vertices per segment: longitude of its start, difference of longitude from there, latitude (radians). */
export function readBorders(bytes: ArrayBuffer): Float32Array<ArrayBuffer> {
  const numbers = new Int16Array(bytes);
  const out: number[] = [];
  for (let at = 0; at < numbers.length;) {
    const count = numbers[at]!;
    for (let k = 0; k + 1 < count; k++) {
      const [x, y, x2, y2] = Array.from(numbers.subarray(at + 1 + k * 2, at + 5 + k * 2), (n) => n / 100) as [number, number, number, number];
      out.push(x * RADIANS, 0, y * RADIANS, x * RADIANS, wrapDegrees(x2 - x) * RADIANS, y2 * RADIANS);
    }
    at += 1 + count * 2;
  }
  return new Float32Array(out);
}
