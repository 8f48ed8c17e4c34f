/** The points of a route: a nested list, each point a row of its own. */
import { memo, type ReactElement } from 'react';
import { useList } from 'sharelite/react';
import { useDesk } from '../app/context';
import { useWords } from '../app/words';
import type { RoutePoint } from '../scene/routeLayer';

export const Points = memo(function Points({ route }: { route: string }): ReactElement {
  const { selection } = useDesk();
  const words = useWords();
  const points = useList<RoutePoint>(`${route}/points`);
  return (
    <section className="section">
      <div className="section-head"><span>{words.points}</span><em className="changed-count">{points.length}</em></div>
      <ol className="points" data-testid="points">
        {points.map((point, k) => (
          <li key={point.id}>
            <button type="button" onClick={() => { const path = `${route}/points/${encodeURIComponent(point.id)}`; selection.selected.set(path); selection.goTo(path, 4); }} data-testid={`point:${point.id}`}>
              <b>{k + 1}</b><span>{point.name || words.point}</span><code>{point.lat.toFixed(3)}, {point.lon.toFixed(3)}</code>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
});
