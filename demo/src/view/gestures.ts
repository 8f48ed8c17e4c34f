/** Mouse, pen and touch on the canvas: pan, zoom, tilt, click, and dragging things. */
import type { Place } from '../geo';
import type { Stage } from './stage';

/** What the editor does with what one points at. Positions are in pixels of the canvas. */
export interface Pointing {
  /** The pointer moved; undefined: it left. */
  hover(x: number, y: number, place: Place | undefined): void;
  /** `more`: in addition to what is selected. */
  click(x: number, y: number, place: Place | undefined, more: boolean): void;
  /** A frame is drawn around things; undefined: no more. */
  frame(box: Frame | undefined): void;
  /** The frame is done: what is in it is meant. */
  enclose(box: Frame): void;
  /** Whether what lies here can be dragged; if so, `drag` and `drop` follow instead of panning. */
  grab(x: number, y: number): boolean;
  drag(place: Place): void;
  drop(cancelled: boolean): void;
  leave(): void;
}

export interface Frame { left: number; top: number; right: number; bottom: number }

const CLICK_PIXELS = 4;
type Mode = 'none' | 'pan' | 'tilt' | 'drag' | 'pinch' | 'frame';

export class Gestures {
  private mode: Mode = 'none';
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private start = { x: 0, y: 0, moved: false };
  private last = { x: 0, y: 0 };
  private speed = { x: 0, y: 0, at: 0 };
  private readonly listening = new AbortController();

  constructor(private readonly stage: Stage, private readonly target: HTMLElement, private readonly pointing: Pointing) {
    const on = <K extends keyof HTMLElementEventMap>(type: K, listener: (event: HTMLElementEventMap[K]) => void): void =>
      target.addEventListener(type, listener as EventListener, { signal: this.listening.signal, passive: false });
    on('pointerdown', (event) => this.down(event));
    on('pointermove', (event) => this.move(event));
    on('pointerup', (event) => this.up(event, false));
    on('pointercancel', (event) => this.up(event, true));
    on('pointerleave', () => { if (this.mode === 'none') pointing.leave(); });
    on('wheel', (event) => this.wheel(event));
    on('dblclick', (event) => { const p = this.at(event); this.zoomAt(p.x, p.y, 1.2, 260); });
    on('contextmenu', (event) => event.preventDefault());
    window.addEventListener('keydown', (event) => { if (event.key === 'Escape' && (this.mode === 'drag' || this.mode === 'frame')) { event.preventDefault(); this.finish(true); } }, { signal: this.listening.signal });
  }

  dispose(): void { this.listening.abort(); }

  zoomAt(x: number, y: number, by: number, length: number): void {
    const { camera } = this.stage;
    const place = camera.unproject(x, y), from = camera.zoom;
    this.stage.halt('flight');
    this.stage.start('zoom', length, (t) => {
      camera.set({ zoom: from + by * (1 - (1 - t) ** 3) });
      if (place) camera.hold(place, x, y);
    });
  }

  private at(event: MouseEvent): { x: number; y: number } {
    const box = this.target.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private down(event: PointerEvent): void {
    const p = this.at(event);
    this.pointers.set(event.pointerId, p);
    this.target.setPointerCapture(event.pointerId);
    this.stage.halt('flight');
    this.stage.halt('glide');
    this.last = p;
    this.start = { ...p, moved: false };
    this.speed = { x: 0, y: 0, at: performance.now() };
    if (this.pointers.size === 2) this.mode = 'pinch';
    else if (event.button === 2 || event.ctrlKey) this.mode = 'tilt';
    else if (event.button === 0 && event.shiftKey) this.mode = 'frame';
    else this.mode = event.button === 0 && this.pointing.grab(p.x, p.y) ? 'drag' : 'pan';
  }

  private move(event: PointerEvent): void {
    const p = this.at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before || this.mode === 'none') { this.pointing.hover(p.x, p.y, this.stage.camera.unproject(p.x, p.y)); return; }
    if (Math.hypot(p.x - this.start.x, p.y - this.start.y) > CLICK_PIXELS) this.start.moved = true;
    if (this.mode === 'pinch') this.pinch(event.pointerId, p);
    this.pointers.set(event.pointerId, p);
    if (!this.start.moved || this.mode === 'pinch') return;
    const dx = p.x - this.last.x, dy = p.y - this.last.y;
    this.last = p;
    if (this.mode === 'pan') this.pan(dx, dy);
    if (this.mode === 'tilt') this.tilt(dx, dy);
    if (this.mode === 'frame') { this.pointing.frame(this.framed(p)); return; }
    const place = this.stage.camera.unproject(p.x, p.y);
    if (this.mode === 'drag' && place) this.pointing.drag(place);
    this.pointing.hover(p.x, p.y, place);
  }

