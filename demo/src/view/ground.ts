/** The ground: sea, land, the grid of longitudes and latitudes, borders, and the light of the air around the globe. */
import {
  Color, LinearFilter, LinearMipmapLinearFilter, Mesh, NoColorSpace, PlaneGeometry, RepeatWrapping, ShaderMaterial, Texture,
  type IUniform, type Object3D,
} from 'three';
import type { Place } from '../geo';
import { Ribbons, strokeOf } from './ribbons';
import { PLACED, type CameraUniforms } from './shaders';

const COLUMNS = 160, ROWS = 100;
const BORDER = { opacity: 0.32, width: 0.8 };

/** What a scene says of its ground; colours are final, nothing is automatic here. */
export interface GroundLook {
  sea: string; land: string; air: string;
  grid: { color: string; opacity: number; step: number };
  light: { azimuth: number; elevation: number; intensity: number; ambient: number };
  fog: { color: string; density: number };
}

const GROUND_VERTEX = /* glsl */ `
  ${PLACED}
  varying vec3 vPlace;  // lon, lat, how far from the eye
  varying vec3 vNormal;
  // Denser around the middle, so that the mesh is exact where one looks closely.
  float spread(float t) { return sign(t) * pow(abs(t), 3.0); }
  void main() {
    float l = spread(position.x) * PI;
    float t = spread(position.y);
    float edge = mix(1.4844, PI / 2.0, step(0.001, uRound));
    float f = uMiddle.y + (t < 0.0 ? t * (uMiddle.y + edge) : t * (edge - uMiddle.y));
    vec3 p = placed(l, f, 0.0);
    vNormal = mix(vec3(0.0, 0.0, 1.0), p + vec3(0.0, 0.0, 1.0), uRound);
    vPlace = vec3(l + uMiddle.x, f, distance(p, uEye));
    gl_Position = projectionMatrix * viewMatrix * vec4(p, 1.0);
  }
`;

const GROUND_FRAGMENT = /* glsl */ `
  uniform sampler2D uLandAt;
  uniform vec3 uSea, uLand, uGridColor, uFogColor, uLight, uEye;
  uniform vec4 uGrid;   // opacity, step in radians, ambient, intensity
  uniform float uFog, uRound;
  varying vec3 vPlace;
  varying vec3 vNormal;
  const float PI = 3.14159265358979;
  float line(float v) {
    float d = abs(fract(v + 0.5) - 0.5) / fwidth(v);
    return 1.0 - smoothstep(0.1, 1.0, d);
  }
  void main() {
    float land = texture2D(uLandAt, vec2(vPlace.x / (2.0 * PI) + 0.5, 0.5 - vPlace.y / PI)).r;
    float body = pow(smoothstep(0.01, 0.8, land), 0.7);
    vec3 color = mix(uSea, uLand, body);
    float lines = max(line(vPlace.x / uGrid.y) * step(abs(vPlace.y), 1.45), line(vPlace.y / uGrid.y));
    color = mix(color, uGridColor, lines * uGrid.x * (0.62 - 0.4 * body));
    vec3 n = normalize(vNormal);
    float lit = uGrid.z + uGrid.w * max(dot(n, uLight), 0.0);
    color *= mix(1.0, clamp(0.55 + 0.45 * lit, 0.0, 1.6), uRound);
    float away = mix(length(vPlace.xy) * 0.0, 1.0 - max(dot(n, normalize(uEye + vec3(0.0, 0.0, 1.0))), 0.0), uRound);
    color = mix(color, uFogColor, uFog * smoothstep(0.1, 1.0, away));
    gl_FragColor = vec4(color, 1.0);
  }
`;

const AIR_FRAGMENT = /* glsl */ `
  uniform vec3 uAir;
  uniform float uRound, uStrength;
  varying vec2 vAt;
  void main() {
    float d = length(vAt);
    float glow = exp(-max(d - 1.0, 0.0) * 20.0) * smoothstep(1.4, 1.0, d) * step(0.97, d);
    gl_FragColor = vec4(uAir, glow * uStrength * uRound);
  }
`;

