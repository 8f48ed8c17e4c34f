/** One control per kind of property. All write by the same three words: hold at the first touch, set, release at the end. */
import { memo, useEffect, useRef, useState, type CSSProperties, type ReactElement } from 'react';
import type { Tree } from 'sharelite';
import { useDesk } from '../app/context';
import { useWords, wordsCell } from '../app/words';
import type { Field } from '../scene/fields';

export interface ControlProps {
  path: string;
  field: Field;
  value: Tree | undefined;
}

type Entry = HTMLInputElement | HTMLTextAreaElement;

/**
 * The browser's own `input` events come while a hand is on a control, `change` when it lets go. Everything between
 * belongs together: it is one commit.
 */
function useStroke<E extends Entry>(path: string, parse: (entry: E) => Tree | undefined): { ref: React.RefObject<E | null> } {
  const { editing } = useDesk();
  const ref = useRef<E>(null);
  const latest = useRef(parse);
  latest.current = parse;
  useEffect(() => {
    const entry = ref.current!;
    let held = false;
    // Escape does not take a slider out of the hand: the rest of its way is not meant.
    let dropped = false;
    const input = (): void => {
      if (dropped) { entry.dispatchEvent(new FocusEvent('blur')); return; }
      const value = latest.current(entry);
      if (value === undefined) return;
      if (!held) editing.hold();
      held = true;
      editing.set(path, value);
    };
    const end = (take: boolean) => (): void => {
      if (held) { if (take) editing.release(); else editing.abandon(); }
      held = false;
    };
    const anew = (): void => { dropped = false; };
    const key = (event: Event): void => {
      if ((event as KeyboardEvent).key !== 'Escape') return anew();
      dropped = held && entry.type === 'range';
      end(false)();
      entry.blur();
    };
    const done = end(true);
    const hands = ['pointerdown', 'pointerup'] as const;
    hands.forEach((hand) => entry.addEventListener(hand, anew));
    entry.addEventListener('input', input);
    entry.addEventListener('change', done);
    entry.addEventListener('blur', done);
    entry.addEventListener('keydown', key);
    return () => {
      done();
      hands.forEach((hand) => entry.removeEventListener(hand, anew));
      entry.removeEventListener('input', input);
      entry.removeEventListener('change', done);
      entry.removeEventListener('blur', done);
      entry.removeEventListener('keydown', key);
    };
  }, [editing, path]);
  return { ref };
}

/** Shows the stored value, except while somebody types: half a number is not a number. */
function useShown<E extends Entry>(ref: React.RefObject<E | null>, value: string): void {
  useEffect(() => {
    const entry = ref.current!;
    if (document.activeElement !== entry || entry.type === 'range' || entry.type === 'color') entry.value = value;
    const blur = (): void => { entry.value = value; };
    entry.addEventListener('blur', blur);
    return () => entry.removeEventListener('blur', blur);
  });
}

function Slider({ path, field, value }: ControlProps): ReactElement {
  const { minimum = 0, maximum = 1, type } = field.schema;
  const step = field.schema['x-step'] ?? (type === 'integer' ? 1 : 'any');
  const { ref } = useStroke<HTMLInputElement>(path, (entry) => entry.valueAsNumber);
  const shown = Number(value ?? field.default ?? minimum);
  useShown(ref, String(shown));
  const share = ((shown - minimum) / (maximum - minimum)) * 100;
  return (
    <span className="slider">
      <input ref={ref} type="range" min={minimum} max={maximum} step={step} defaultValue={shown} aria-label={wordsCell.get().title(field.title)}
        style={{ '--share': `${share}%` } as CSSProperties} data-testid={`slider:${field.name}`} />
      <NumberEntry path={path} field={field} value={value} />
    </span>
  );
}

