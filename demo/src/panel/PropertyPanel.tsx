/**
 * All that lies between the store and the widgets, whatever the contract says and however many properties it has. A test
 * counts its lines: who builds an editor writes these, and the widgets.
 */
import { memo, type ReactElement } from 'react';
import { useField, useFieldsAt } from 'sharelite/forms/react';
import { useList, useStatus } from 'sharelite/react';
import { useDesk } from '../app/context';
import { changedIn } from '../scene/fields';
import { Control, Select, type ControlProps } from './controls';
import { ChangedCount, FieldRow, Form, type Filter, type Place } from './Form';

export function PropertyPanel({ path, filter }: { path: string; filter: Filter }): ReactElement | null {
  const node = useFieldsAt(path);
  return node ? <Form node={node} path={path} filter={filter} parts={PARTS} /> : null;
}

const Property = memo(function Property({ path, name, changedOnly }: Place & { changedOnly: boolean }): ReactElement | null {
  const { editing, people } = useDesk();
  const [state, field] = useField(path, { write: editing.write, presence: people.presence });
  const { user } = useStatus();
  if (!state.node || (changedOnly && !state.changed)) return null;
  const props = { state, node: state.node, field, name, user, hand: editing };
  return <FieldRow {...props} people={people.known(state.editors)}>{state.node.references ? <Reference {...props} /> : <Control {...props} />}</FieldRow>;
});

function Reference(props: ControlProps): ReactElement {
  return <Select {...props} rows={useList(props.node.references!)} />;
}

const Changed = memo(function Changed({ path }: Place): ReactElement {
  const [{ value, node }] = useField(path);
  return <ChangedCount count={node ? changedIn(node, value) : 0} />;
});

const PARTS = { Property, Changed };
