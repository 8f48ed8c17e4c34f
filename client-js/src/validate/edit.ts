/** What the server would refuse of an edit, found before it is sent: rows, lengths of lists, circles in trees. */
import type { Fault, Key } from '../api.js';
import { quoted } from '../capture/sql.js';
import { encodeKey, keyText, parseKeyText } from '../capture/wire.js';
import type { Contract, Table } from '../contract/model.js';
import { where } from '../contract/sql.js';
import type { Touched } from '../core/types.js';
import { StoreError } from '../errors.js';
import { readRow, type Source } from '../paths/read.js';
import { RowRules } from './rows.js';

interface Row { table: Table; key: Key; columns: Set<string> | 'row'; there: boolean }

export class EditRules {
  private readonly rows: RowRules;

  constructor(private readonly contract: Contract) {
    this.rows = new RowRules(contract);
  }

  /** Throws StoreError `invalid` or `cycle` with every place. */
  check(db: Source, touched: Touched): void {
    const rows: Row[] = [];
    const faults: Fault[] = [];
    for (const [name, keys] of touched) {
      const table = this.contract.tables.get(name);
      if (table === undefined) continue;
      for (const [text, columns] of keys) {
        const key = parseKeyText(text);
        const row = readRow(db, table, key);
        rows.push({ table, key, columns, there: row !== undefined });
        for (const fault of row === undefined ? [] : this.rows.faults(table, row))
          faults.push({ message: fault.message, table: name, key: encodeKey(key), pointer: fault.pointer });
      }
    }
    refuse(faults);
    if (rows.some((row) => row.columns === 'row')) refuse(lengths(db, rows));
    for (const row of rows) refuseCircle(db, row);
  }
}

function refuse(faults: Fault[]): void {
  const [first] = faults;
  if (first === undefined) return;
  const key = first.key === undefined ? '' : ` ${JSON.stringify(first.key)}`;
  throw new StoreError('invalid', `${first.table}${key}: ${first.pointer}: ${first.message}`, faults);
}

interface Counted { table: Table; parent: Key }

/** minItems and maxItems of tables that rows came to or went from, and of the nested lists of touched rows. */
function lengths(db: Source, rows: Row[]): Fault[] {
  const counted = new Map<string, Counted>();
  const count = (table: Table, parent: Key): void => {
    if (table.minimum > 0 || table.maximum !== undefined) counted.set(table.name + keyText(parent), { table, parent });
  };
  for (const { table, key, columns, there } of rows) {
    if (there) for (const list of table.children) count(list.table, key);
    if (columns === 'row') count(table, key.slice(0, key.length - table.own.length));
  }
  return [...counted.values()].flatMap((list) => lengthOf(db, list));
}

function lengthOf(db: Source, { table, parent }: Counted): Fault[] {
  if (table.parent !== undefined && readRow(db, table.parent, parent) === undefined) return [];
  const [count] = db.get(`SELECT count(*) FROM ${quoted(table.name)} WHERE ${where(table, parent.length)}`, parent) as [number];
  const few = count < table.minimum;
  if (!few && (table.maximum === undefined || count <= table.maximum)) return [];
  const limit = few ? `at least ${table.minimum}` : `at most ${table.maximum}`;
  const place = { table: table.name, pointer: `/${table.name.split('.').at(-1)}` };
  const message = `${table.name} would have ${count} items, it needs ${limit}`;
  return [parent.length === 0 ? { message, ...place } : { message, ...place, key: encodeKey(parent) }];
}

const DEEPEST = 10_000;

function refuseCircle(db: Source, { table, key, columns, there }: Row): void {
  if (table.tree === undefined || !there || !(columns === 'row' || columns.has(table.tree))) return;
  const [name, own, above] = [table.name, table.key[0]!, table.tree].map(quoted);
  const found = db.get(
    `WITH RECURSIVE up(k, depth) AS (SELECT ${above}, 1 FROM ${name} WHERE ${own}=?1 UNION ALL
     SELECT t.${above}, depth+1 FROM up JOIN ${name} t ON t.${own}=up.k WHERE up.k IS NOT ?1 AND depth<${DEEPEST})
     SELECT 1 FROM up WHERE k IS ?1 OR depth>=${DEEPEST} LIMIT 1`, key);
  if (found === undefined) return;
  const message = 'the row would be its own ancestor';
  const fault = { message, table: table.name, key: encodeKey(key), pointer: `/${table.tree.replaceAll('.', '/')}` };
  throw new StoreError('cycle', `${table.name} ${JSON.stringify(encodeKey(key))}: ${message}`, [fault]);
}
