/** A viewer where the page expects a store: it shows the same and writes nothing. */
import { StoreError, type Draft, type Presence, type Sent, type Status, type Store, type Unsubscribe } from 'sharelite';
import type { Viewer } from 'sharelite/viewer';

const nobody: Presence = { set: () => undefined, peers: new Map(), subscribe: () => () => undefined };

export class ViewStore implements Store {
  readonly presence = nobody;
  readonly drafts = [];
  readonly subscribe: Store['subscribe'];
  constructor(readonly viewer: Viewer) { this.subscribe = viewer.subscribe.bind(viewer) as Store['subscribe']; }

  get project(): string { return this.viewer.image.project; }
  get status(): Store['status'] { return this.viewer.status; }
  get contract(): Store['contract'] { return this.viewer.contract; }
  get(path: string): ReturnType<Store['get']> { return this.viewer.get(path); }
  peek(path: string): ReturnType<Store['peek']> { return this.viewer.peek(path); }
  query(...asked: Parameters<Store['query']>): ReturnType<Store['query']> { return this.viewer.query(...asked); }
  export(): Promise<Uint8Array> { return this.viewer.export(); }
  close(): void { this.viewer.close(); }

  on(event: 'status' | 'refused' | 'contract', callback: (argument: never) => void): Unsubscribe {
    if (event === 'refused') return () => undefined; // nothing is ever sent
    return this.viewer.on(event as 'status', callback as (status: Status) => void);
  }

  onSignal(): Unsubscribe { return () => undefined; }
  tx(): Sent { return readOnly(); }
  set(): Sent { return readOnly(); }
  call(): Sent { return readOnly(); }
  draft(): Draft { return readOnly(); }
  signal(): void { readOnly(); }
}

function readOnly(): never {
  throw new StoreError('forbidden', 'This is a read-only view.');
}
