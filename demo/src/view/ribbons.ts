/** Lines of a width in pixels: one instance per piece, both ends on the ground, each with an offset on the screen. */
import {
  BufferAttribute, DynamicDrawUsage, InstancedBufferAttribute, InstancedBufferGeometry, Mesh, ShaderMaterial,
} from 'three';
import { rgbOf } from './points';
import { PLACED, type CameraUniforms } from './shaders';

/** `along`: what lies before this end, in radians of arc; negative: in pixels. */
export interface End { lon: number; lat: number; alt?: number; x?: number; y?: number; along: number }
/** Dashes in pixels; a gap of 0 is a solid line. `rounded` dashes are dots. */
export interface Stroke { color: string; opacity: number; width: number; dash: number; gap: number; rounded: boolean; cap: boolean }
export interface Piece { from: End; to: End; stroke: Stroke }

const VERTEX = /* glsl */ `
  ${PLACED}
  attribute vec4 aFrom, aTo;      // lon, lat (degrees), metres, along
  attribute vec4 aOffsets;        // pixels at both ends
  attribute vec4 aColor, aStroke; // width, dash, gap, 1: rounded + 2: caps
  varying vec4 vColor, vStroke;
  varying vec3 vAt;               // pixels along the piece, across it, its length
  varying float vStart;
  const float METRE = 1.0 / 6371000.0;

  vec4 end(vec4 e, float from, out float shown) {
    float l = wrapped(radians(from) - uMiddle.x) + wrapped(radians(e.x - from));
    vec3 p = placed(l, radians(e.y), e.z * METRE * uExaggeration);
    shown = facing(p);
    return projectionMatrix * viewMatrix * vec4(p, 1.0);
  }

  void main() {
    float shownA, shownB;
    vec4 a = end(aFrom, aFrom.x, shownA), b = end(aTo, aFrom.x, shownB);
    float shown = min(shownA, shownB);
    if (shown <= 0.0 || a.w <= 0.0 || b.w <= 0.0) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
    vec2 half_ = uViewport.xy * 0.5;
    vec2 pa = a.xy / a.w * half_ + aOffsets.xy * vec2(1.0, -1.0), pb = b.xy / b.w * half_ + aOffsets.zw * vec2(1.0, -1.0);
    vec2 way = pb - pa;
    float size = length(way);
    vec2 dir = size > 0.0001 ? way / size : vec2(1.0, 0.0);
    float reach = aStroke.x * 0.5 + 1.0, cap = aStroke.w >= 2.0 ? reach : 0.5;
    float t = mix(-cap, size + cap, position.x), across = position.y * reach;
    vec2 at = pa + dir * t + vec2(-dir.y, dir.x) * across;
    vColor = vec4(aColor.rgb, aColor.a * shown);
    vStroke = aStroke;
    vAt = vec3(t, across, size);
    // What lies before this piece: pixels for lines on the screen, arc times scale for lines on the ground.
    vStart = aFrom.w < 0.0 ? -aFrom.w : aFrom.w * uScale;
    gl_Position = vec4(at / half_, 0.0, 1.0);
  }
`;

const FRAGMENT = /* glsl */ `
  varying vec4 vColor, vStroke;
  varying vec3 vAt;
  varying float vStart;
  void main() {
    float r = vStroke.x * 0.5;
    float caps = step(2.0, vStroke.w), rounded = mod(vStroke.w, 2.0);
    float beyond = max(max(-vAt.x, vAt.x - vAt.z), 0.0);
    float d = length(vec2(beyond * caps, vAt.y)) - r;
    float alpha = clamp(0.5 - d, 0.0, 1.0);
    if (vStroke.z > 0.0) {
      float period = vStroke.y + vStroke.z;
      float at = mod(vStart + vAt.x, period);
      float off = abs(at - vStroke.y * 0.5) - vStroke.y * 0.5;
      float mask = rounded > 0.5 ? r - length(vec2(max(off + r, 0.0), vAt.y)) : -off;
      alpha *= clamp(mask + 0.5, 0.0, 1.0);
    }
    if (alpha * vColor.a < 0.004) discard;
    gl_FragColor = vec4(vColor.rgb, vColor.a * alpha);
  }
`;