const AIR_VERTEX = /* glsl */ `
  uniform float uLimb;
  uniform vec3 uEye;
  varying vec2 vAt;
  void main() {
    vAt = position.xy * 3.0;
    // A disc through the limb of the globe, turned towards the eye.
    vec3 axis = normalize(uEye + vec3(0.0, 0.0, 1.0));
    vec3 right = normalize(cross(vec3(0.0, 1.0, 0.0), axis)), up = cross(axis, right);
    float toEye = length(uEye + vec3(0.0, 0.0, 1.0));
    vec3 p = vec3(0.0, 0.0, -1.0) + axis / toEye + (right * vAt.x + up * vAt.y) * uLimb;
    gl_Position = projectionMatrix * viewMatrix * vec4(p, 1.0);
  }
`;

const color = (value: string): Color => new Color().setStyle(value, NoColorSpace);

export class Ground {
  readonly parts: Object3D[];
  private readonly lines: Ribbons;
  private lineColor = '';
  private readonly uniforms: Record<string, IUniform>;

  constructor(camera: CameraUniforms, land: ImageBitmap, private readonly borders: Place[][]) {
    this.uniforms = {
      ...camera.shared,
      uLandAt: { value: landTexture(land) },
      uSea: { value: new Color() }, uLand: { value: new Color() }, uAir: { value: new Color() },
      uGridColor: { value: new Color() }, uFogColor: { value: new Color() }, uLight: { value: [0, 0, 1] },
      uGrid: { value: [0, 1, 0.4, 1] }, uFog: { value: 0 }, uStrength: { value: 0.42 }, uLimb: { value: 1 },
    };
    this.lines = new Ribbons(camera);
    this.parts = [this.air(), this.surface(), this.lines.mesh];
    this.parts.forEach((part, order) => { part.frustumCulled = false; part.renderOrder = order; });
  }

  show(look: GroundLook): void {
    const u = this.uniforms;
    u.uSea!.value = color(look.sea);
    u.uLand!.value = color(look.land);
    u.uAir!.value = color(look.air);
    u.uGridColor!.value = color(look.grid.color);
    u.uFogColor!.value = color(look.fog.color);
    u.uFog!.value = look.fog.density;
    u.uGrid!.value = [look.grid.opacity, (look.grid.step * Math.PI) / 180, look.light.ambient, look.light.intensity];
    const a = (look.light.azimuth * Math.PI) / 180, e = (look.light.elevation * Math.PI) / 180;
    u.uLight!.value = [Math.sin(a) * Math.cos(e), Math.cos(a) * Math.cos(e), Math.sin(e)];
    this.showBorders(look.grid.color);
  }

  private showBorders(css: string): void {
    if (css === this.lineColor) return;
    this.lineColor = css;
    const stroke = strokeOf(css, BORDER.opacity, BORDER.width, 'solid', 'butt');
    this.lines.show(this.borders.flatMap((line) => line.slice(1).map((to, k) => ({ from: { ...line[k]!, along: 0 }, to: { ...to, along: 0 }, stroke }))));
  }

  /** The limb of a globe seen from a finite distance is smaller than its equator. */
  follow(eye: readonly [number, number, number]): void {
    const d = Math.hypot(eye[0], eye[1], eye[2] + 1);
    this.uniforms.uLimb!.value = Math.sqrt(Math.max(0, 1 - 1 / (d * d)));
  }

  private material(vertexShader: string, fragmentShader: string, transparent: boolean): ShaderMaterial {
    return new ShaderMaterial({ uniforms: this.uniforms, vertexShader, fragmentShader, transparent, depthTest: false, depthWrite: false });
  }

  private air(): Mesh {
    return new Mesh(new PlaneGeometry(1, 1), this.material(AIR_VERTEX, AIR_FRAGMENT, true));
  }

  private surface(): Mesh {
    return new Mesh(new PlaneGeometry(2, 2, COLUMNS, ROWS), this.material(GROUND_VERTEX, GROUND_FRAGMENT, false));
  }
}

function landTexture(image: ImageBitmap): Texture<ImageBitmap> {
  const texture = new Texture<ImageBitmap>(image);
  texture.flipY = false;
  texture.colorSpace = NoColorSpace;
  texture.wrapS = RepeatWrapping;
  texture.minFilter = LinearMipmapLinearFilter;
  texture.magFilter = LinearFilter;
  texture.needsUpdate = true;
  return texture;
}
