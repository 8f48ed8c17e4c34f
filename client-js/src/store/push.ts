/** What a mutation is on the wire. */
import type { Expectation, WriteOptions } from '../api.js';
import { encodeChange, encodeKey, row, type Json } from '../capture/wire.js';
import type { Change, TableInfo } from '../core/types.js';
import { invalid } from '../errors.js';

type Tables = ReadonlyMap<string, TableInfo>;

const LONGEST_TAG = 256;

export function pushBody(contract: string, changes: readonly Change[], tables: Tables, options: WriteOptions): Record<string, unknown> {
  const { tag, missing, expect } = options;
  return {
    contract,
    changes: changes.map((change) => encodeChange(asked(change), tables.get(change[1])!.types)),
    ...(expect === undefined || expect.length === 0 ? {} : { expect: expect.map((item) => encodeExpectation(item, tables)) }),
    ...(missing === undefined ? {} : { missing }),
    ...(tag === undefined ? {} : { tag }),
  };
}

export function refuseOptions({ tag, missing }: WriteOptions): void {
  if (tag !== undefined && (typeof tag !== 'string' || tag.length > LONGEST_TAG)) throw invalid(`a tag is a text of at most ${LONGEST_TAG} characters`);
  if (missing !== undefined && missing !== 'refuse' && missing !== 'skip') throw invalid('missing is refuse or skip');
}

/** Old values are for us alone. */
function asked(change: Change): Parameters<typeof encodeChange>[0] {
  const [op, table, key, now] = change;
  return op === 'd' ? ['d', table, key] : [op, table, key, now];
}

function encodeExpectation(item: Expectation, tables: Tables): Json[] {
  const table = tables.get(item.table);
  if (table === undefined) throw invalid(`there is no table ${item.table}`);
  const key = encodeKey(item.key);
  if (item.kind === 'absent') return ['absent', item.table, key];
  if (item.kind === 'since') {
    if (!Number.isSafeInteger(item.version)) throw invalid('since names a version');
    return ['since', item.table, key, item.version];
  }
  const [, , , cells] = encodeChange(['s', item.table, item.key, row(Object.entries(item.cells))], table.types);
  return ['=', item.table, key, cells!];
}
