/** Angles on the globe. Longitude and latitude are degrees at every border of a module, radians inside of the view. */

export interface Place { lon: number; lat: number }

export const RADIANS = Math.PI / 180;
/** Where the Mercator map ends. */
export const MERCATOR_EDGE = 85.05;
export const EARTH_METRES = 6_371_000;

export const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
export const mix = (a: number, b: number, share: number): number => a + (b - a) * share;

/** A longitude or difference of longitudes within -180..180. */
export function wrapDegrees(lon: number): number {
  return lon - 360 * Math.round(lon / 360);
}

export function mercator(lat: number): number {
  return Math.log(Math.tan(Math.PI / 4 + (clamp(lat, -MERCATOR_EDGE, MERCATOR_EDGE) * RADIANS) / 2));
}

export function latitudeOf(mercatorY: number): number {
  return (2 * Math.atan(Math.exp(mercatorY)) - Math.PI / 2) / RADIANS;
}

type Vector = [number, number, number];

function unit({ lon, lat }: Place): Vector {
  const c = Math.cos(lat * RADIANS);
  return [c * Math.cos(lon * RADIANS), c * Math.sin(lon * RADIANS), Math.sin(lat * RADIANS)];
}

/** Angle between two places, in radians. */
export function arc(a: Place, b: Place): number {
  const [p, q] = [unit(a), unit(b)];
  return Math.acos(clamp(p[0] * q[0] + p[1] * q[1] + p[2] * q[2], -1, 1));
}

/** Places along the shortest way from a to b, both ends included, no two further apart than `step` degrees. */
export function greatCircle(a: Place, b: Place, step: number): Place[] {
  const whole = arc(a, b);
  const pieces = Math.max(1, Math.ceil(whole / (step * RADIANS)));
  if (pieces === 1 || whole > Math.PI - 1e-6) return [a, b];
  const [p, q] = [unit(a), unit(b)];
  return Array.from({ length: pieces + 1 }, (_, k) => {
    const s = Math.sin(whole * (1 - k / pieces)) / Math.sin(whole), t = Math.sin((whole * k) / pieces) / Math.sin(whole);
    const [x, y, z] = [p[0] * s + q[0] * t, p[1] * s + q[1] * t, p[2] * s + q[2] * t];
    return { lon: Math.atan2(y, x) / RADIANS, lat: Math.atan2(z, Math.hypot(x, y)) / RADIANS };
  });
}

/** Whether a place lies inside of a ring; longitudes are taken relative to the place, so that rings may cross 180°. */
export function insideRing(place: Place, ring: Place[]): boolean {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const a = ring[i]!, b = ring[j]!;
    const ax = wrapDegrees(a.lon - place.lon), bx = ax + wrapDegrees(b.lon - a.lon);
    if (a.lat > place.lat !== b.lat > place.lat && ((bx - ax) * (place.lat - a.lat)) / (b.lat - a.lat) + ax > 0) inside = !inside;
  }
  return inside;
}
