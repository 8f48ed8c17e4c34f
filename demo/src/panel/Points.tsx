/** The points of a route: a nested list, each point a row of its own. */
import { memo, type ReactElement } from 'react';
import { useProperty, useStudio } from '../app/context';
import type { RoutePoint } from '../scene/routeLayer';

export const Points = memo(function Points({ route }: { route: string }): ReactElement {
  const { world } = useStudio();
  const points = (useProperty(`${route}/points`) ?? []) as unknown as RoutePoint[];
  return (
    <section className="section">
      <div className="section-head"><span>Points</span><em className="changed-count">{points.length}</em></div>
      <ol className="points" data-testid="points">
        {points.map((point, k) => (
          <li key={point.id}>
            <button type="button" onClick={() => { const path = `${route}/points/${encodeURIComponent(point.id)}`; world.selected.set(path); world.goTo(path, 4); }} data-testid={`point:${point.id}`}>
              <b>{k + 1}</b><span>{point.name || 'Point'}</span><code>{point.lat.toFixed(3)}, {point.lon.toFixed(3)}</code>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
});
