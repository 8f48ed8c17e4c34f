/**
 * Where one looks from: a place on the ground, a zoom (512 pixels times 2^zoom around the equator), pitch and bearing,
 * and whether the world is a globe (round = 1), a Mercator map (0) or between.
 *
 * Everything is drawn in a frame whose origin is the place looked at: x east, y north, z up, in radians of arc. So
 * single precision is enough at every zoom, and globe and map agree at the middle of the view.
 */
import { Matrix4, PerspectiveCamera, Vector3 } from 'three';
import { clamp, latitudeOf, mercator, MERCATOR_EDGE, mix, RADIANS, wrapDegrees, type Place } from '../geo';

const FIELD_OF_VIEW = 32;
export const ZOOM_LIMITS = { least: 0.2, most: 13 };

export interface Spot { x: number; y: number; visible: boolean }
export interface Look extends Place { zoom: number; pitch: number; bearing: number }

export class Camera {
  readonly eye = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.001, 10);
  lon = 10; lat = 25; zoom = 1.8; pitch = 0; bearing = 0; round = 1;
  width = 1; height = 1;
  private readonly matrix = new Matrix4();
  private readonly inverse = new Matrix4();
  private readonly point = new Vector3();
  private sinLat = 0; private cosLat = 1; private mercator0 = 0;

  get look(): Look { return { lon: this.lon, lat: this.lat, zoom: this.zoom, pitch: this.pitch, bearing: this.bearing }; }

  /** Pixels per radian of arc at the middle of the view. */
  get scale(): number { return ((512 * 2 ** this.zoom) / (2 * Math.PI)) / mix(this.cosLat, 1, this.round); }
  get mercatorMiddle(): number { return this.mercator0; }

  resize(width: number, height: number): void {
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    this.eye.aspect = this.width / this.height;
    this.update();
  }

  set(look: Partial<Look>): void {
    Object.assign(this, look);
    this.update();
  }

  update(): void {
    this.zoom = clamp(this.zoom, ZOOM_LIMITS.least, ZOOM_LIMITS.most);
    this.lon = wrapDegrees(this.lon);
    this.lat = clamp(this.lat, -MERCATOR_EDGE, MERCATOR_EDGE);
    this.pitch = clamp(this.pitch, 0, 70);
    this.sinLat = Math.sin(this.lat * RADIANS);
    this.cosLat = Math.cos(this.lat * RADIANS);
    this.mercator0 = mercator(this.lat);
    this.aim();
  }

  private aim(): void {
    const distance = this.height / (2 * Math.tan((FIELD_OF_VIEW / 2) * RADIANS) * this.scale);
    const tilt = this.pitch * RADIANS, turn = this.bearing * RADIANS;
    const flat = distance * Math.sin(tilt);
    this.eye.position.set(-flat * Math.sin(turn), -flat * Math.cos(turn), distance * Math.cos(tilt));
    this.eye.up.set(Math.sin(turn), Math.cos(turn), 0);
    this.eye.lookAt(0, 0, 0);
    this.eye.near = distance * 0.02;
    this.eye.far = distance * 20 + 4;
    this.eye.updateProjectionMatrix();
    this.eye.updateMatrixWorld();
    this.matrix.multiplyMatrices(this.eye.projectionMatrix, this.eye.matrixWorldInverse);
    this.inverse.copy(this.matrix).invert();
  }

  /** Where a place is drawn. `alt` in radians of arc. The same arithmetic as `placed` in shaders.ts. */
  project(lon: number, lat: number, alt = 0, out: Spot = { x: 0, y: 0, visible: false }): Spot {
    const p = this.placed(lon, lat, alt);
    const seen = this.round < 0.5 || this.beforeHorizon(p);
    p.applyMatrix4(this.matrix);
    out.x = (p.x * 0.5 + 0.5) * this.width;
    out.y = (0.5 - p.y * 0.5) * this.height;
    out.visible = seen && p.z < 1 && p.z > -1;
    return out;
  }

  private placed(lon: number, lat: number, alt: number): Vector3 {
    const l = wrapDegrees(lon - this.lon) * RADIANS, f = lat * RADIANS;
    const c = Math.cos(f), s = Math.sin(f), r = 1 + alt;
    const sphere = [r * c * Math.sin(l), r * (this.cosLat * s - this.sinLat * c * Math.cos(l)), r * (this.sinLat * s + this.cosLat * c * Math.cos(l)) - 1] as const;
    const map = [l * this.cosLat, (mercator(lat) - this.mercator0) * this.cosLat, alt] as const;
    return this.point.set(mix(map[0], sphere[0], this.round), mix(map[1], sphere[1], this.round), mix(map[2], sphere[2], this.round));
  }

  private beforeHorizon(p: Vector3): boolean {
    const eye = this.eye.position;
    return p.x * eye.x + p.y * eye.y + (p.z + 1) * (eye.z + 1) > 1;
  }

  /** The place under a pixel; undefined beside the globe. */
  unproject(x: number, y: number): Place | undefined {
    const eye = this.eye.position;
    const far = new Vector3((x / this.width) * 2 - 1, 1 - (y / this.height) * 2, 0.5).applyMatrix4(this.inverse);
    const ray = far.sub(eye).normalize();
    return this.round < 0.5 ? this.onMap(eye, ray) : this.onGlobe(eye, ray);
  }

  private onMap(eye: Vector3, ray: Vector3): Place | undefined {
    if (ray.z > -1e-6) return undefined;
    const t = -eye.z / ray.z;
    const lon = this.lon + (eye.x + ray.x * t) / this.cosLat / RADIANS;
    return { lon: wrapDegrees(lon), lat: latitudeOf((eye.y + ray.y * t) / this.cosLat + this.mercator0) };
  }

  private onGlobe(eye: Vector3, ray: Vector3): Place | undefined {
    const ex = eye.x, ey = eye.y, ez = eye.z + 1;
    const b = ex * ray.x + ey * ray.y + ez * ray.z, c = ex * ex + ey * ey + ez * ez - 1;
    const root = b * b - c;
    if (root < 0) return undefined;
    const t = -b - Math.sqrt(root);
    const x = ex + ray.x * t, y = ey + ray.y * t, z = ez + ray.z * t;
    const up = y * this.cosLat + z * this.sinLat, out = z * this.cosLat - y * this.sinLat;
    return { lon: wrapDegrees(this.lon + Math.atan2(x, out) / RADIANS), lat: Math.atan2(up, Math.hypot(x, out)) / RADIANS };
  }

  /** Moves so that `place` comes to lie under a pixel again (after a zoom or while it is held). */
  hold(place: Place, x: number, y: number): void {
    for (let k = 0; k < 3; k++) {
      const now = this.unproject(x, y);
      if (!now) return;
      this.lon += wrapDegrees(place.lon - now.lon);
      this.lat += place.lat - now.lat;
      this.update();
    }
  }
}
