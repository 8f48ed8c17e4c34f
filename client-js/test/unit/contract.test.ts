/** The vectors that the server's tests read too (tests/test_contract_trees.py). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Tree, Value } from '../../src/api.js';
import { quoted } from '../../src/capture/sql.js';
import { decodeValue, encodeValue, type Json } from '../../src/capture/wire.js';
import type { Contract } from '../../src/contract/model.js';
import { readContract } from '../../src/contract/read.js';
import type { Operation } from '../../src/core/types.js';
import type { Db } from '../../src/engine/types.js';
import { readItems } from '../../src/paths/read.js';
import { insertRow } from '../../src/paths/write.js';
import { RowRules } from '../../src/validate/rows.js';
import { ENGINES } from '../engines.js';
import { createSql } from '../fake/file.js';

interface TreeCase { name: string; contract: string; table: string; tree: Tree; rows: Record<string, Record<string, Json>[]>; shown: Tree }
interface CheckCase { name: string; contract: string; table: string; row: Record<string, Json>; pointers: string[] }

const file = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const vectors = (name: string): unknown => JSON.parse(file(`tests/vectors/${name}.json`));
const TREES = vectors('contract_trees') as TreeCase[];
const CHECKS = vectors('contract_checks') as CheckCase[];

const contractOf = (path: string): Contract => readContract(JSON.parse(file(path)) as Record<string, unknown>, path);

function empty(contract: Contract): Db {
  const db = ENGINES[0]!.open();
  for (const sql of createSql(contract)) db.exec(sql);
  return db;
}

function flat({ table, tree }: TreeCase, contract: Contract, db: Db): Operation[] {
  const operations: Operation[] = [];
  let counter = 0;
  const to = { db, apply: (operation: Operation) => void operations.push(operation), newId: () => `i${counter++}`, lastOrders: new Map() };
  insertRow(to, contract.tables.get(table)!, [], tree);
  return operations;
}

describe('a contract', () => {
  it.each(TREES)('stores and shows: $name (S41)', (given) => {
    const contract = contractOf(given.contract);
    const db = empty(contract);
    const rows: Record<string, Record<string, Json>[]> = {};
    for (const [, name, key, cells] of flat(given, contract, db)) {
      const table = contract.tables.get(name)!;
      const all = { ...Object.fromEntries(table.key.map((column, at) => [column, key[at]!])), ...cells };
      // The server's vectors leave out where a row of the top level stands; the client puts it at the end.
      if (table.order !== undefined && table.parent === undefined && !Object.hasOwn(given.tree as object, table.order)) delete all[table.order];
      (rows[name] ??= []).push(Object.fromEntries(Object.entries(all).map(([column, cell]) => [column, encodeValue(cell, table.types.get(column))])));
      const columns = Object.keys(all);
      db.run(`INSERT INTO ${quoted(name)}(${columns.map(quoted).join(',')}) VALUES(${columns.map(() => '?').join(',')})`, columns.map((column) => all[column]!));
    }
    expect(rows).toEqual(given.rows);
    expect(readItems(db, contract.tables.get(given.table)!, [])[0]!.tree).toEqual(given.shown);
  });

  it.each(CHECKS)('judges: $name (S42)', (given) => {
    const table = contractOf(given.contract).tables.get(given.table)!;
    const row = table.columns.map((column) => decodeValue(given.row[column] ?? null) as Value);
    const found = new RowRules(contractOf(given.contract)).faults(table, row);
    expect([...new Set(found.map((fault) => fault.pointer))].sort()).toEqual(given.pointers);
  });
});
