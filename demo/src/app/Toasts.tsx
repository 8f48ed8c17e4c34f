/** Short messages that go away by themselves: refused mutations above all. */
import { useEffect, useState, type ReactElement } from 'react';
import { Cell, useCell } from '../cell';

export interface Toast { id: number; message: string; kind: 'info' | 'problem' }

const SHOWN_MS = 6000, MOST = 4;

export class ToastList {
  readonly shown = new Cell<Toast[]>([]);
  private next = 1;

  readonly say = (message: string, kind: Toast['kind'] = 'info'): void => {
    this.shown.set([...this.shown.get(), { id: this.next++, message, kind }].slice(-MOST));
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
    const timer = setTimeout(() => list.dismiss(toast.id), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [held, list, toast.id]);
  return (
    <button type="button" className={`toast ${toast.kind}`} onClick={() => list.dismiss(toast.id)} onMouseEnter={() => hold(true)} onMouseLeave={() => hold(false)} data-testid="toast">
      {toast.message}
    </button>
  );
}
