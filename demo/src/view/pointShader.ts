/** The shader of points: the shape is a signed distance, around it outline, glow, shadow and pulse. */
import { PLACED } from './shaders';

export const POINT_VERTEX = /* glsl */ `
  ${PLACED}
  attribute vec3 aPlace, aPulse;
  attribute vec4 aIcon, aColor, aOutline, aGlow, aShadow, aSpread, aShift, aRange;
  varying vec4 vIcon, vColor, vOutline, vGlow, vShadow, vSpread;
  varying vec3 vMore;  // half of the square, pulse radius, dash
  const float METRE = 1.0 / 6371000.0;

  float within() {
    float fade = max(aRange.z, 0.001);
    float enters = aRange.x <= 0.0 ? 1.0 : smoothstep(aRange.x - fade, aRange.x, uZoom);
    float leaves = aRange.y >= 24.0 ? 1.0 : 1.0 - smoothstep(aRange.y, aRange.y + fade, uZoom);
    return enters * leaves;
  }

  void main() {
    vec3 p = placed(wrapped(radians(aPlace.x) - uMiddle.x), radians(aPlace.y), aPlace.z * METRE * uExaggeration);
    float shown = within() * max(facing(p), aPulse.z);
    if (shown <= 0.0 || aColor.a + aGlow.a + aOutline.a <= 0.0) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
    float grow = mix(aShift.w, aShift.z, smoothstep(2.0, 9.0, uZoom));
    float size = aIcon.x * grow;
    float phase = aPulse.y > 0.0 ? fract(uTime / max(aPulse.x, 0.05)) : 0.0;
    float ring = size * 0.5 * (1.0 + (aPulse.y - 1.0) * phase);
    float reach = size * 0.5 + aIcon.y + max(aGlow.a > 0.0 ? aSpread.x : 0.0, aShadow.a > 0.0 ? aSpread.y + length(aSpread.zw) : 0.0);
    reach = max(reach, aPulse.y > 0.0 ? ring + 2.0 : 0.0) + 1.5;
    vIcon = vec4(size * 0.5, aIcon.yzw);
    vColor = vec4(aColor.rgb, aColor.a * shown);
    vOutline = vec4(aOutline.rgb, aOutline.a * shown);
    vGlow = vec4(aGlow.rgb, aGlow.a * shown);
    vShadow = vec4(aShadow.rgb, aShadow.a * shown);
    vSpread = aSpread;
    vMore = vec3(reach, aPulse.y > 0.0 ? ring * (1.0 - 2.0 * step(1.0, phase)) : 0.0, aRange.w);
    gl_Position = projectionMatrix * viewMatrix * vec4(p, 1.0);
    gl_Position.xy += aShift.xy * grow * vec2(2.0, -2.0) / uViewport.xy * gl_Position.w;
    gl_PointSize = 2.0 * reach * uViewport.z;
  }
`;

const SHAPES = /* glsl */ `
  // Angles are counted from where the tip or the edge is; y points down.
  float polygon(vec2 p, float n, float r) {
    float a = atan(p.x, p.y), s = 6.2831853 / n;
    return cos(floor(0.5 + a / s) * s - a) * length(p) - r;
  }
  float star(vec2 p, float r) {
    float a = abs(mod(atan(p.x, -p.y) + 0.6283185, 1.2566371) - 0.6283185);
    vec2 q = length(p) * vec2(cos(a), sin(a));
    vec2 edge = 0.45 * r * vec2(0.809017, 0.587785) - vec2(r, 0.0);
    return dot(q - vec2(r, 0.0), normalize(vec2(edge.y, -edge.x)));
  }
  float pin(vec2 p, float r) {
    vec2 q = p + vec2(0.0, r * 0.35);
    float head = length(q) - r * 0.62;
    float tail = max(abs(p.x) * 0.86 + (p.y - r) * 0.5, -p.y - r * 0.2);
    return max(min(head, tail), -(length(q) - r * 0.22));
  }
  float shape(vec2 p, float r, int kind) {
    if (kind == 0) return length(p) - r;
    if (kind == 1) return max(abs(p.x), abs(p.y)) - r * 0.86;
    if (kind == 2) return (abs(p.x) + abs(p.y) - r) * 0.7071;
    if (kind == 3) return polygon(p + vec2(0.0, -r * 0.2), 3.0, r * 0.55);
    if (kind == 4) return star(p, r);
    if (kind == 5) return pin(p, r);
    if (kind == 6) return min(max(abs(p.x) - r, abs(p.y) - r * 0.3), max(abs(p.y) - r, abs(p.x) - r * 0.3));
    return abs(length(p) - r * 0.75) - r * 0.25;
  }
`;

export const POINT_FRAGMENT = /* glsl */ `
  varying vec4 vIcon, vColor, vOutline, vGlow, vShadow, vSpread;
  varying vec3 vMore;
  ${SHAPES}

  /** Puts b over a; both with straight alpha. */
  vec4 over(vec4 a, vec4 b) {
    float alpha = b.a + a.a * (1.0 - b.a);
    return alpha <= 0.0 ? vec4(0.0) : vec4((b.rgb * b.a + a.rgb * a.a * (1.0 - b.a)) / alpha, alpha);
  }

  float dashes(vec2 p) {
    if (vMore.z < 0.5) return 1.0;
    float turns = atan(p.y, p.x) / 6.2831853;
    float pieces = max(6.0, floor(vIcon.x * (vMore.z < 1.5 ? 0.6 : 1.2)));
    return step(fract(turns * pieces), vMore.z < 1.5 ? 0.6 : 0.45);
  }

  void main() {
    vec2 at = (gl_PointCoord - 0.5) * 2.0 * vMore.x;
    float c = cos(vIcon.z), s = sin(vIcon.z);
    vec2 p = vec2(c * at.x + s * at.y, c * at.y - s * at.x);
    int kind = int(vIcon.w + 0.5);
    float d = shape(p, vIcon.x, kind);
    vec4 color = vec4(0.0);
    if (vShadow.a > 0.0) {
      vec2 q = at - vSpread.zw;
      float e = shape(vec2(c * q.x + s * q.y, c * q.y - s * q.x), vIcon.x, kind);
      color = vec4(vShadow.rgb, vShadow.a * (1.0 - smoothstep(-0.5, max(vSpread.y, 0.5), e)));
    }
    if (vGlow.a > 0.0) {
      // A star's distance grows slowly along its rays: the circle around it bounds the glow.
      float g = clamp(1.0 - max(max(d, length(at) - vIcon.x), 0.0) / max(vSpread.x, 0.5), 0.0, 1.0);
      color = over(color, vec4(vGlow.rgb, vGlow.a * g * g));
    }
    if (vMore.y > 0.0) {
      float w = abs(length(at) - vMore.y);
      color = over(color, vec4(vColor.rgb, vColor.a * 0.7 * (1.0 - smoothstep(0.8, 1.8, w)) * (1.0 - vMore.y / vMore.x)));
    }
    float rim = clamp(0.5 + vIcon.y - d, 0.0, 1.0) * step(0.01, vIcon.y);
    color = over(color, vec4(vOutline.rgb, vOutline.a * rim * dashes(p)));
    color = over(color, vec4(vColor.rgb, vColor.a * clamp(0.5 - d, 0.0, 1.0)));
    if (color.a < 0.004) discard;
    gl_FragColor = color;
  }
`;
