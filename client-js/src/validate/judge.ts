/**
 * Faults of one value by one schema, told as the server tells them: at the property, a missing one at its own place,
 * alternatives (`anyOf`, `oneOf`, `not`) as one fault. No eval: pages may forbid it.
 *
 * Only the keywords that contracts may use (SPEC C4) are here; the others describe, and are passed over.
 */
import type { Tree } from '../api.js';
import { canonical } from '../contract/canonical.js';
import { join, type Document, type Schema } from '../contract/schema.js';

export interface Found {
  message: string;
  pointer: string;
}

/** As many faults of one value are worth telling. */
const MOST = 20;

export class Judge {
  private readonly patterns = new Map<string, RegExp>();

  constructor(private readonly document: Document) {}

  /** `pointer` is where the value stands; those of the faults begin with it. */
  faults(schema: Schema, value: Tree, pointer: string): Found[] {
    const found: Found[] = [];
    this.judge(schema, plain(value), pointer, found);
    return found.slice(0, MOST);
  }

  holds(schema: unknown, value: unknown): boolean {
    const found: Found[] = [];
    this.judge(schema, plain(value), '', found);
    return found.length === 0;
  }

  private judge(schema: unknown, value: unknown, at: string, found: Found[]): void {
    if (schema === false) return void found.push({ message: 'nothing is allowed here', pointer: at });
    if (typeof schema !== 'object' || schema === null) return;
    for (const [keyword, asked] of Object.entries(schema)) {
      const message = Object.hasOwn(ALONE, keyword) ? ALONE[keyword]!(value, asked as never) : undefined;
      if (message !== undefined) found.push({ message, pointer: at });
      // What has another type can only be told so.
      if (message !== undefined && keyword === 'type') return;
    }
    this.combined(schema as Schema, value, at, found);
    if (typeof value === 'string') this.text(schema as Schema, value, at, found);
    else if (Array.isArray(value)) this.items(schema as Schema, value, at, found);
    else if (isObject(value)) this.object(schema as Schema, value, at, found);
  }

  private combined({ $ref, allOf, anyOf, oneOf, not, if: when, then, else: otherwise }: Schema, value: unknown, at: string, found: Found[]): void {
    const fault = (message: string): void => void found.push({ message, pointer: at });
    const fits = (schemas: unknown): number => (schemas as unknown[]).filter((schema) => this.holds(schema, value)).length;
    if ($ref !== undefined) this.judge(this.document.at(decodeURIComponent(($ref as string).slice(1))), value, at, found);
    for (const schema of (allOf ?? []) as unknown[]) this.judge(schema, value, at, found);
    if (anyOf !== undefined && fits(anyOf) === 0) fault('it fits none of the alternatives');
    if (oneOf !== undefined && fits(oneOf) !== 1) fault(`it fits ${fits(oneOf)} of the alternatives, not one`);
    if (not !== undefined && this.holds(not, value)) fault('it is what it must not be');
    if (when !== undefined) this.judge(this.holds(when, value) ? then : otherwise, value, at, found);
  }

  private text({ pattern }: Schema, value: string, at: string, found: Found[]): void {
    if (pattern === undefined || this.matches(pattern as string, value)) return;
    found.push({ message: `it does not match the pattern ${String(pattern)}`, pointer: at });
  }

  private items({ prefixItems = [], items }: Schema, value: unknown[], at: string, found: Found[]): void {
    const first = prefixItems as unknown[];
    for (const [n, item] of value.entries()) this.judge(n < first.length ? first[n] : items, item, `${at}/${n}`, found);
  }

  private object(schema: Schema, value: Schema, at: string, found: Found[]): void {
    const { required = [], dependentRequired = {}, dependentSchemas = {}, propertyNames } = schema;
    const names = Object.keys(value);
    const miss = (asked: unknown, message: (name: string) => string): void => {
      for (const name of asked as string[]) if (!Object.hasOwn(value, name)) found.push({ message: message(name), pointer: join(at, name) });
    };
    miss(required, (name) => `${name} is required`);
    for (const name of names) {
      if (Object.hasOwn(dependentRequired as object, name)) miss((dependentRequired as Schema)[name], (other) => `${other} is required beside ${name}`);
      if (Object.hasOwn(dependentSchemas as object, name)) this.judge((dependentSchemas as Schema)[name], value, at, found);
    }
    const wrong = propertyNames === undefined ? undefined : names.find((name) => !this.holds(propertyNames, name));
    if (wrong !== undefined) found.push({ message: `${wrong} is not allowed as a name`, pointer: at });
    this.properties(schema, value, at, found);
  }

