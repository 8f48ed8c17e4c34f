/** One control per kind of property. All write by the same three words: hold at the first touch, set, release at the end. */
import { useEffect, useRef, type CSSProperties, type ReactElement, type RefObject } from 'react';
import type { Tree } from 'sharelite';
import type { Field, FieldNode, FieldState } from 'sharelite/forms';
import { useWords } from '../app/words';
import { controlOf } from '../scene/fields';

/** What belongs together while a hand is on a control. */
export interface Hand { hold(): void; release(): void; abandon(): void }

export interface ControlProps { state: FieldState; node: FieldNode; field: Field; name: string; hand: Hand }

type Entry = HTMLInputElement | HTMLTextAreaElement;

/**
 * The browser's own `input` events come while a hand is on a control, `change` when it lets go. Everything between
 * belongs together: it is one commit.
 */
function useStroke<E extends Entry>({ field, hand }: ControlProps, parse: (entry: E) => Tree | undefined): { ref: RefObject<E | null> } {
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
      if (!held) hand.hold();
      held = true;
      field.set(value);
    };
    const end = (take: boolean) => (): void => {
      if (held) { if (take) hand.release(); else hand.abandon(); }
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
  }, [field, hand]);
  return { ref };
}

/** Shows the stored value, except while somebody types: half a number is not a number. */
function useShown<E extends Entry>(ref: RefObject<E | null>, value: string): void {
  useEffect(() => {
    const entry = ref.current!;
    if (document.activeElement !== entry || entry.type === 'range' || entry.type === 'color') entry.value = value;
    const blur = (): void => { entry.value = value; };
    entry.addEventListener('blur', blur);
    return () => entry.removeEventListener('blur', blur);
  });
}

function Slider(props: ControlProps): ReactElement {
  const { state: { value }, node, name } = props;
  const { minimum = 0, maximum = 1 } = node;
  const { ref } = useStroke<HTMLInputElement>(props, (entry) => entry.valueAsNumber);
  const shown = Number(value ?? node.default ?? minimum);
  useShown(ref, String(shown));
  const share = ((shown - minimum) / (maximum - minimum)) * 100;
  return (
    <span className="slider">
      <input ref={ref} type="range" min={minimum} max={maximum} step={stepOf(node)} defaultValue={shown} aria-label={useWords().title(node.title)}
        style={{ '--share': `${share}%` } as CSSProperties} data-testid={`slider:${name}`} />
      <NumberEntry {...props} />
    </span>
  );
}

function stepOf({ extra, step }: FieldNode): number | 'any' {
  const wish = extra['x-step'];
  return typeof wish === 'number' ? wish : step ?? 'any';
}

function NumberEntry(props: ControlProps): ReactElement {
  const { state: { value }, node, name } = props;
  const { minimum, maximum, kind, extra } = node;
  const parse = (entry: HTMLInputElement): number | undefined => {
    const number = entry.valueAsNumber;
    if (!Number.isFinite(number) || (minimum !== undefined && number < minimum) || (maximum !== undefined && number > maximum)) return undefined;
    return kind === 'integer' ? Math.round(number) : number;
  };
  const { ref } = useStroke<HTMLInputElement>(props, parse);
  useShown(ref, value === undefined || value === null ? '' : String(round(Number(value))));
  return (
    <span className="number">
      <input ref={ref} type="number" min={minimum} max={maximum} step="any" aria-label={useWords().title(node.title)} data-testid={`number:${name}`} />
      {typeof extra['x-unit'] === 'string' && <i>{extra['x-unit']}</i>}
    </span>
  );
}

const round = (number: number): number => Math.round(number * 1e6) / 1e6;

function TextEntry(props: ControlProps): ReactElement {
  const { state: { value }, node, name } = props;
  const { ref } = useStroke<HTMLInputElement>(props, (entry) => (entry.value === '' && node.required ? undefined : entry.value));
  useShown(ref, String(value ?? ''));
  return <input ref={ref} type="text" maxLength={node.longest} aria-label={useWords().title(node.title)} data-testid={`text:${name}`} />;
}

function TextArea(props: ControlProps): ReactElement {
  const { state: { value }, node, name } = props;
  const { ref } = useStroke<HTMLTextAreaElement>(props, (entry) => entry.value);
  useShown(ref, String(value ?? ''));
  return <textarea ref={ref} rows={2} maxLength={node.longest} aria-label={useWords().title(node.title)} data-testid={`text:${name}`} />;
}

function ColorEntry(props: ControlProps): ReactElement {
  const { state: { value }, node, name } = props;
  const words = useWords();
  const { ref } = useStroke<HTMLInputElement>(props, (entry) => entry.value);
  useShown(ref, String(value ?? '#808080'));
  const automatic = value === undefined || value === null;
  return (
    <label className="color">
      <input ref={ref} type="color" aria-label={words.title(node.title)} data-testid={`color:${name}`} data-automatic={automatic || undefined} />
      <span>{automatic ? words.automatic : String(value)}</span>
    </label>
  );
}

function Checkbox({ state, node, field, name }: ControlProps): ReactElement {
  return (
    <label className="switch">
      <input type="checkbox" checked={state.value === true} onChange={(event) => field.set(event.target.checked)}
        aria-label={useWords().title(node.title)} data-testid={`checkbox:${name}`} />
      <b />
    </label>
  );
}

/** One of the contract's choices, or of the rows that it may name. */
export function Select({ state, node, field, name, rows }: ControlProps & { rows?: readonly { [property: string]: Tree }[] }): ReactElement {
  const words = useWords();
  const choices = rows?.map(({ id, title, name: called }) => [String(id), String(title ?? called ?? id)]) ?? (node.choices ?? []).map((choice) => [String(choice), String(choice)]);
  return (
    <select value={String(state.value ?? '')} onChange={(event) => field.set(event.target.value === '' ? null : event.target.value)}
      aria-label={words.title(node.title)} data-testid={`select:${name}`}>
      {node.default === undefined && !node.required && <option value="">{words.none}</option>}
      {choices.map(([key, title]) => <option key={key} value={key}>{title}</option>)}
    </select>
  );
}

export function Control(props: ControlProps): ReactElement {
  switch (controlOf(props.node)) {
    case 'slider': return <Slider {...props} />;
    case 'number': return <NumberEntry {...props} />;
    case 'checkbox': return <Checkbox {...props} />;
    case 'select': return <Select {...props} />;
    case 'color': return <ColorEntry {...props} />;
    case 'textarea': return <TextArea {...props} />;
    default: return <TextEntry {...props} />;
  }
}
