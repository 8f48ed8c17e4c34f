/**
 * Faults of one value, found by an interpreter (no eval: pages may forbid it) and told as the server tells them: at the
 * property, a missing one at its own place, alternatives (`anyOf`) as one fault.
 */
import { validate, type OutputUnit, type Schema as CfSchema } from '@cfworker/json-schema';
import type { Tree } from '../api.js';
import { MANY, NAMED, ONE, join, type Document, type Schema } from '../contract/schema.js';

export interface Found {
  message: string;
  pointer: string;
}

/** The schemas of one contract, ready for the interpreter. */
export class Judge {
  private readonly ready = new WeakMap<Schema, CfSchema>();
  private readonly targets: Record<string, CfSchema> = Object.create(null);

  constructor(private readonly document: Document) {}

  /** `pointer` is where the value stands; those of the faults begin with it. */
  faults(schema: Schema, value: Tree, pointer: string): Found[] {
    const { valid, errors } = validate(plain(value), this.readied(schema), '2020-12', this.targets, false);
    if (valid) return [];
    const found = innermost(errors).slice(0, MOST).map((error) => ({ message: error.error, pointer: pointer + placeOf(error) }));
    // Each property too many is told with the object that has it.
    return found.filter((fault, at) => found.findIndex((other) => other.pointer === fault.pointer && other.message === fault.message) === at);
  }

  holds(schema: Schema, value: Tree): boolean {
    return validate(plain(value), this.readied(schema), '2020-12', this.targets, true).valid;
  }

  private readied(schema: Schema): CfSchema {
    let ready = this.ready.get(schema);
    if (ready === undefined) this.ready.set(schema, (ready = this.clean(schema) as CfSchema));
    return ready;
  }

  /** Formats are annotations, `x-` keywords are not ours to read; the targets of references are cleaned once each. */
  private clean(schema: unknown): unknown {
    if (typeof schema !== 'object' || schema === null) return schema;
    const copy: Schema = {};
    for (const [name, value] of Object.entries(schema)) {
      if (name === '$ref') this.target(value as string);
      if (IGNORED.has(name) || name.startsWith('x-')) continue;
      if (ONE.has(name)) copy[name] = this.clean(value);
      else if (MANY.has(name)) copy[name] = (value as unknown[]).map((inner) => this.clean(inner));
      else if (NAMED.has(name)) copy[name] = Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, this.clean(inner)]));
      else copy[name] = value;
    }
    return copy;
  }

  private target(ref: string): void {
    if (ref in this.targets) return;
    this.targets[ref] = {};
    this.targets[ref] = this.clean(this.document.at(decodeURIComponent(ref.slice(1)))) as CfSchema;
  }
}

/** As many faults of one value are worth telling. */
const MOST = 20;

/** Formats and all that only describes; keywords of older drafts, which this one does not read. */
const IGNORED = new Set(['dependencies', 'additionalItems', 'definitions', 'format', 'default', 'examples', '$id', '$schema', '$defs', '$comment', 'title', 'description']);

/** The interpreter knows no bigint; what is beyond a double's digits is judged by its nearest double. */
function plain(value: Tree): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** Keywords that only pass on what they found further in; the others speak for all they contain. */
const PASSING = new Set([
  '$ref', 'properties', 'patternProperties', 'items', 'prefixItems', 'additionalProperties', 'unevaluatedProperties', 'unevaluatedItems',
  'allOf', 'if', 'dependentSchemas',
]);

function innermost(errors: OutputUnit[]): OutputUnit[] {
  const kept: OutputUnit[] = [];
  let speaker: string | undefined;
  for (const [at, error] of errors.entries()) {
    if (error.keyword === 'false') continue;
    if (speaker !== undefined && error.keywordLocation.startsWith(speaker)) continue;
    speaker = undefined;
    if (!PASSING.has(error.keyword)) {
      kept.push(error);
      if (SPEAKING.has(error.keyword)) speaker = `${error.keywordLocation}/`;
    } else if (!passesOn(errors, at)) kept.push(error);
  }
  return kept;
}

const SPEAKING = new Set(['anyOf', 'oneOf', 'not', 'contains', 'propertyNames']);

/** Whether what follows stands below this error; `then` and `else` stand beside their `if`. */
function passesOn(errors: OutputUnit[], at: number): boolean {
  const next = errors[at + 1];
  if (next === undefined || next.keyword === 'false') return false;
  const { keyword, keywordLocation } = errors[at]!;
  return next.keywordLocation.startsWith(keyword === 'if' ? keywordLocation.slice(0, -'/if'.length) : keywordLocation);
}

/** A property that is missing has a place although nothing is there. */
function placeOf({ instanceLocation, keyword, error }: OutputUnit): string {
  const at = decodeURIComponent(instanceLocation.slice(1));
  const missing =
    keyword === 'required' ? /property "(.*)"\.$/s.exec(error)?.[1]
    : keyword === 'dependentRequired' ? /does not have "(.*)"\.$/s.exec(error)?.[1]
    : undefined;
  return missing === undefined ? at : join(at, missing);
}
