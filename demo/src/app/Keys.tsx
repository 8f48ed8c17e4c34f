/** What the keyboard does on the whole page, and undo and redo as buttons. */
import { useEffect, useSyncExternalStore, type ReactElement } from 'react';
import type { Left, Undo, Undone } from 'sharelite';
import { idIn, rowOf } from '../scene/paths';
import { useDesk, useStudio, type Desk, type Studio } from './context';
import { useWords, type Words } from './words';

const STEPS: Record<string, readonly [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function Keys(): null {
  const studio = useStudio();
  const words = useWords();
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => { if (!typing(event.target) && act(studio, words, event)) event.preventDefault(); };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [studio, words]);
  return null;
}

/** Fields have keys of their own, undo included. */
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== 'checkbox' && target.type !== 'range');
}

function act(studio: Studio, words: Words, event: KeyboardEvent): boolean {
  const { world, history } = studio;
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === 'z' && history) return tell(studio, words, event.shiftKey ? history.redo() : history.undo());
  if (command && event.key.toLowerCase() === 'y' && history) return tell(studio, words, history.redo());
  if (command || event.altKey) return false;
  if (event.key === 'Escape') return leave(studio, event);
  if (event.key === 'Delete' || event.key === 'Backspace') return remove(studio, words, world.group.all());
  const step = STEPS[event.key];
  if (!step || world.group.all().length === 0 || event.target instanceof HTMLInputElement) return false;
  const far = event.shiftKey ? 16 : 2;
  world.nudge(step[0] * far, step[1] * far);
  return true;
}

/** A hand on a control or on the map takes back what it does first; only then nothing is selected any more. */
function leave({ world }: Studio, { target, defaultPrevented }: KeyboardEvent): boolean {
  if (defaultPrevented || target instanceof HTMLInputElement) return false;
  world.group.rows.set([]);
  world.selected.set(undefined);
  return true;
}

const REMOVE = 'remove';

/** Everything that is given goes, as one step; after a point its route is looked at. It can be undone where it is told. */
export function remove(desk: Desk, words: Words, rows: readonly string[]): boolean {
  const { selection, editing, history, say } = desk;
  const paths = rows.filter((path) => !path.startsWith('scene') && !path.startsWith('layer/'));
  const [first] = paths;
  if (first === undefined) return false;
  if (!editing.tx((t) => paths.forEach((path) => t.delete(path)), REMOVE)) return true;
  selection.group.rows.set([]);
  selection.selected.set(paths.length > 1 || rowOf(first) === first ? undefined : rowOf(first));
  if (history && !editing.session.get()) {
    const dismiss = say(words.youRemoved(paths.length), 'info', { label: words.undo, act: () => { tell(desk, words, history.undo()); } });
    // Once something else was done, undo would take back that.
    const stop = history.subscribe(() => { if (history.undoTag !== REMOVE) { dismiss(); stop(); } });
  }
  return true;
}

function tell({ say }: Desk, words: Words, { left }: Undone): true {
  if (left.length > 0) say(leftWords(words, left), 'problem');
  return true;
}

function leftWords(words: Words, left: readonly Left[]): string {
  const [{ path, why }] = left as [Left];
  const more = left.length > 1 ? ` ${words.andMore(left.length - 1)}` : '';
  return `${words.notUndone(idIn(path) ?? path)} ${words.why[why]}${more}`;
}

export function UndoButtons({ history }: { history: Undo }): ReactElement {
  const desk = useDesk();
  const words = useWords();
  const [undo, redo] = useSyncExternalStore((told) => history.subscribe(told), () => `${history.canUndo},${history.canRedo}`).split(',');
  useEffect(() => history.subscribe((late) => { if (late.length > 0) desk.say(leftWords(words, late), 'problem'); }), [history, desk, words]);
  return (
    <span className="undo-buttons" role="group" aria-label={words.history}>
      <button type="button" className="icon-button" disabled={undo === 'false'} onClick={() => tell(desk, words, history.undo())} title={`${words.undo} (Ctrl+Z)`} aria-label={words.undo} data-testid="undo">
        <svg viewBox="0 0 16 16"><path d="M3.5 6.5h6a3 3 0 1 1 0 6H7M3.5 6.5 6 4M3.5 6.5 6 9" /></svg>
      </button>
      <button type="button" className="icon-button" disabled={redo === 'false'} onClick={() => tell(desk, words, history.redo())} title={`${words.redo} (Ctrl+Shift+Z)`} aria-label={words.redo} data-testid="redo">
        <svg viewBox="0 0 16 16"><path d="M12.5 6.5h-6a3 3 0 1 0 0 6H9M12.5 6.5 10 4M12.5 6.5 10 9" /></svg>
      </button>
    </span>
  );
}
