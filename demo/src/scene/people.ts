/** Who else is here, what they point at and what they have selected: by presence, never stored. */
import type { Presence, Store, Tree } from 'sharelite';
import { Cell } from '../cell';
import type { Place } from '../geo';

export interface Person {
  client: string;
  name: string;
  color: string;
  /** Where they point; undefined: not at the world. */
  at?: Place | undefined;
  selected?: string | undefined;
  /** In an edit session. */
  editing: boolean;
}

const COLORS = ['#f2b35d', '#5cc8bb', '#c58cf0', '#f07f8b', '#7fb2ff', '#9ad36a', '#f39ad0', '#e2d060'];
const EVERY_MS = 45;

export class People {
  readonly others = new Cell<Person[]>([]);
  readonly me: Person;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastSent = 0;
  private readonly stop: () => void;

  constructor(private readonly store: Store, name: string) {
    this.me = { client: store.status.client, name, color: colorOf(store.status.client), editing: false };
    this.stop = store.presence.subscribe((peers) => this.meet(read(peers)));
    this.others.set(read(store.presence.peers));
    this.send();
  }

  close(): void {
    clearTimeout(this.timer);
    this.stop();
  }

  say(news: Partial<Pick<Person, 'at' | 'selected' | 'editing' | 'color'>>): void {
    Object.assign(this.me, news);
    this.timer ??= setTimeout(() => this.send(), Math.max(0, EVERY_MS - (performance.now() - this.lastSent)));
  }

  /** Of two people with one colour the one with the later id takes another, as long as there is one. */
  private meet(others: Person[]): void {
    const twin = others.some(({ client, color }) => color === this.me.color && client < this.me.client);
    const free = COLORS.find((color) => others.every((other) => other.color !== color));
    if (twin && free) this.say({ color: free });
    this.others.set(others);
  }

  private send(): void {
    this.timer = undefined;
    this.lastSent = performance.now();
    const { name, color, at, selected, editing } = this.me;
    this.store.presence.set({ name, color, at: at ? [round(at.lon), round(at.lat)] : null, selected: selected ?? null, editing });
  }
}

const round = (degrees: number): number => Math.round(degrees * 1e5) / 1e5;

function colorOf(client: string): string {
  let sum = 0;
  for (const letter of client) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
  return COLORS[sum % COLORS.length]!;
}

/** What others say of themselves is not to be trusted to have a shape. */
function read(peers: Presence['peers']): Person[] {
  return [...peers].flatMap(([client, { user, state }]) => {
    if (state === null || typeof state !== 'object' || Array.isArray(state) || state instanceof Uint8Array) return [];
    const { name, color, at, selected, editing } = state as Record<string, Tree>;
    const place = Array.isArray(at) && typeof at[0] === 'number' && typeof at[1] === 'number' ? { lon: at[0], lat: at[1] } : undefined;
    return [{
      client, name: typeof name === 'string' && name ? name.slice(0, 40) : user ?? 'Somebody',
      color: typeof color === 'string' && /^#[0-9a-f]{6}$/.test(color) ? color : colorOf(client),
      at: place, selected: typeof selected === 'string' ? selected : undefined, editing: editing === true,
    }];
  });
}