const COLUMNS = [['aFrom', 4, false], ['aTo', 4, false], ['aOffsets', 4, false], ['aStroke', 4, false], ['aColor', 4, true]] as const;

export class Ribbons {
  readonly mesh: Mesh;
  private geometry = new InstancedBufferGeometry();
  private capacity = 0;

  constructor(camera: CameraUniforms) {
    const material = new ShaderMaterial({
      uniforms: { ...camera.shared }, vertexShader: VERTEX, fragmentShader: FRAGMENT,
      transparent: true, depthTest: false, depthWrite: false, side: 2,
    });
    this.mesh = new Mesh(this.geometry, material);
    this.mesh.frustumCulled = false;
    this.grow(16);
  }

  show(pieces: Piece[]): void {
    if (pieces.length > this.capacity) this.grow(pieces.length);
    pieces.forEach((piece, index) => this.write(index, piece));
    this.geometry.instanceCount = pieces.length;
    for (const [name] of COLUMNS) {
      const attribute = this.geometry.getAttribute(name) as InstancedBufferAttribute;
      attribute.clearUpdateRanges();
      attribute.addUpdateRange(0, pieces.length * attribute.itemSize);
      attribute.needsUpdate = pieces.length > 0;
    }
  }

  dispose(): void {
    this.geometry.dispose();
    (this.mesh.material as ShaderMaterial).dispose();
  }

  private write(index: number, { from, to, stroke }: Piece): void {
    this.put('aFrom', index, from.lon, from.lat, from.alt ?? 0, from.along);
    this.put('aTo', index, to.lon, to.lat, to.alt ?? 0, to.along);
    this.put('aOffsets', index, from.x ?? 0, from.y ?? 0, to.x ?? 0, to.y ?? 0);
    this.put('aStroke', index, stroke.width, stroke.dash, stroke.gap, (stroke.rounded ? 1 : 0) + (stroke.cap ? 2 : 0));
    this.put('aColor', index, ...rgbOf(stroke.color), Math.round(stroke.opacity * 255));
  }

  private put(name: string, index: number, ...values: number[]): void {
    const { array } = this.geometry.getAttribute(name) as InstancedBufferAttribute;
    array.set(values, index * 4);
  }

  private grow(count: number): void {
    this.geometry.dispose();
    this.geometry = new InstancedBufferGeometry();
    this.capacity = Math.ceil(count * 1.25) + 16;
    const corners = new Float32Array([0, -1, 0, 1, -1, 0, 0, 1, 0, 1, 1, 0]);
    this.geometry.setAttribute('position', new BufferAttribute(corners, 3));
    this.geometry.setIndex([0, 1, 2, 2, 1, 3]);
    for (const [name, items, bytes] of COLUMNS) {
      const array = bytes ? new Uint8Array(this.capacity * items) : new Float32Array(this.capacity * items);
      this.geometry.setAttribute(name, new InstancedBufferAttribute(array, items, bytes).setUsage(DynamicDrawUsage));
    }
    this.mesh.geometry = this.geometry;
  }
}

/** A stroke as contracts describe it: solid, dashed or dotted. */
export function strokeOf(color: string, opacity: number, width: number, dash: unknown, cap: unknown, lengths?: { dash: number; gap: number }): Stroke {
  const dotted = dash === 'dotted';
  const [on, off] = dash === 'solid' ? [1, 0] : dotted ? [width, Math.max(width, lengths?.gap ?? width * 1.2)] : [lengths?.dash ?? width * 3, lengths?.gap ?? width * 2];
  return { color, opacity, width, dash: on, gap: off, rounded: dotted, cap: cap !== 'butt' && dash === 'solid' };
}
