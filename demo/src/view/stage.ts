/** The canvases and the frame: draws when something asked for it, and not otherwise. */
import { LinearSRGBColorSpace, Scene, WebGLRenderer, type Object3D } from 'three';
import { mix, wrapDegrees } from '../geo';
import { Camera, type Look } from './camera';
import { CameraUniforms } from './shaders';

/** Something that is drawn on the 2D canvas above; says whether it needs another frame. */
export type Overlay = (context: CanvasRenderingContext2D) => boolean;

const FLIGHT_MS = 700;
const TURN_MS = 650;

interface Motion { start: number; length: number; step: (share: number) => void }

export class Stage {
  readonly camera = new Camera();
  readonly uniforms = new CameraUniforms();
  readonly glCanvas = document.createElement('canvas');
  readonly overlayCanvas = document.createElement('canvas');
  readonly renderer: WebGLRenderer;
  frames = 0;
  /** Milliseconds of the last frame, and of its WebGL part. */
  readonly cost = { frame: 0, webgl: 0 };
  private readonly scene = new Scene();
  private readonly context: CanvasRenderingContext2D;
  private readonly overlays: Overlay[] = [];
  private readonly befores: (() => void)[] = [];
  private readonly animated: (() => boolean)[] = [];
  private readonly motions = new Map<string, Motion>();
  private readonly resizing: ResizeObserver;
  private asked = 0;
  private prepared = false;

  constructor(private readonly host: HTMLElement) {
    this.glCanvas.dataset.testid = 'canvas';
    this.overlayCanvas.dataset.testid = 'overlay';
    this.glCanvas.className = 'stage-gl';
    this.overlayCanvas.className = 'stage-overlay';
    host.append(this.glCanvas, this.overlayCanvas);
    // Every edge is smoothed by its own shader, so that multisampling would only cost.
    this.renderer = new WebGLRenderer({ canvas: this.glCanvas, antialias: false, alpha: true, depth: false, powerPreference: 'high-performance' });
    this.renderer.outputColorSpace = LinearSRGBColorSpace; // colours are given as they are to be seen
    this.renderer.setClearColor(0, 0);
    this.context = this.overlayCanvas.getContext('2d')!;
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(host);
    this.resize();
  }

  add(...parts: Object3D[]): void { this.scene.add(...parts); this.invalidate(); }
  remove(...parts: Object3D[]): void { this.scene.remove(...parts); this.invalidate(); }
  overlay(overlay: Overlay): void { this.overlays.push(overlay); }
  before(prepare: () => void): void { this.befores.push(prepare); }
  animate(needed: () => boolean): void { this.animated.push(needed); }

  /** Compiles shaders beside everything else that happens at the start; nothing is drawn before. */
  async prepare(...examples: Object3D[]): Promise<void> {
    await this.renderer.compileAsync(new Scene().add(...examples), this.camera.eye);
    this.prepared = true;
    this.invalidate();
  }

  invalidate(): void {
    if (this.prepared && !this.asked) this.asked = requestAnimationFrame((now) => this.frame(now));
  }

  /** Draws at once, so that the drawing buffer can be read. */
  frame(now = performance.now()): void {
    this.asked = 0;
    const start = performance.now();
    let again = this.move(now);
    this.befores.forEach((prepare) => prepare());
    this.uniforms.follow(this.camera, this.renderer.getPixelRatio());
    this.uniforms.shared.uTime.value = (now / 1000) % 3600;
    again = this.drawOverlays() || again;
    const gl = performance.now();
    this.renderer.render(this.scene, this.camera.eye);
    this.frames++;
    this.cost.webgl = performance.now() - gl;
    this.cost.frame = performance.now() - start;
    if (again || this.animated.some((needed) => needed())) this.invalidate();
  }

  flyTo(look: Partial<Look>): void {
    const from = this.camera.look;
    const to = { ...from, ...look };
    const far = Math.hypot(wrapDegrees(to.lon - from.lon), to.lat - from.lat);
    const dip = Math.min(2.2, (far / 60) * Math.max(0, Math.min(from.zoom, to.zoom) - 2)); // out and in again on long ways
    this.start('flight', FLIGHT_MS + Math.min(500, far * 6), (t) => {
      const s = t * t * (3 - 2 * t);
      this.camera.set({
        lon: from.lon + wrapDegrees(to.lon - from.lon) * s, lat: mix(from.lat, to.lat, s),
        zoom: mix(from.zoom, to.zoom, s) - dip * Math.sin(Math.PI * s), pitch: mix(from.pitch, to.pitch, s), bearing: mix(from.bearing, to.bearing, s),
      });
    });
  }

  /** Rolls the map up into a globe (1) or out (0). */
  shape(round: number): void {
    const from = this.camera.round;
    this.start('shape', TURN_MS, (t) => { this.camera.round = mix(from, round, t * t * (3 - 2 * t)); this.camera.update(); });
  }

  /** A motion replaces the one of the same name. `step` gets 0..1. */
  start(name: string, length: number, step: (share: number) => void): void {
    this.motions.set(name, { start: performance.now(), length, step });
    this.invalidate();
  }

  halt(name: string): void { this.motions.delete(name); }
  get still(): boolean { return this.motions.size === 0; }

  dispose(): void {
    cancelAnimationFrame(this.asked);
    this.resizing.disconnect();
    this.renderer.dispose();
    this.glCanvas.remove();
    this.overlayCanvas.remove();
  }

  private move(now: number): boolean {
    for (const [name, motion] of [...this.motions]) {
      const share = Math.min(1, Math.max(0, (now - motion.start) / motion.length));
      motion.step(share);
      if (share >= 1 && this.motions.get(name) === motion) this.motions.delete(name);
    }
    return this.motions.size > 0;
  }

  private drawOverlays(): boolean {
    const ratio = this.renderer.getPixelRatio();
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.camera.width, this.camera.height);
    return this.overlays.map((overlay) => overlay(this.context)).some(Boolean);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.overlayCanvas.width = Math.round(width * ratio);
    this.overlayCanvas.height = Math.round(height * ratio);
    this.camera.resize(width, height);
    this.invalidate();
  }
}
