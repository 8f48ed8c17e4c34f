/** Who else is here, what they point at and what they have selected: by presence, never stored. */
import type { Presence, Store, Tree } from 'sharelite';
import type { Editor, FieldOptions } from 'sharelite/forms';
import { Cell } from '../cell';
import { wordsCell } from '../app/words';
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
  /** The field that they are at. */
  field?: string | undefined;
  /** Of a panel in a window of its own: the client of the window that it belongs to. */
  of?: string | undefined;
}

const COLORS = ['#f2b35d', '#5cc8bb', '#c58cf0', '#f07f8b', '#7fb2ff', '#9ad36a', '#f39ad0', '#e2d060'];
const EVERY_MS = 45;

export class People {
  /** Those with a window on the world; a panel's own window is not one more person. */
  readonly others = new Cell<Person[]>([]);
  /** How bound fields say and read who is at them. */
  readonly presence: NonNullable<FieldOptions['presence']> = {
    say: (path) => this.say({ field: path ?? undefined }),
    field: (state) => fieldIn(state),
  };
  private everybody: Person[] = [];
  readonly me: Person;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastSent = 0;
  private readonly stop: () => void;

  constructor(private readonly store: Store, name: string, of?: string) {
    this.me = { client: store.status.client, name, color: colorOf(of ?? store.status.client), editing: false, ...(of === undefined ? {} : { of }) };
    this.stop = store.presence.subscribe((peers) => this.hear(peers));
    this.hear(store.presence.peers);
    this.send();
  }

  private hear(peers: Presence['peers']): void {
    this.everybody = read(peers);
    this.meet(this.everybody.filter(({ of }) => of === undefined));
  }

  /** Those of a field's editors who are somebody else, each once. */
  known(editors: readonly Editor[]): Person[] {
    const desk = (person: Person): string => person.of ?? person.client;
    const found = editors.flatMap(({ client }) => this.everybody.filter((person) => person.client === client && desk(person) !== desk(this.me)));
    return [...new Map(found.map((person) => [desk(person), person])).values()];
  }

  close(): void {
    clearTimeout(this.timer);
    this.stop();
  }

  say(news: Partial<Pick<Person, 'at' | 'selected' | 'editing' | 'field' | 'color'>>): void {
    Object.assign(this.me, news);
    this.timer ??= setTimeout(() => this.send(), Math.max(0, EVERY_MS - (performance.now() - this.lastSent)));
  }

  /**
   * Of two people with one colour the one with the later id takes another, as long as there is one. A panel in a window of
   * its own has the colour of the window that it belongs to.
   */
  private meet(others: Person[]): void {
    const home = others.find(({ client }) => client === this.me.of);
    const twin = this.me.of === undefined && others.some(({ client, color }) => color === this.me.color && client < this.me.client);
    const color = home ? home.color : twin ? COLORS.find((free) => others.every((other) => other.color !== free)) : undefined;
    if (color && color !== this.me.color) this.say({ color });
    this.others.set(others);
  }

  private send(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lastSent = performance.now();
    const { name, color, at, selected, editing, field, of } = this.me;
    const place = at ? [round(at.lon), round(at.lat)] : null;
    this.store.presence.set({ name, color, at: place, selected: selected ?? null, editing, field: field ?? null, ...(of === undefined ? {} : { of }) });
  }
}

function fieldIn(state: Tree): string | undefined {
  const field = state !== null && typeof state === 'object' && 'field' in state ? state.field : undefined;
  return typeof field === 'string' ? field : undefined;
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
    const { name, color, at, selected, editing, of } = state as Record<string, Tree>;
    const place = Array.isArray(at) && typeof at[0] === 'number' && typeof at[1] === 'number' ? { lon: at[0], lat: at[1] } : undefined;
    return [{
      client, name: typeof name === 'string' && name ? name.slice(0, 40) : user ?? wordsCell.get().somebody,
      color: typeof color === 'string' && /^#[0-9a-f]{6}$/.test(color) ? color : colorOf(client),
      at: place, selected: typeof selected === 'string' ? selected : undefined, editing: editing === true,
      field: fieldIn(state), ...(typeof of === 'string' ? { of } : {}),
    }];
  });
}
