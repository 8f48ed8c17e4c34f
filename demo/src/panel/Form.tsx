/** A form as it looks: groups are nested objects, each field a row with its marks. It knows neither store nor scene. */
import { useState, type ComponentType, type ReactElement, type ReactNode } from 'react';
import type { Tree } from 'sharelite';
import type { Field, FieldNode, FieldState } from 'sharelite/forms';
import { useWords, wordsCell } from '../app/words';
import { controlOf, leavesOf } from '../scene/fields';

export interface Filter { text: string; changedOnly: boolean }

/** Where a property is, and its name with dots from its row on. */
export interface Place { path: string; name: string }

/** What is shown of the store: one property, and how many of a group differ from their defaults. */
export interface Parts {
  Property: ComponentType<Place & { changedOnly: boolean }>;
  Changed: ComponentType<Place>;
}

export interface Neighbour { client: string; name: string; color: string }

interface GroupProps { node: FieldNode; path: string; name: string; filter: Filter; parts: Parts }

export function Form(props: Omit<GroupProps, 'name'>): ReactElement {
  return <div className="form" data-testid="form"><Group {...props} name="" depth={0} /></div>;
}

function Group({ node, path, name, filter, parts, depth }: GroupProps & { depth: number }): ReactElement {
  const at = (field: FieldNode): Place => ({ path: `${path}/${field.name}`, name: name ? `${name}.${field.name}` : field.name });
  const shown = node.fields.filter((field) => controlOf(field) && matches(field.title, at(field).name, name ? node.title : '', filter.text));
  return (
    <>
      {shown.map((field) => <parts.Property key={field.name} {...at(field)} changedOnly={filter.changedOnly} />)}
      {node.fields.filter((field) => field.kind === 'object').map((inner) => <Section key={inner.name} node={inner} {...at(inner)} filter={filter} parts={parts} depth={depth} />)}
    </>
  );
}

function Section({ node, path, name, filter, parts, depth }: GroupProps & { depth: number }): ReactElement | null {
  const words = useWords();
  const [opened, setOpened] = useState(depth > 0 || OPEN_AT_FIRST.has(name));
  const open = opened || filter.text !== '' || filter.changedOnly;
  if (!leavesOf(node, `${name}.`).some(([leaf, { title }]) => matches(title, leaf, node.title, filter.text))) return null;
  const inner = matchesText(node.title, filter.text) ? { ...filter, text: '' } : filter;
  return (
    <section className={depth ? 'subsection' : 'section'} data-testid={`group:${name}`}>
      <button type="button" className="section-head" onClick={() => setOpened(!opened)} aria-expanded={open}>
        <Chevron open={open} />
        <span>{words.title(node.title)}</span>
        <parts.Changed path={path} name={name} />
      </button>
      {open && <div className="section-body"><Group node={node} path={path} name={name} filter={inner} parts={parts} depth={depth + 1} /></div>}
    </section>
  );
}

const OPEN_AT_FIRST = new Set(['icon', 'line', 'grid', 'fill']);

export function ChangedCount({ count }: { count: number }): ReactElement {
  const words = useWords();
  return <>{count > 0 && <em className="changed-count" title={words.differ(count)}>{count}</em>}</>;
}

interface RowProps { state: FieldState; node: FieldNode; field: Field; name: string; user: string | undefined; people: readonly Neighbour[]; children: ReactNode }

/** One property: its title, its control, how to reset it, and what there is to say about it. */
export function FieldRow({ state, node, field, name, user, people, children }: RowProps): ReactElement {
  const words = useWords();
  const changed = state.changed && !node.required;
  const title = words.title(node.title);
  return (
    <div className={`field of-${controlOf(node)}`} data-changed={changed || undefined} data-drafted={state.drafted || undefined} data-testid={`field:${name}`} title={node.description} onFocus={field.focus} onBlur={field.blur}>
      <span className="field-title">{title}{people.map((person) => <Here key={person.client} person={person} />)}</span>
      <fieldset disabled={state.readOnly}>{children}</fieldset>
      <button type="button" className="reset" disabled={!changed || state.readOnly} onClick={field.reset} title={words.toDefault} aria-label={words.reset(title)} data-testid={`reset:${name}`}>
        <svg viewBox="0 0 16 16"><path d="M3.5 6.5h6a3 3 0 1 1 0 6H7M3.5 6.5 6 4M3.5 6.5 6 9" /></svg>
      </button>
      {state.conflict && <Conflicting theirs={state.conflict.theirs} by={state.conflict.by} user={user} name={name} field={field} />}
      {state.faults.length > 0 && <p className="field-note fault" role="alert" data-testid={`fault:${name}`}>{state.faults.map(({ message }) => message).join(' ')}</p>}
    </div>
  );
}

/** Who else is at this field. */
function Here({ person }: { person: Neighbour }): ReactElement {
  const said = useWords().isHere(person.name);
  return <b className="here" style={{ background: person.color }} title={said} role="img" aria-label={said} data-testid="here" data-name={person.name}>{person.name.slice(0, 1).toUpperCase()}</b>;
}

/** Somebody else has changed what this draft has changed: both are told, and one is chosen. */
function Conflicting({ theirs, by, user, name, field }: { theirs: Tree | undefined; by: string | undefined; user: string | undefined; name: string; field: Field }): ReactElement {
  const words = useWords();
  const value = theirs === undefined || theirs === null ? words.none : String(theirs);
  return (
    <p className="field-note conflict" role="status" data-testid={`conflict:${name}`}>
      <span>{by !== undefined && by === user ? words.elsewhere(value) : words.theirs(by, value)}</span>
      <button type="button" onClick={() => field.resolve('theirs')} data-testid={`take-theirs:${name}`}>{words.takeTheirs}</button>
      <button type="button" onClick={() => field.resolve('mine')} data-testid={`keep-mine:${name}`}>{words.keepMine}</button>
    </p>
  );
}

function Chevron({ open }: { open: boolean }): ReactElement {
  return <svg className="chevron" data-open={open || undefined} viewBox="0 0 16 16"><path d="m6 4 4 4-4 4" /></svg>;
}

/** In the words that are shown, or in the contract's. */
function matchesText(title: string, text: string): boolean {
  return text !== '' && [title, wordsCell.get().title(title)].some((one) => one.toLowerCase().includes(text.toLowerCase()));
}

function matches(title: string, name: string, group: string, text: string): boolean {
  return text === '' || [title, name, group].some((part) => matchesText(part, text));
}
