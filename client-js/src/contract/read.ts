/** Makes the model of a contract from its JSON Schema document (bundled, and checked by the server before it was stored). */
import type { Branch, Contract, List, Node, Table } from './model.js';
import { Document, isSchema, join, leafOf, propertiesOf, sqlOf, type Place, type Schema } from './schema.js';
import { blankOf } from './show.js';

export function readContract(document: Schema, hash: string): Contract {
  const reader = new Reader(new Document(document));
  return { hash, document, tables: reader.tables };
}

class Reader {
  readonly tables = new Map<string, Table>();

  constructor(private readonly document: Document) {
    for (const [name, schema] of propertiesOf(document.value)) {
      const place = document.follow(schema, join('/properties', name));
      if (place.schema.type === 'array') this.rows(name, place, undefined);
      else this.singleton(name, place);
    }
  }

  private singleton(name: string, place: Place): void {
    const table = emptyTable(name);
    table.singleton = true;
    table.key = table.own = ['_id'];
    table.types.set('_id', 'INTEGER');
    this.finish(table, place);
  }

  /** A table of the top level, or (with a parent) a nested list. */
  private rows(name: string, { schema, pointer }: Place, parent: Table | undefined): Table {
    const items = this.document.follow(isSchema(schema.items) ? schema.items : {}, `${pointer}/items`);
    const table = emptyTable(name);
    const sql = { ...sqlOf(items.schema), ...sqlOf(schema) };
    const hasId = propertiesOf(items.schema).some(([property]) => property === 'id');
    table.own = sql.key === undefined ? [hasId ? 'id' : '_id'] : ([sql.key].flat() as string[]);
    table.hidden = /^_(id|key)$/.test(table.own.join());
    table.key = [...(parent?.key ?? []).map((column) => `_parent.${column}`), ...table.own];
    table.parent = parent;
    table.order = (sql.order as string | undefined) ?? (parent ? '_order' : undefined);
    table.tree = sql.tree as string | undefined;
    table.minimum = (schema.minItems as number | undefined) ?? 0;
    table.maximum = schema.maxItems as number | undefined;
    for (const column of parent?.key ?? []) table.types.set(`_parent.${column}`, parent!.types.get(column)!);
    if (table.hidden) table.types.set(table.own[0]!, table.own[0] === '_id' ? 'TEXT' : 'INTEGER');
    if (table.order === '_order') table.types.set('_order', 'TEXT');
    return this.finish(table, items);
  }

  private finish(table: Table, place: Place): Table {
    this.tables.set(table.name, table);
    // Key columns come first, so that a child table can copy their types while its parent is still being read.
    for (const name of table.own) this.keyType(table, place.schema, name);
    this.fill(table, table.root, place);
    table.columns = [...new Set([...table.key, ...table.types.keys()])];
    settle(table.root, table.columns, true);
    return table;
  }

  private keyType(table: Table, schema: Schema, column: string): void {
    let property: Schema | undefined = schema;
    for (const name of column.split('.')) {
      const found: Schema | undefined = property && Object.fromEntries(propertiesOf(property))[name];
      property = found && this.document.follow(found, '').schema;
    }
    if (property !== undefined) table.types.set(column, leafOf(column, column, property, true).type);
  }

  private fill(table: Table, branch: Branch, { schema, pointer }: Place): void {
    branch.schema = schema;
    const required = new Set((schema.required ?? []) as string[]);
    for (const [name, inner] of propertiesOf(schema)) {
      const place = this.document.follow(inner, join(`${pointer}/properties`, name));
      branch.properties.set(name, this.node(table, branch, name, place, required.has(name)));
    }
  }

  private node(table: Table, above: Branch, name: string, place: Place, required: boolean): Node {
    const column = above.prefix ? `${above.prefix}.${name}` : name;
    if (this.document.flattens(place)) {
      const branch = emptyBranch(name, column);
      branch.sparse = !required;
      this.fill(table, branch, place);
      return branch;
    }
    if (this.document.isRows(place)) {
      const list: List = { kind: 'list', name, table: this.rows(`${table.name}.${column}`, place, table) };
      table.children.push(list);
      return list;
    }
    const leaf = leafOf(name, column, place.schema, required);
    table.types.set(column, leaf.type);
    return leaf;
  }
}

/** Fills in what follows from the properties: leaves, lists, whether the branch can be absent, what it is when blank. */
function settle(branch: Branch, columns: string[], root = false): void {
  for (const node of branch.properties.values()) {
    if (node.kind === 'branch') settle(node, columns);
    if (node.kind === 'leaf') node.index = columns.indexOf(node.column), branch.leaves.push(node);
    else if (node.kind === 'list') branch.lists.push(node);
    else branch.leaves.push(...node.leaves), branch.lists.push(...node.lists);
  }
  const needed = branch.leaves.some((leaf) => leaf.required && leaf.default === undefined);
  branch.sparse = !root && branch.sparse && needed;
  branch.blank = blankOf(branch);
}

function emptyTable(name: string): Table {
  return {
    name, singleton: false, key: [], own: [], columns: [], types: new Map(), hidden: false, order: undefined, tree: undefined,
    root: emptyBranch('', ''), parent: undefined, children: [], minimum: 0, maximum: undefined,
  };
}

function emptyBranch(name: string, prefix: string): Branch {
  return { kind: 'branch', name, prefix, schema: {}, properties: new Map(), sparse: false, leaves: [], lists: [], blank: undefined };
}
