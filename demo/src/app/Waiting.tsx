/** Before there is a scene: it is on its way, or why it is not, and what one can do then. */
import type { ReactElement } from 'react';
import { useWords } from './words';

export function Waiting({ failure }: { failure: string | undefined }): ReactElement {
  const words = useWords();
  if (failure === undefined) return <div className="opening" data-testid="opening"><i />{words.opening}</div>;
  return (
    <div className="opening failed" role="alert" data-testid="failed">
      <p>{words.cannotOpen}</p>
      <small>{failure}</small>
      <span>
        <button type="button" className="bar-button primary" onClick={() => location.reload()} data-testid="again">{words.again}</button>
        <a className="bar-button" href="../" data-testid="all-projects">{words.allProjects}</a>
      </span>
    </div>
  );
}
