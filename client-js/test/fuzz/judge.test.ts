/** Random schemas and values: the client's judge says what an independent interpreter of JSON Schema says. */
import { Validator, type Schema as CfSchema } from '@cfworker/json-schema';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Tree } from '../../src/api.js';
import { Document } from '../../src/contract/schema.js';
import { Judge } from '../../src/validate/judge.js';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 60) * 20;

const name = fc.constantFrom('a', 'b', 'c', '__proto__', 'a/b');
const small = fc.integer({ min: 0, max: 3 });
const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, '', 'a', 'ab', 'é🌍', 0, 1, 2, 1.5, 0.3, -1, 1e21, 1e-7),
  fc.integer({ min: -4, max: 9 }),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof({ maxDepth: 2 }, scalar, fc.array(tie('value'), { maxLength: 3 }), fc.dictionary(name, tie('value'), { maxKeys: 3 })),
}));
const { schema } = fc.letrec<{ schema: unknown; object: unknown }>((tie) => {
  const inner = tie('schema');
  const named = fc.dictionary(fc.constantFrom('a', 'b', 'c'), inner, { maxKeys: 2 });
  const some = fc.array(inner, { minLength: 1, maxLength: 2 });
  return {
    schema: fc.oneof({ maxDepth: 3 }, { weight: 1, arbitrary: fc.boolean() }, { weight: 1, arbitrary: fc.constant({ $ref: '#/$defs/shared' }) }, { weight: 12, arbitrary: tie('object') }),
    object: fc.record({
      type: fc.oneof(fc.constantFrom('string', 'integer', 'number', 'boolean', 'null', 'array', 'object'), fc.constant(['string', 'null']), fc.constant(['integer', 'object'])),
      enum: fc.array(value, { minLength: 1, maxLength: 3 }), const: value,
      minimum: small, maximum: small, exclusiveMinimum: small, exclusiveMaximum: small, multipleOf: fc.constantFrom(1, 2, 0.1, 0.5, 3),
      minLength: small, maxLength: small, minItems: small, maxItems: small, minProperties: small, maxProperties: small,
      pattern: fc.constantFrom('^a', 'b$', '^.$', '\\p{L}'),
      required: fc.uniqueArray(name, { maxLength: 2 }), dependentRequired: fc.dictionary(fc.constantFrom('a', 'b'), fc.uniqueArray(name, { maxLength: 2 }), { maxKeys: 1 }),
      dependentSchemas: named, properties: named, patternProperties: fc.dictionary(fc.constantFrom('^a', 'b'), inner, { maxKeys: 1 }),
      additionalProperties: inner, propertyNames: inner, items: inner, prefixItems: some, allOf: some, anyOf: some, oneOf: some, not: inner, if: inner, then: inner, else: inner,
    }, { requiredKeys: [] }).map((made) => Object.fromEntries(Object.entries(made).filter((_, at, all) => all.length < 4 || at % 3 === 0))),
  };
});

it(`judges ${RUNS} random values by random schemas as another interpreter does (S42)`, () => {
  let wrong = 0;
  fc.assert(
    fc.property(schema, fc.oneof(scalar, value), (given, what) => {
      const document = { $defs: { shared: { type: ['string', 'object'], maxLength: 2 } }, allOf: [given] };
      const valid = new Validator(document as CfSchema, '2020-12', true).validate(what).valid;
      const judge = new Judge(new Document(document as Record<string, unknown>));
      expect(judge.faults(document as never, what as Tree, '/x').length === 0).toBe(valid);
      expect(judge.holds(document, what)).toBe(valid);
      if (!valid) wrong++;
    }),
    { numRuns: RUNS },
  );
  expect(Math.min(wrong, RUNS - wrong)).toBeGreaterThan(RUNS / 20);
});
