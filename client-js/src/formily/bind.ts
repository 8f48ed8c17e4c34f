/**
 * A formily form on one row: field = property, dialog = draft. What is typed goes into the draft (or the store), what comes
 * from elsewhere goes into the fields, faults stand at their fields, and nothing is mapped by hand.
 */
import { createForm, onFieldChange, onFieldInputValueChange, onFieldMount, onFieldValueChange, type Form, type GeneralField } from '@formily/core';
import type { Conflict, Draft, DraftOptions, Fault, Sent, Store, Tree, WriteOptions } from '../api.js';
import { sameTree } from '../bindings/same.js';
import { draftSource } from '../bindings/source.js';
import { StoreError, invalid } from '../errors.js';
import { fieldsAt, type FieldNode } from '../forms/fields.js';
import { addressOf, pathOf } from './places.js';

/** What a field's `data` says, beside what formily knows itself. */
export interface FieldData {
  /** Somebody else has changed the property since the draft did. */
  conflict?: { theirs: Tree | undefined; mine: Tree | undefined; by?: string };
  /** Who else is at the field. */
  editors: { client: string; user?: string }[];
}

export interface FormOptions extends DraftOptions {
  /** Without a draft, each input is a mutation of its own. Default: true. */
  draft?: boolean;
  /** A form of one's own, with its effects; default: a new one. */
  form?: Form;
}

export interface BoundForm {
  readonly form: Form;
  readonly draft: Draft | undefined;
  /** Sends what changed, as one mutation; throws StoreError if it is not valid, and its faults stand at their fields. */
  save(options?: WriteOptions): Sent | undefined;
  /** Puts everything back. */
  cancel(): void;
  /** Ends the conflict of a field. */
  resolve(address: string, which: 'mine' | 'theirs'): void;
  /** Stops following; what is in the draft is cancelled. */
  close(): void;
}

export function bindForm(store: Store, row: string, options: FormOptions = {}): BoundForm {
  const bound = new Bound(store, row, options);
  bound.start();
  return bound;
}

class Bound implements BoundForm {
  readonly form: Form;
  readonly draft: Draft | undefined;
  private leave: (() => void)[] = [];
  private faults = new Map<string, string[]>();
  /** By address: why what is in a field cannot be a value of its property. It is in the form only. */
  private readonly unfit = new Map<string, string>();
  private readonly ids = new Set<string>();
  private known: { document: unknown; node: FieldNode } | undefined;
  /** What the form is being told comes from the store; what reactions make of it is somebody else's to write. */
  private showing = false;
  /** The field that one is at. */
  private at: string | undefined;
  private readonly id = Symbol('sharelite');

  constructor(
    private readonly store: Store,
    private readonly row: string,
    { draft = true, form = createForm(), name }: FormOptions,
  ) {
    this.form = form;
    const known = name === undefined ? undefined : store.drafts.find((one) => one.name === name);
    this.draft = draft ? (known ?? store.draft(row, name === undefined ? {} : { name })) : undefined;
  }

  start(): void {
    const { form, store, row } = this;
    this.showAll();
    form.setPattern(store.status.role === 'reader' ? 'readOnly' : 'editable');
    form.addEffects(this.id, () => {
      onFieldInputValueChange('*', (field) => this.write(field));
      onFieldValueChange('*', (field) => this.showing || this.write(field));
      onFieldChange('*', ['active'], (field) => this.focus(this.path(field.address.toString()), (field as { active?: boolean }).active === true));
      onFieldMount('*', (field) => this.mark(field));
    });
    const drafted = draftSource(this.draft);
    this.leave = [
      store.subscribe(row, (value, { paths }) => this.changed(value, paths)),
      store.presence.subscribe(() => this.markAll()),
      store.on('refused', ({ id, refusal }) => {
        if (this.draft === undefined && this.ids.delete(id.join())) this.say(refusal.errors);
      }),
      drafted.follow(() => this.say(drafted.get().faults)),
    ];
    this.say(drafted.get().faults);
  }

  save(options?: WriteOptions): Sent | undefined {
    for (const [address, message] of this.unfit) throw invalid(message, { path: this.path(address) });
    return this.draft?.save(options);
  }

  cancel(): void {
    this.draft?.cancel();
    this.unfit.clear();
    this.showAll();
  }

  resolve(address: string, which: 'mine' | 'theirs'): void {
    this.draft?.resolve(this.path(address), which);
  }

  close(): void {
    this.form.removeEffects(this.id);
    for (const leave of this.leave) leave();
    if (this.draft?.name === undefined) this.draft?.cancel();
  }

