/** GLSL shared by all materials: from longitude and latitude (radians) to the camera's frame. See camera.ts. */
import type { Camera } from './camera';
import { RADIANS } from '../geo';

export interface Uniforms { [name: string]: { value: unknown } }

/** The uniforms that follow the camera; every material holds the same objects. */
export class CameraUniforms {
  readonly shared = {
    uMiddle: { value: [0, 0, 0, 1] as number[] },
    uMercator: { value: 0 },
    uRound: { value: 1 },
    uZoom: { value: 0 },
    uScale: { value: 1 },
    uEye: { value: [0, 0, 1] as number[] },
    uViewport: { value: [1, 1, 1] as number[] },
    uTime: { value: 0 },
    uExaggeration: { value: 1 },
  };

  follow(camera: Camera, pixelRatio: number): void {
    const u = this.shared;
    u.uMiddle.value = [camera.lon * RADIANS, camera.lat * RADIANS, Math.sin(camera.lat * RADIANS), Math.cos(camera.lat * RADIANS)];
    u.uMercator.value = camera.mercatorMiddle;
    u.uRound.value = camera.round;
    u.uZoom.value = camera.zoom;
    u.uScale.value = camera.scale;
    u.uEye.value = camera.eye.position.toArray();
    u.uViewport.value = [camera.width, camera.height, pixelRatio];
  }
}

export const PLACED = /* glsl */ `
  uniform vec4 uMiddle;       // lon, lat, sin lat, cos lat
  uniform float uMercator, uRound, uZoom, uScale, uTime, uExaggeration;
  uniform vec3 uEye, uViewport;
  const float PI = 3.14159265358979;

  float wrapped(float l) { return l - 2.0 * PI * floor(l / (2.0 * PI) + 0.5); }

  vec3 onSphere(float l, float f, float alt) {
    float c = cos(f), s = sin(f), r = 1.0 + alt;
    return vec3(r * c * sin(l), r * (uMiddle.w * s - uMiddle.z * c * cos(l)), r * (uMiddle.z * s + uMiddle.w * c * cos(l)) - 1.0);
  }

  vec3 onMap(float l, float f, float alt) {
    float m = log(tan(PI / 4.0 + clamp(f, -1.4844, 1.4844) / 2.0));
    return vec3(l * uMiddle.w, (m - uMercator) * uMiddle.w, alt);
  }

  /** l: longitude relative to the middle, not wrapped. */
  vec3 placed(float l, float f, float alt) {
    if (uRound > 0.999) return onSphere(l, f, alt);
    if (uRound < 0.001) return onMap(l, f, alt);
    return mix(onMap(l, f, alt), onSphere(l, f, alt), uRound);
  }

  /** 1 before the horizon of the globe, 0 behind it. */
  float facing(vec3 p) {
    float d = dot(p + vec3(0.0, 0.0, 1.0), uEye + vec3(0.0, 0.0, 1.0)) - 1.0;
    return mix(1.0, smoothstep(-0.002, 0.03, d), step(0.5, uRound));
  }
`;
