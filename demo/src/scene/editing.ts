/**
 * How edits become mutations.
 *
 * Outside of an edit session a slider held down is a draft of its own: it moves everything in this window, is one commit
 * when it is let go, and nothing if the hand takes it back (Escape). With `live` every frame is a commit, so that others
 * see it move. In an edit session everything goes into one draft, until Save (one commit) or Cancel.
 */
import { keepDrafts, shareDraft, type Draft, type Sent, type Store, type Tree, type Tx } from 'sharelite';
import { Cell } from '../cell';

/** The draft of an edit session is found again by this name after a reload. */
const SESSION = 'edit session';

export class Editing {
  /** The open edit session; undefined: edits are committed as they are made. */
  readonly session = new Cell<Draft | undefined>(undefined);
  /** Others see each step: as commits outside of a session, in one as a preview that is never stored. */
  readonly live = new Cell(false);
  private stroke: Draft | undefined;
  private held = false;
  private stopSharing: (() => void) | undefined;
  private readonly waiting = new Map<string, Tree>();
  /** The same property of everything that is selected with it. */
  spread: (path: string) => readonly string[] = (path) => [path];
  private asked = 0;

  /** `kept` is the desk's name among the windows that one page's storage serves; undefined: nothing can be edited. */
  constructor(private readonly store: Store, private readonly report: (error: unknown) => void, kept: string | undefined) {
    if (kept !== undefined) this.resume(keepDrafts(store, { name: kept }).drafts);
    this.session.watch(() => this.share());
    this.live.watch(() => this.share());
  }

  /** A session outlives a reload of the page; what a hand was about does not. */
  private resume(drafts: readonly Draft[]): void {
    for (const draft of drafts) {
      if (draft.name === SESSION && draft.open) this.session.set(draft);
      else draft.cancel();
    }
  }

  private share(): void {
    const draft = this.live.get() ? this.session.get() : undefined;
    this.stopSharing?.();
    this.stopSharing = draft && shareDraft(this.store, draft);
  }

  /** A hand took hold of something; edits until `release` belong together. */
  hold(): void {
    this.held = true;
    this.attempt(() => { if (!this.session.get() && !this.live.get()) this.stroke ??= this.store.draft(); });
  }

  /** One property of everything that is selected, as a bound field writes it. */
  readonly write = (path: string, value: Tree): Sent | undefined => this.setAll(this.spread(path).map((one) => [one, value]));

  set(path: string, value: Tree): void { this.write(path, value); }

  setAll(writes: readonly (readonly [path: string, value: Tree])[], tag?: string): Sent | undefined {
    const write = (t: Tx): void => { for (const [path, value] of writes) t.set(path, value); };
    let sent: Sent | undefined;
    this.attempt(() => {
      const draft = this.session.get() ?? this.stroke;
      if (draft) draft.tx(write);
      else if (this.held && this.live.get()) for (const [path, value] of writes) this.soon(path, value);
      else sent = this.sent(this.store.tx(write, { missing: 'skip', ...(tag === undefined ? {} : { tag }) }));
    });
    return sent;
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
  get unsaved(): boolean { return this.store.status.pending > 0 || (this.session.get()?.changes.length ?? 0) > 0; }

  /** Several writes as one mutation (or into the session). */
  tx(write: (t: Tx) => void, tag?: string): boolean {
    return this.attempt(() => {
      const draft = this.session.get();
      if (draft) draft.tx(write); else this.sent(this.store.tx(write, tag === undefined ? {} : { tag }));
    });
  }

  begin(): void {
    this.abandon();
    this.attempt(() => { if (!this.session.get()) this.session.set(this.store.draft([], { name: SESSION })); });
  }

  /** What cannot be saved is still in the session; what the server refuses comes back into it. */
  save(): void {
    const draft = this.session.get();
    this.attempt(() => {
      const sent = this.sent(draft?.save({ missing: 'skip', tag: SESSION }));
      this.session.set(undefined);
      sent?.confirmed.then(({ kind }) => { if (kind === 'refused') this.goOn(draft!); }, () => undefined);
    });
  }

  private goOn(draft: Draft): void {
    if (this.session.get()) return;
    this.attempt(() => { draft.reopen(); this.session.set(draft); });
  }

  cancel(): void {
    const draft = this.session.get();
    this.session.set(undefined);
    draft?.cancel();
  }

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
  private sent(sent: Sent | undefined): Sent | undefined {
    sent?.confirmed.catch(this.report);
    return sent;
  }

  private attempt(act: () => void): boolean {
    try { act(); return true; } catch (error) { this.report(error); return false; }
  }
}
