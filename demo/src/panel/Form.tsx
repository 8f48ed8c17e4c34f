/** The form of one row, made from the contract alone: groups are its nested objects, each field follows its own property. */
import { memo, useMemo, useState, type ReactElement } from 'react';
import type { Tree } from 'sharelite';
import { useContract, useProperty, useReadOnly, useDesk } from '../app/context';
import { allFields, flatten, groupOf, rowSchema, type Field, type Group } from '../scene/fields';
import { property } from '../scene/paths';
import { useWords, wordsCell } from '../app/words';
import { Control } from './controls';

export interface Filter { text: string; changedOnly: boolean }

export function Form({ row, table, filter }: { row: string; table: string; filter: Filter }): ReactElement {
  const { store } = useDesk();
  const contract = useContract();
  const group = useMemo(() => groupOf(rowSchema(store.contract.document, table)), [store, contract, table]);
  return (
    <div className="form" data-testid="form">
      <FieldList row={row} group={group} filter={filter} />
      {group.groups.map((inner) => <Section key={inner.name} row={row} group={inner} filter={filter} depth={0} />)}
    </div>
  );
}

/** Names of the properties below a group that differ from their defaults. */
function useChanged(row: string, group: Group): string[] {
  const tree = useProperty(property(row, group.name));
  const fields = useMemo(() => allFields(group), [group]);
  const cells = flatten(tree, `${group.name}.`);
  return fields.filter((field) => !field.required && differs(field, cells[field.name])).map((field) => field.name);
}

export function differs(field: Field, value: Tree | undefined): boolean {
  return value !== undefined && value !== null && value !== (field.default ?? undefined);
}

function Section({ row, group, filter, depth }: { row: string; group: Group; filter: Filter; depth: number }): ReactElement | null {
  const words = useWords();
  const [open, setOpen] = useState(depth > 0 || OPEN_AT_FIRST.has(group.name));
  const wanted = allFields(group).some((field) => matches(field, group.title, filter.text));
  const narrowed = filter.text !== '' || filter.changedOnly;
  if (!wanted) return null;
  return (
    <section className={depth ? 'subsection' : 'section'} data-testid={`group:${group.name}`}>
      <button type="button" className="section-head" onClick={() => setOpen(!open)} aria-expanded={open || narrowed}>
        <Chevron open={open || narrowed} />
        <span>{words.title(group.title)}</span>
        <ChangedCount row={row} group={group} />
      </button>
      {(open || narrowed) && (
        <div className="section-body">
          <FieldList row={row} group={group} filter={matchesText(group.title, filter.text) ? { ...filter, text: '' } : filter} />
          {group.groups.map((inner) => <Section key={inner.name} row={row} group={inner} filter={filter} depth={depth + 1} />)}
        </div>
      )}
    </section>
  );
}

const OPEN_AT_FIRST = new Set(['icon', 'line', 'grid', 'fill']);

const ChangedCount = memo(function ChangedCount({ row, group }: { row: string; group: Group }): ReactElement | null {
  const count = useChanged(row, group).length;
  const words = useWords();
  return count ? <em className="changed-count" title={words.differ(count)}>{count}</em> : null;
});

function FieldList({ row, group, filter }: { row: string; group: Group; filter: Filter }): ReactElement {
  const fields = group.fields.filter((field) => field.control !== 'hidden' && !field.schema.readOnly && matches(field, group.title, filter.text));
  return <>{fields.map((field) => <FieldRow key={field.name} row={row} field={field} changedOnly={filter.changedOnly} />)}</>;
}

const FieldRow = memo(function FieldRow({ row, field, changedOnly }: { row: string; field: Field; changedOnly: boolean }): ReactElement | null {
  const { editing } = useDesk();
  const words = useWords();
  const readOnly = useReadOnly();
  const path = property(row, field.name);
  const value = useProperty(path);
  const changed = !field.required && differs(field, value);
  if (changedOnly && !changed) return null;
  return (
    <div className={`field of-${field.control}`} data-changed={changed || undefined} data-testid={`field:${field.name}`} title={field.schema.description}>
      <span className="field-title">{words.title(field.title)}</span>
      <fieldset disabled={readOnly}><Control path={path} field={field} value={value} /></fieldset>
      <button type="button" className="reset" disabled={!changed || readOnly} onClick={() => editing.set(path, null)} title={words.toDefault}
        aria-label={words.reset(words.title(field.title))} data-testid={`reset:${field.name}`}>
        <svg viewBox="0 0 16 16"><path d="M3.5 6.5h6a3 3 0 1 1 0 6H7M3.5 6.5 6 4M3.5 6.5 6 9" /></svg>
      </button>
    </div>
  );
});

function Chevron({ open }: { open: boolean }): ReactElement {
  return <svg className="chevron" data-open={open || undefined} viewBox="0 0 16 16"><path d="m6 4 4 4-4 4" /></svg>;
}

/** In the words that are shown, or in the contract's. */
function matchesText(title: string, text: string): boolean {
  return text !== '' && [title, wordsCell.get().title(title)].some((one) => one.toLowerCase().includes(text.toLowerCase()));
}

function matches(field: Field, group: string, text: string): boolean {
  return text === '' || [field.title, field.name, group].some((part) => matchesText(part, text));
}