  private up(event: PointerEvent, cancelled: boolean): void {
    const p = this.at(event);
    this.pointers.delete(event.pointerId);
    if (this.mode === 'pan' && this.start.moved && !cancelled) this.glide();
    const clicked = !this.start.moved && !cancelled && event.button === 0;
    if (this.mode === 'frame' && this.start.moved && !cancelled) this.pointing.enclose(this.framed(p));
    this.finish(cancelled || !this.start.moved);
    if (clicked) this.pointing.click(p.x, p.y, this.stage.camera.unproject(p.x, p.y), event.shiftKey);
  }

  private framed(p: { x: number; y: number }): Frame {
    const { x, y } = this.start;
    return { left: Math.min(x, p.x), top: Math.min(y, p.y), right: Math.max(x, p.x), bottom: Math.max(y, p.y) };
  }

  private finish(cancelled: boolean): void {
    if (this.mode === 'drag') this.pointing.drop(cancelled);
    if (this.mode === 'frame') this.pointing.frame(undefined);
    this.mode = 'none';
  }

  private pan(dx: number, dy: number): void {
    const { camera } = this.stage;
    const now = performance.now(), since = Math.max(1, now - this.speed.at);
    this.speed = { x: this.speed.x * 0.6 + (dx / since) * 0.4, y: this.speed.y * 0.6 + (dy / since) * 0.4, at: now };
    const turn = (camera.bearing * Math.PI) / 180, degrees = 180 / Math.PI / camera.scale;
    const east = dx * Math.cos(turn) - dy * Math.sin(turn), south = dx * Math.sin(turn) + dy * Math.cos(turn);
    camera.set({ lon: camera.lon - (east * degrees) / Math.max(0.15, Math.cos((camera.lat * Math.PI) / 180)), lat: camera.lat + south * degrees });
    this.stage.invalidate();
  }

  /** Goes on a little after the hand let go. */
  private glide(): void {
    if (performance.now() - this.speed.at > 60 || Math.hypot(this.speed.x, this.speed.y) < 0.15) return;
    const { x, y } = this.speed;
    let done = 0;
    this.stage.start('glide', 480, (t) => {
      const way = (1 - (1 - t) ** 3) * 160;
      this.pan(x * (way - done), y * (way - done));
      done = way;
    });
  }

  private tilt(dx: number, dy: number): void {
    const { camera } = this.stage;
    camera.set({ bearing: camera.bearing + dx * 0.3, pitch: camera.pitch - dy * 0.3 });
    this.stage.invalidate();
  }

  private pinch(id: number, p: { x: number; y: number }): void {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1], before = this.pointers.get(id);
    if (!other || !before) return;
    const { camera } = this.stage;
    const grown = Math.hypot(p.x - other.x, p.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
    const middle = { x: (p.x + other.x) / 2, y: (p.y + other.y) / 2 };
    const place = camera.unproject((before.x + other.x) / 2, (before.y + other.y) / 2);
    camera.set({ zoom: camera.zoom + Math.log2(grown) });
    if (place) camera.hold(place, middle.x, middle.y);
    this.start.moved = true;
    this.stage.invalidate();
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const p = this.at(event);
    const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
    this.zoomAt(p.x, p.y, -Math.max(-1.2, Math.min(1.2, pixels / (event.ctrlKey ? 80 : 220))), 160);
  }
}
