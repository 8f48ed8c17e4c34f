/** Short messages that go away by themselves: refused mutations above all. */
import { useEffect, useState, type ReactElement } from 'react';
import { Cell, useCell } from '../cell';

export interface Action { label: string; act: () => void }
export interface Toast { id: number; message: string; kind: 'info' | 'problem'; action?: Action | undefined }
/** Gives what takes it away again. Of those with something to do only the newest is shown. */
export type Say = (message: string, kind?: Toast['kind'], action?: Action) => () => void;

/** Milliseconds; who is to do something needs time to read and to get there, by keyboard too. */
const SHOWN_MS = 6000, WITH_ACTION_MS = 20_000, MOST = 4;

export class ToastList {
  readonly shown = new Cell<Toast[]>([]);
  private next = 1;

  readonly say: Say = (message, kind = 'info', action) => {
    const id = this.next++;
    const others = this.shown.get().filter((toast) => !action || !toast.action);
    this.shown.set([...others, { id, message, kind, action }].slice(-MOST));
    return () => this.dismiss(id);
  };

  dismiss(id: number): void { this.shown.set(this.shown.get().filter((toast) => toast.id !== id)); }
}

export function Toasts({ list }: { list: ToastList }): ReactElement {
  const shown = useCell(list.shown);
  return <div className="toasts" aria-live="polite">{shown.map((toast) => <ToastItem key={toast.id} toast={toast} list={list} />)}</div>;
}

function ToastItem({ toast, list }: { toast: Toast; list: ToastList }): ReactElement {
  const [held, hold] = useState(false);
  useEffect(() => {
    if (held) return undefined;
    const timer = setTimeout(() => list.dismiss(toast.id), toast.action ? WITH_ACTION_MS : SHOWN_MS);
    return () => clearTimeout(timer);
  }, [held, list, toast]);
  const { id, message, kind, action } = toast;
  const hover = { onMouseEnter: () => hold(true), onMouseLeave: () => hold(false), onFocus: () => hold(true), onBlur: () => hold(false) };
  return (
    <div className={`toast ${kind}`} {...hover} data-testid="toast">
      <button type="button" onClick={() => list.dismiss(id)}>{message}</button>
      {action && <button type="button" className="toast-action" onClick={() => { list.dismiss(id); action.act(); }} data-testid="toast-action">{action.label}</button>}
    </div>
  );
}
