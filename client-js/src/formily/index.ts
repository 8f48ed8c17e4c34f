/** formily on a store: its schema from the contract, its form on a row. */
export { bindForm, type BoundForm, type FieldData, type FormOptions } from './bind.js';
export { formilySchema, type FormilySchema, type SchemaOptions } from './schema.js';