  private properties({ properties = {}, patternProperties = {}, additionalProperties }: Schema, value: Schema, at: string, found: Found[]): void {
    for (const [name, inner] of Object.entries(value)) {
      const asked = Object.entries(patternProperties as Schema).flatMap(([pattern, schema]) => (this.matches(pattern, name) ? [schema] : []));
      if (Object.hasOwn(properties as object, name)) asked.push((properties as Schema)[name]);
      if (asked.length === 0 && additionalProperties === false) found.push({ message: `there is no property ${name} here`, pointer: at });
      else for (const schema of asked.length > 0 ? asked : [additionalProperties]) this.judge(schema, inner, join(at, name), found);
    }
  }

  private matches(pattern: string, text: string): boolean {
    let ready = this.patterns.get(pattern);
    if (ready === undefined) this.patterns.set(pattern, (ready = new RegExp(pattern, 'u')));
    return ready.test(text);
  }
}

type Rule = (value: unknown, asked: never) => string | undefined;

const number = (holds: (value: number, asked: number) => boolean, words: string): Rule => (value, asked) =>
  typeof value !== 'number' || holds(value, asked) ? undefined : `it must be ${words} ${asked}`;
const sized = (size: (value: unknown) => number | undefined, most: boolean, what: string): Rule => (value, asked) => {
  const has = size(value);
  return has === undefined || (most ? has <= asked : has >= asked) ? undefined : `it has ${has} ${what}, ${most ? 'at most' : 'at least'} ${asked as number} are allowed`;
};
/** In code points. */
const letters = (value: unknown): number | undefined => (typeof value === 'string' ? [...value].length : undefined);
const length = (value: unknown): number | undefined => (Array.isArray(value) ? value.length : undefined);
const count = (value: unknown): number | undefined => (isObject(value) ? Object.keys(value).length : undefined);

/** Keywords that look at the value alone. */
const ALONE: Record<string, Rule> = {
  type: (value, asked: string | string[]) => ([asked].flat().some((type) => isType(value, type)) ? undefined : `it must be ${[asked].flat().join(' or ')}`),
  enum: (value, asked: unknown[]) => (asked.some((one) => same(one, value)) ? undefined : `it must be one of ${JSON.stringify(asked).slice(0, 200)}`),
  const: (value, asked: unknown) => (same(asked, value) ? undefined : `it must be ${JSON.stringify(asked).slice(0, 200)}`),
  minimum: number((value, asked) => value >= asked, 'at least'),
  maximum: number((value, asked) => value <= asked, 'at most'),
  exclusiveMinimum: number((value, asked) => value > asked, 'more than'),
  exclusiveMaximum: number((value, asked) => value < asked, 'less than'),
  multipleOf: number(isMultiple, 'a multiple of'),
  minLength: sized(letters, false, 'characters'),
  maxLength: sized(letters, true, 'characters'),
  minItems: sized(length, false, 'items'),
  maxItems: sized(length, true, 'items'),
  minProperties: sized(count, false, 'properties'),
  maxProperties: sized(count, true, 'properties'),
};

function isType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  return type === 'object' ? isObject(value) : typeof value === type;
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && canonical(a) === canonical(b));
}

/** In decimal digits: 0.3 is a multiple of 0.1. */
function isMultiple(value: number, step: number): boolean {
  const [a, b] = [value, step].map((given) => {
    const [digits, exponent = '0'] = Math.abs(given).toString().split('e') as [string, string?];
    const point = digits.indexOf('.');
    return { digits: BigInt(digits.replace('.', '')), exponent: Number(exponent) - (point < 0 ? 0 : digits.length - point - 1) };
  }) as [Decimal, Decimal];
  const shift = BigInt(Math.abs(a.exponent - b.exponent));
  return (a.exponent > b.exponent ? (a.digits * 10n ** shift) % b.digits : a.digits % (b.digits * 10n ** shift)) === 0n;
}

interface Decimal { digits: bigint; exponent: number }

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is beyond a double's digits is judged by its nearest double. */
function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
