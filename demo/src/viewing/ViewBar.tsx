/** What the top bar says of a view: which version, what it took of the file, whether there is a newer one, how to edit. */
import { useEffect, useState, type ReactElement } from 'react';
import type { Traffic, Viewer } from 'sharelite/viewer';
import { useStatus } from 'sharelite/react';
import { useStudio } from '../app/context';
import { useWords } from '../app/words';

export function ViewBar({ viewer }: { viewer: Viewer }): ReactElement {
  return <><Newer viewer={viewer} /><Taken viewer={viewer} /><Edit viewer={viewer} /></>;
}

const megabytes = (bytes: number, language: string): string => (bytes / 1e6).toLocaleString(language, { maximumFractionDigits: bytes < 1e7 ? 1 : 0, minimumFractionDigits: bytes < 1e7 ? 1 : 0 });

function Taken({ viewer }: { viewer: Viewer }): ReactElement {
  const status = useStatus();
  const [traffic, setTraffic] = useState<Traffic>(viewer.traffic);
  useEffect(() => {
    setTraffic(viewer.traffic);
    return viewer.on('traffic', setTraffic);
  }, [viewer]);
  const { size } = viewer.image;
  const words = useWords();
  const title = status.problem?.message ?? words.takenHint(traffic.bytes.toLocaleString(words.language), size.toLocaleString(words.language));
  return (
    <span className="status" data-testid="status" data-connection={status.connection} data-version={status.version} data-engine={status.engine}
      data-bytes={traffic.bytes} data-requests={traffic.requests} data-size={size} title={title}>
      <i /><b>{words.readOnly}</b>
      <span>v{status.version.toLocaleString(words.language)}</span>
      <span className="taken" style={{ '--share': `${Math.min(100, (traffic.bytes / size) * 100)}%` } as React.CSSProperties}><u /></span>
      <span>{words.taken(megabytes(traffic.bytes, words.language), megabytes(size, words.language), traffic.requests)}</span>
    </span>
  );
}

function Newer({ viewer }: { viewer: Viewer }): ReactElement | null {
  const { say } = useStudio();
  const words = useWords();
  const [newer, setNewer] = useState(viewer.newer);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const look = (): void => setNewer(viewer.newer);
    look();
    const stops = [viewer.on('newer', look), viewer.on('status', look)];
    return () => stops.forEach((stop) => stop());
  }, [viewer]);
  if (!newer) return null;
  const go = (): void => {
    setBusy(true);
    viewer.refresh().catch((error: Error) => say(error.message, 'problem')).finally(() => { setBusy(false); setNewer(viewer.newer); });
  };
  return <button type="button" className="bar-button" disabled={busy} onClick={go} data-testid="newer">{words.showVersion(newer.version.toLocaleString(words.language))}</button>;
}

/** From the file to the live project: the rest is loaded, and the feed goes on from this version. */
function Edit({ viewer }: { viewer: Viewer }): ReactElement {
  const { say, joined } = useStudio();
  const words = useWords();
  const [share, setShare] = useState<number>();
  const join = (): void => {
    setShare(0);
    viewer.join({ progress: (here, of) => setShare(Math.floor((here / of) * 100)) })
      .then(joined, (error: Error) => { say(words.cannotEdit(error.message), 'problem'); setShare(undefined); });
  };
  return (
    <button type="button" className="bar-button" disabled={share !== undefined} onClick={join} title={words.editHint} data-testid="join">
      {share === undefined ? words.edit : words.loading(share)}
    </button>
  );
}
