/** What the top bar says of a view: which version, what it took of the file, whether there is a newer one, how to edit. */
import { useEffect, useState, type ReactElement } from 'react';
import type { Traffic, Viewer } from 'sharelite/viewer';
import { useStatus, useStudio } from '../app/context';

export function ViewBar({ viewer }: { viewer: Viewer }): ReactElement {
  return <><Newer viewer={viewer} /><Taken viewer={viewer} /><Edit viewer={viewer} /></>;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toLocaleString('en', { maximumFractionDigits: bytes < 1e7 ? 1 : 0, minimumFractionDigits: bytes < 1e7 ? 1 : 0 });

function Taken({ viewer }: { viewer: Viewer }): ReactElement {
  const status = useStatus();
  const [traffic, setTraffic] = useState<Traffic>(viewer.traffic);
  useEffect(() => {
    setTraffic(viewer.traffic);
    return viewer.on('traffic', setTraffic);
  }, [viewer]);
  const { size } = viewer.image;
  const title = status.problem?.message ?? `This page fetched ${traffic.bytes.toLocaleString('en')} of the file's ${size.toLocaleString('en')} bytes, as it needed them`;
  return (
    <span className="status" data-testid="status" data-connection={status.connection} data-version={status.version} data-engine={status.engine}
      data-bytes={traffic.bytes} data-requests={traffic.requests} data-size={size} title={title}>
      <i /><b>Read only</b>
      <span>v{status.version.toLocaleString('en')}</span>
      <span className="taken" style={{ '--share': `${Math.min(100, (traffic.bytes / size) * 100)}%` } as React.CSSProperties}><u /></span>
      <span>{megabytes(traffic.bytes)} of {megabytes(size)} MB, {traffic.requests} requests</span>
    </span>
  );
}

function Newer({ viewer }: { viewer: Viewer }): ReactElement | null {
  const { say } = useStudio();
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
  return <button type="button" className="bar-button" disabled={busy} onClick={go} data-testid="newer">Show version {newer.version.toLocaleString('en')}</button>;
}

/** From the file to the live project: the rest is loaded, and the feed goes on from this version. */
function Edit({ viewer }: { viewer: Viewer }): ReactElement {
  const { say, joined } = useStudio();
  const [share, setShare] = useState<number>();
  const join = (): void => {
    setShare(0);
    viewer.join({ progress: (here, of) => setShare(Math.floor((here / of) * 100)) })
      .then(joined, (error: Error) => { say(`This scene cannot be edited: ${error.message}`, 'problem'); setShare(undefined); });
  };
  return (
    <button type="button" className="bar-button" disabled={share !== undefined} onClick={join} title="Load the rest and go on live, from this version" data-testid="join">
      {share === undefined ? 'Edit' : `Loading ${share} %`}
    </button>
  );
}
