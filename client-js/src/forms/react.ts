/**
 * React on bound fields: a form is a walk over what the contract says, and each field draws only when its own property,
 * conflict, fault or neighbour is another one.
 *
 *     function Property({ path }) {
 *       const [{ value, node, conflict }, field] = useField(path);
 *       return <input value={value} title={node?.title} onFocus={field.focus} onChange={(event) => field.set(event.target.value)} />;
 *     }
 */
import { useMemo, useSyncExternalStore } from 'react';
import { useContract, useOpenDraft, useStore } from '../react/index.js';
import { bindField, nodeAt, type Field, type FieldOptions, type FieldState } from './bind.js';
import type { FieldNode } from './fields.js';

/** What a field shows, and the field to write with: into the draft of the nearest `DraftProvider`, or else into the store. */
export function useField(path: string, { presence, write }: Omit<FieldOptions, 'draft'> = {}): [state: FieldState, field: Field] {
  const store = useStore();
  const { draft } = useOpenDraft();
  const field = useMemo(
    () => bindField(store, path, { draft, ...(presence && { presence }), ...(write && { write }) }),
    [store, path, draft, presence, write],
  );
  return [useSyncExternalStore(field.follow, field.get, field.get), field];
}

/** What the contract says of a place, another one after an upgrade; undefined: it has no such place (any more). */
export function useFieldsAt(path: string): FieldNode | undefined {
  const store = useStore();
  const contract = useContract();
  return useMemo(() => nodeAt(store, path), [store, contract, path]);
}