function NumberEntry({ path, field, value }: ControlProps): ReactElement {
  const { minimum, maximum, type } = field.schema;
  const parse = (entry: HTMLInputElement): number | undefined => {
    const number = entry.valueAsNumber;
    if (!Number.isFinite(number) || (minimum !== undefined && number < minimum) || (maximum !== undefined && number > maximum)) return undefined;
    return type === 'integer' ? Math.round(number) : number;
  };
  const { ref } = useStroke<HTMLInputElement>(path, parse);
  useShown(ref, value === undefined || value === null ? '' : String(round(Number(value))));
  return (
    <span className="number">
      <input ref={ref} type="number" min={minimum} max={maximum} step="any" aria-label={wordsCell.get().title(field.title)} data-testid={`number:${field.name}`} />
      {field.schema['x-unit'] && <i>{field.schema['x-unit']}</i>}
    </span>
  );
}

const round = (number: number): number => Math.round(number * 1e6) / 1e6;

function TextEntry({ path, field, value }: ControlProps): ReactElement {
  const { ref } = useStroke<HTMLInputElement>(path, (entry) => (entry.value === '' && field.required ? undefined : entry.value));
  useShown(ref, String(value ?? ''));
  return <input ref={ref} type="text" maxLength={field.schema.maxLength} aria-label={wordsCell.get().title(field.title)} data-testid={`text:${field.name}`} />;
}

function TextArea({ path, field, value }: ControlProps): ReactElement {
  const { ref } = useStroke<HTMLTextAreaElement>(path, (entry) => entry.value);
  useShown(ref, String(value ?? ''));
  return <textarea ref={ref} rows={2} maxLength={field.schema.maxLength} aria-label={wordsCell.get().title(field.title)} data-testid={`text:${field.name}`} />;
}

function ColorEntry({ path, field, value }: ControlProps): ReactElement {
  const words = useWords();
  const { ref } = useStroke<HTMLInputElement>(path, (entry) => entry.value);
  useShown(ref, String(value ?? '#808080'));
  return (
    <label className="color">
      <input ref={ref} type="color" aria-label={wordsCell.get().title(field.title)} data-testid={`color:${field.name}`} data-automatic={value === undefined || value === null || undefined} />
      <span>{value === undefined || value === null ? words.automatic : String(value)}</span>
    </label>
  );
}

function Checkbox({ path, field, value }: ControlProps): ReactElement {
  const { editing } = useDesk();
  return (
    <label className="switch">
      <input type="checkbox" checked={value === true} onChange={(event) => editing.set(path, event.target.checked)}
        aria-label={wordsCell.get().title(field.title)} data-testid={`checkbox:${field.name}`} />
      <b />
    </label>
  );
}

function Select({ path, field, value }: ControlProps): ReactElement {
  const { editing, store } = useDesk();
  const words = useWords();
  const table = field.schema['x-sql']?.references;
  const [options, setOptions] = useState<[string, string][]>([]);
  useEffect(() => {
    if (!table) { setOptions((field.schema.enum ?? []).map((name) => [name, name])); return undefined; }
    const read = (): void => setOptions(((store.peek(table) ?? []) as { id: string; title?: string; name?: string }[]).map((row) => [row.id, row.title ?? row.name ?? row.id]));
    read();
    return store.subscribe(table, read);
  }, [store, table, field]);
  return (
    <select value={String(value ?? '')} onChange={(event) => editing.set(path, event.target.value === '' ? null : event.target.value)}
      aria-label={wordsCell.get().title(field.title)} data-testid={`select:${field.name}`}>
      {field.default === undefined && !field.required && <option value="">{words.none}</option>}
      {options.map(([key, title]) => <option key={key} value={key}>{title}</option>)}
    </select>
  );
}

export const Control = memo(function Control(props: ControlProps): ReactElement | null {
  switch (props.field.control) {
    case 'slider': return <Slider {...props} />;
    case 'number': return <NumberEntry {...props} />;
    case 'checkbox': return <Checkbox {...props} />;
    case 'select': return <Select {...props} />;
    case 'color': return <ColorEntry {...props} />;
    case 'textarea': return <TextArea {...props} />;
    case 'hidden': return null;
    default: return <TextEntry {...props} />;
  }
});