  /** Others see the field that one is at; nothing is said for one that was never entered. */
  private focus(path: string, active: boolean): void {
    if (active === (this.at === path)) return;
    this.at = active ? path : undefined;
    this.store.presence.set({ field: this.at ?? null });
  }

  /** Whatever changed the field: a hand, a reaction, a reset, the application. Fields of the form alone stay in the form. */
  private write(field: GeneralField): void {
    const address = field.address.toString();
    try {
      this.unfit.delete(address);
      this.put(address, (field as { value?: unknown }).value);
    } catch (error) {
      if (!(error instanceof StoreError) || !['invalid', 'not_found'].includes(error.code)) throw error;
      if (error.code === 'invalid') this.unfit.set(address, error.message);
    }
    this.mark(field);
  }

  private put(address: string, value: unknown): void {
    const { path, whole } = pathOf(this.row, this.node, address, this.form.values);
    const written = copy(whole === undefined ? value : this.form.getValuesIn(whole)) as Tree | undefined;
    if (sameTree(written, this.store.peek(path))) return;
    if (this.draft === undefined) this.say([]);
    if (this.draft?.open) return this.draft.set(path, written ?? null);
    this.ids.add(this.store.set(path, written ?? null).id.join());
  }

  private show(fn: () => void): void {
    const before = this.showing;
    this.showing = true;
    try {
      fn();
    } finally {
      this.showing = before;
    }
  }

  private showAll(): void {
    this.show(() => this.form.setValues(copy(this.store.peek(this.row)) ?? {}, 'overwrite'));
  }

  /** Only what differs is written into the form, so that a field that is being typed in is left alone. */
  private changed(value: Tree | undefined, paths: readonly string[]): void {
    for (const changed of paths) {
      const address = addressOf(this.row, this.node, changed, value);
      if (address === undefined) {
        this.showAll();
        break;
      }
      const now = at(value, address);
      if (sameTree(now, this.form.getValuesIn(address) as Tree)) continue;
      this.unfit.delete(address);
      this.show(() => this.form.setValuesIn(address, copy(now)));
    }
    this.markAll();
  }

  private say(faults: readonly Fault[]): void {
    const before = this.faults;
    this.faults = new Map();
    const value = this.store.peek(this.row);
    for (const { path, message } of faults) {
      const address = path === undefined ? undefined : addressOf(this.row, this.node, path, value);
      if (address !== undefined) this.faults.set(address, [...(this.faults.get(address) ?? []), message]);
    }
    for (const address of before.keys()) if (!this.faults.has(address)) this.form.query(address).take((field) => this.mark(field));
    this.markAll();
  }

  private markAll(): void {
    const conflicts = this.conflicts();
    this.form.query('*').forEach((field) => this.mark(field, conflicts));
  }

  private conflicts(): readonly Conflict[] {
    return this.draft?.conflicts ?? [];
  }

  private mark(field: GeneralField, conflicts = this.conflicts()): void {
    if (field.displayName === 'VoidField') return;
    const address = field.address.toString();
    const path = this.path(address);
    const conflict = conflicts.find((one) => one.path === path);
    const editors = [...this.store.presence.peers].filter(([, { state }]) => fieldOf(state) === path);
    const data: FieldData = { ...(conflict === undefined ? {} : { conflict }), editors: editors.map(([client, { user }]) => (user === undefined ? { client } : { client, user })) };
    if (JSON.stringify(field.data) !== JSON.stringify(data)) field.setData(data);
    const unfit = this.unfit.get(address);
    const messages = [...(unfit === undefined ? [] : [unfit]), ...(this.faults.get(address) ?? [])];
    if ('setFeedback' in field) field.setFeedback({ type: 'error', code: 'EffectError', messages });
  }

  private path(address: string): string {
    return pathOf(this.row, this.node, address, this.form.values).path;
  }

  private get node(): FieldNode {
    const { document } = this.store.contract;
    if (this.known?.document !== document) this.known = { document, node: fieldsAt(document, this.row) };
    return this.known.node;
  }
}

function fieldOf(state: Tree): unknown {
  return typeof state === 'object' && state !== null && 'field' in state ? state.field : undefined;
}

function at(value: Tree | undefined, address: string): Tree | undefined {
  return address.split('.').reduce<unknown>((tree, step) => (tree as Record<string, unknown> | undefined | null)?.[step], value) as Tree | undefined;
}

/** Trees of the store are frozen, and formily watches what it is given. */
function copy<T>(value: T): T {
  return value === undefined ? value : (structuredClone(JSON.parse(JSON.stringify(value))) as T);
}
