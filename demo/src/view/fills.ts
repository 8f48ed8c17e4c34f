/** Filled areas. Triangles are cut small enough to follow the globe. */
import { BufferAttribute, BufferGeometry, Color, Mesh, NoColorSpace, ShaderMaterial, ShapeUtils, Vector2, type IUniform } from 'three';
import { RADIANS, wrapDegrees, type Place } from '../geo';
import { PLACED, type CameraUniforms } from './shaders';

export interface FillLook { corners: Place[]; color: string; opacity: number; pattern: string }

const LARGEST_SIDE = 2.5;
const PATTERNS = ['plain', 'hatched', 'dotted'];

const VERTEX = /* glsl */ `
  ${PLACED}
  varying float vShown;
  void main() {
    vec3 p = placed(wrapped(position.x - uMiddle.x) + position.y, position.z, 0.0);
    vShown = facing(p);
    gl_Position = projectionMatrix * viewMatrix * vec4(p, 1.0);
  }
`;

const FRAGMENT = /* glsl */ `
  uniform vec3 uColor, uViewport;
  uniform float uOpacity, uPattern;
  varying float vShown;
  void main() {
    vec2 at = gl_FragCoord.xy / uViewport.z;
    float ink = 1.0;
    if (uPattern > 0.5 && uPattern < 1.5) ink = mix(0.35, 1.0, smoothstep(0.2, 0.35, abs(fract((at.x + at.y) / 9.0) - 0.5)));
    if (uPattern > 1.5) ink = mix(0.35, 1.0, 1.0 - smoothstep(0.2, 0.3, length(fract(at / 8.0) - 0.5)));
    if (vShown * uOpacity <= 0.0) discard;
    gl_FragColor = vec4(uColor, uOpacity * ink * vShown);
  }
`;

export class Fill {
  readonly mesh: Mesh;
  private readonly uniforms: Record<string, IUniform>;

  constructor(camera: CameraUniforms) {
    this.uniforms = { ...camera.shared, uColor: { value: new Color() }, uOpacity: { value: 0 }, uPattern: { value: 0 } };
    const material = new ShaderMaterial({
      uniforms: this.uniforms, vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: true, depthTest: false, depthWrite: false, side: 2,
    });
    this.mesh = new Mesh(new BufferGeometry(), material);
    this.mesh.frustumCulled = false;
  }

  show({ corners, color, opacity, pattern }: FillLook): void {
    this.uniforms.uColor!.value = new Color().setStyle(color, NoColorSpace);
    this.uniforms.uOpacity!.value = opacity;
    this.uniforms.uPattern!.value = PATTERNS.indexOf(pattern);
    this.mesh.geometry.dispose();
    this.mesh.geometry = new BufferGeometry();
    this.mesh.geometry.setAttribute('position', new BufferAttribute(triangles(corners), 3));
  }

  dispose(): void {
    this.mesh.geometry.dispose();
    (this.mesh.material as ShaderMaterial).dispose();
  }
}

/** Vertices: longitude of the first corner, difference from there, latitude (radians). */
function triangles(corners: Place[]): Float32Array<ArrayBuffer> {
  if (corners.length < 3) return new Float32Array(0);
  const base = corners[0]!.lon;
  const ring = corners.map(({ lon, lat }) => new Vector2(wrapDegrees(lon - base), lat));
  const out: number[] = [];
  for (const [a, b, c] of ShapeUtils.triangulateShape(ring, []) as [number, number, number][]) cut(ring[a]!, ring[b]!, ring[c]!, out);
  const vertices = new Float32Array((out.length / 2) * 3);
  for (let k = 0; k < out.length / 2; k++) vertices.set([base * RADIANS, out[k * 2]! * RADIANS, out[k * 2 + 1]! * RADIANS], k * 3);
  return vertices;
}

function cut(a: Vector2, b: Vector2, c: Vector2, out: number[]): void {
  const sides = [a.distanceTo(b), b.distanceTo(c), c.distanceTo(a)];
  const longest = Math.max(...sides);
  if (longest <= LARGEST_SIDE) { out.push(a.x, a.y, b.x, b.y, c.x, c.y); return; }
  const [p, q, r] = sides[0] === longest ? [a, b, c] : sides[1] === longest ? [b, c, a] : [c, a, b];
  const middle = p.clone().add(q).multiplyScalar(0.5);
  cut(p, middle, r, out);
  cut(middle, q, r, out);
}
