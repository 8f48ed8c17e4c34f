/** Whose work a difference is: the newest commit of somebody else that touched one of the cells, or nobody's (a rebase). */
import type { ChangeInfo } from '../api.js';
import { keyText, parseKeyText } from '../capture/wire.js';
import type { Commit, Touched } from '../core/types.js';
import type { About } from '../reactive/reactive.js';
import type { Hit } from '../reactive/watch.js';

export function* hitsOf(touched: Touched): Generator<Hit> {
  for (const [table, rows] of touched) for (const [text, columns] of rows) yield { table, key: parseKeyText(text), columns };
}

export function aboutBatch(commits: readonly Commit[], client: string): About {
  const foreign = new Map<string, { commit: Commit; columns: Set<string> | undefined }[]>();
  for (const commit of commits) {
    if (commit.id?.[0] === client) continue;
    for (const change of commit.changes) {
      const id = change[1] + keyText(change[2]);
      const columns = change[0] === 'u' ? new Set(Object.keys(change[3])) : undefined;
      const known = foreign.get(id);
      if (known === undefined) foreign.set(id, [{ commit, columns }]);
      else known.push({ commit, columns });
    }
  }
  return (hits) => {
    let newest = hits === undefined ? commits.findLast((commit) => commit.id?.[0] !== client) : undefined;
    for (const hit of hits ?? [])
      for (const { commit, columns } of foreign.get(hit.table + keyText(hit.key)) ?? [])
        if (touches(columns, hit.columns) && (newest === undefined || commit.v > newest.v)) newest = commit;
    return newest === undefined ? { origin: 'rebase' } : remote(newest);
  };
}

function touches(a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | 'row'): boolean {
  if (a === undefined || b === 'row') return true;
  for (const column of a) if (b.has(column)) return true;
  return false;
}

function remote({ v, by, tag }: Commit): Omit<ChangeInfo, 'paths'> {
  return { origin: 'remote', version: v, ...(by === undefined ? {} : { by }), ...(tag === undefined ? {} : { tag }) };
}
