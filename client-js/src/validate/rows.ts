/**
 * Rows against the contract, judged as the server judges them: each cell, what is required, then the conditions between
 * properties (of cells that are right in themselves). Nested lists are left out: their items are rows of their own.
 */
import type { Tree, Value } from '../api.js';
import type { Branch, Contract, Leaf, Table } from '../contract/model.js';
import { Document } from '../contract/schema.js';
import { isBlank, showBranch, showLeaf, type Fields } from '../contract/show.js';
import { pointerTo } from '../contract/store.js';
import { Judge, type Found } from './judge.js';

/** Keywords of an object that look at several of its properties at once. */
const ACROSS = [
  'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentRequired', 'dependentSchemas', 'minProperties', 'maxProperties',
  'propertyNames', 'const', 'enum',
];

interface Condition { branch: Branch; schema: Record<string, unknown> }

export class RowRules {
  private readonly judge: Judge;
  private readonly conditions = new WeakMap<Table, Condition[]>();

  constructor(contract: Contract) {
    this.judge = new Judge(new Document(contract.document));
  }

  /** Every way in which a row, read with all columns of its table, breaks the contract. */
  faults(table: Table, row: readonly Value[]): Found[] {
    const found = this.required(table.root, row, true);
    let wrong = false;
    for (const leaf of table.root.leaves) {
      const faults = this.cell(leaf, row[leaf.index]!);
      wrong ||= faults.length > 0;
      found.push(...faults);
    }
    return wrong ? found : [...found, ...this.across(table, row)];
  }

  private cell(leaf: Leaf, cell: Value): Found[] {
    if (cell === null) return [];
    if (leaf.form === 'json' && !isJson(cell)) return [{ message: 'the text is not JSON', pointer: pointerOf(leaf.column) }];
    return this.judge.faults(leaf.schema, showLeaf(leaf, cell) as Tree, pointerOf(leaf.column));
  }

  private required(branch: Branch, row: readonly Value[], present: boolean): Found[] {
    present = branch.sparse ? !isBlank(branch, row) : present;
    return [...branch.properties.values()].flatMap((node) => {
      if (node.kind === 'branch') return this.required(node, row, present);
      if (node.kind === 'list' || !present || !this.isMissing(node, row)) return [];
      return [{ message: `${node.name} is required`, pointer: pointerOf(node.column) }];
    });
  }

  private isMissing(leaf: Leaf, row: readonly Value[]): boolean {
    if (!leaf.required || leaf.default !== undefined || row[leaf.index] !== null) return false;
    return !leaf.nullable || !this.judge.holds(leaf.schema, null);
  }

  private across(table: Table, row: readonly Value[]): Found[] {
    const conditions = this.conditionsOf(table);
    if (conditions.length === 0) return [];
    const tree = showBranch(table.root, row, () => undefined);
    return conditions.flatMap(({ branch, schema }) => {
      const value = branch.prefix === '' ? tree : branch.prefix.split('.').reduce<Tree | undefined>(inner, tree);
      return value === undefined ? [] : this.judge.faults(schema, value, pointerOf(branch.prefix));
    });
  }

  private conditionsOf(table: Table): Condition[] {
    let known = this.conditions.get(table);
    if (known === undefined) this.conditions.set(table, (known = conditionsIn(table.root)));
    return known;
  }
}

function isJson(cell: Value): boolean {
  try {
    return typeof cell === 'string' && (JSON.parse(cell), true);
  } catch {
    return false;
  }
}

function conditionsIn(branch: Branch): Condition[] {
  const asked = ACROSS.filter((keyword) => keyword in branch.schema).map((keyword) => [keyword, branch.schema[keyword]]);
  const own = asked.length > 0 ? [{ branch, schema: Object.fromEntries(asked) as Record<string, unknown> }] : [];
  return [...own, ...[...branch.properties.values()].flatMap((node) => (node.kind === 'branch' ? conditionsIn(node) : []))];
}

function inner(value: Tree | undefined, name: string): Tree | undefined {
  return value === undefined ? undefined : (value as Fields)[name];
}

function pointerOf(column: string): string {
  return column === '' ? '' : pointerTo(...column.split('.'));
}

