/**
 * How edits become mutations.
 *
 * Outside of an edit session a slider held down is a draft of its own: it moves everything in this window, is one commit
 * when it is let go, and nothing if the hand takes it back (Escape). With `live` every frame is a commit, so that others
 * see it move. In an edit session everything goes into one draft, until Save (one commit) or Cancel.
 */
import type { Draft, Sent, Store, Tree, Tx } from 'sharelite';
import { Cell } from '../cell';

export interface Session { changes: string[] }

export class Editing {
  /** The open edit session; undefined: edits are committed as they are made. */
  readonly session = new Cell<Session | undefined>(undefined);
  readonly live = new Cell(false);
  private draft: Draft | undefined;
  private stroke: Draft | undefined;
  private held = false;
  private readonly waiting = new Map<string, Tree>();
  /** The same property of everything that is selected with it. */
  spread: (path: string) => readonly string[] = (path) => [path];
  private asked = 0;

  constructor(private readonly store: Store, private readonly report: (error: unknown) => void) {}

  /** A hand took hold of something; edits until `release` belong together. */
  hold(): void {
    this.held = true;
    this.attempt(() => { if (!this.draft && !this.live.get()) this.stroke ??= this.store.draft(); });
  }

  set(path: string, value: Tree): void { this.setAll(this.spread(path).map((one) => [one, value])); }

  setAll(writes: readonly (readonly [path: string, value: Tree])[], tag?: string): void {
    const write = (t: Tx): void => { for (const [path, value] of writes) t.set(path, value); };
    this.attempt(() => {
      if (this.draft) { this.draft.tx(write); this.count(); }
      else if (this.stroke) this.stroke.tx(write);
      else if (this.held && this.live.get()) for (const [path, value] of writes) this.soon(path, value);
      else this.sent(this.store.tx(write, { missing: 'skip', ...(tag === undefined ? {} : { tag }) }));
    });
  }

  release(): void {
    this.held = false;
    this.attempt(() => this.flush());
    const stroke = this.stroke;
    this.stroke = undefined;
    if (!this.attempt(() => this.sent(stroke?.save({ missing: 'skip' })))) stroke?.cancel();
  }

  /** Takes back what the hand did since `hold`. */
  abandon(): void {
    this.held = false;
    this.waiting.clear();
    this.stroke?.cancel();
    this.stroke = undefined;
  }

  /** What would be lost if the window were closed now. */
  get unsaved(): boolean { return this.store.status.pending > 0 || (this.draft?.changes.length ?? 0) > 0; }

  /** Several writes as one mutation (or into the session). */
  tx(write: (t: Tx) => void, tag?: string): boolean {
    return this.attempt(() => {
      if (this.draft) { this.draft.tx(write); this.count(); } else this.sent(this.store.tx(write, tag === undefined ? {} : { tag }));
    });
  }

  begin(): void {
    this.abandon();
    this.attempt(() => {
      this.draft ??= this.store.draft();
      this.session.set({ changes: [] });
    });
  }

  /** What cannot be saved is still in the session. */
  save(): void {
    if (this.attempt(() => this.sent(this.draft?.save({ missing: 'skip', tag: 'edit session' })))) this.close();
  }

  cancel(): void {
    const draft = this.draft;
    this.close();
    draft?.cancel();
  }

  private close(): void {
    this.draft = undefined;
    this.session.set(undefined);
  }

  private count(): void { this.session.set({ changes: [...(this.draft?.changes ?? [])] }); }

  /** At most one commit per frame and property: the last value. */
  private soon(path: string, value: Tree): void {
    this.waiting.set(path, value);
    this.asked ||= requestAnimationFrame(() => this.attempt(() => this.flush()));
  }

  private flush(): void {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    if (this.waiting.size === 0) return;
    const writes = [...this.waiting];
    this.waiting.clear();
    this.sent(this.store.tx((t) => { for (const [path, value] of writes) t.set(path, value); }, { missing: 'skip', tag: 'live' }));
  }

  /** Refusals come by the store's event; only a link that never answers would be left, and status shows that. */
  private sent(sent: Sent | undefined): void { sent?.confirmed.catch(this.report); }

  private attempt(act: () => void): boolean {
    try { act(); return true; } catch (error) { this.report(error); return false; }
  }
}
