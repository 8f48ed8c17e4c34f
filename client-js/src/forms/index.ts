/** Forms from the contract, without a framework. */
export { bindField, type Editor, type Field, type FieldOptions, type FieldState } from './bind.js';
export { fieldsAt, type FieldNode } from './fields.js';
