/** A link for people who only want to look. */
import { useEffect, useRef, useState, type ReactElement } from 'react';
import { useDesk } from '../app/context';
import { useWords } from '../app/words';

export function Share(): ReactElement {
  const words = useWords();
  const [open, setOpen] = useState(false);
  const host = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => { if (!host.current!.contains(event.target as Node)) setOpen(false); };
    const escape = (event: KeyboardEvent): void => { if (event.key === 'Escape') setOpen(false); };
    window.addEventListener('pointerdown', outside, true);
    window.addEventListener('keydown', escape);
    return () => { window.removeEventListener('pointerdown', outside, true); window.removeEventListener('keydown', escape); };
  }, [open]);
  return (
    <span className="share" ref={host}>
      <button type="button" className="icon-button" aria-expanded={open} title={words.shareLink} aria-label={words.shareLink} onClick={() => setOpen(!open)} data-testid="share">
        <svg viewBox="0 0 16 16"><path d="M6.5 9.5a2.6 2.6 0 0 0 3.7 0l2.2-2.2a2.6 2.6 0 0 0-3.7-3.7l-.9.9M9.5 6.5a2.6 2.6 0 0 0-3.7 0L3.6 8.7a2.6 2.6 0 0 0 3.7 3.7l.9-.9" /></svg>
      </button>
      {open && <Link />}
    </span>
  );
}

function Link(): ReactElement {
  const { address } = useDesk();
  const words = useWords();
  const [copied, setCopied] = useState(false);
  const entry = useRef<HTMLInputElement>(null);
  const link = viewLink(address);
  useEffect(() => { entry.current!.select(); }, []);
  const copy = (): void => {
    entry.current!.select();
    // Only pages of secure origins have a clipboard; what is selected can be copied by hand everywhere.
    navigator.clipboard?.writeText(link).then(() => setCopied(true), () => undefined);
  };
  return (
    <div className="popover" role="dialog" aria-label={words.readOnlyLink} data-testid="share-link">
      <b>{words.readOnlyLink}</b>
      <p>{words.aboutLink}</p>
      <div><input ref={entry} type="text" readOnly value={link} aria-label={words.link} data-testid="link" /><button type="button" className="bar-button primary" onClick={copy} data-testid="copy">{copied ? words.copied : words.copy}</button></div>
    </div>
  );
}

function viewLink(project: string): string {
  const link = new URL(location.pathname, location.origin);
  link.search = `view&project=${encodeURIComponent(project)}`;
  return link.href;
}
