import { expect, it } from 'vitest';
import { net } from '../../src/core/net.js';
import type { Change } from '../../src/core/types.js';
import { Real } from '../../src/engine/types.js';

const u = (cells: Record<string, number | null>, old: Record<string, number | null>): Change => ['u', 't', [1], cells, old];

it('merges updates of a row and leaves out what was put back (S10)', () => {
  expect(net([u({ a: 1 }, { a: 0 }), u({ b: 5 }, { b: 4 }), u({ a: 2 }, { a: 1 }), u({ b: 4 }, { b: 5 })])).toEqual([u({ a: 2 }, { a: 0 })]);
});

it('folds updates into the insert before them, without NULLs (S10)', () => {
  expect(net([['i', 't', [1], { a: 1, b: 2 }], u({ a: null, c: 3 }, { a: 1, c: null })])).toEqual([['i', 't', [1], { b: 2, c: 3 }]]);
});

it('deletes with the cells as they were before everything (S10)', () => {
  expect(net([u({ a: 1, b: null }, { a: null, b: 2 }), ['d', 't', [1], null, { a: 1, c: 3 }]])).toEqual([['d', 't', [1], null, { b: 2, c: 3 }]]);
});

it('sees no difference in a row that came back as it was (S10)', () => {
  expect(net([['d', 't', [1], null, { a: 1 }], ['i', 't', [1], { a: 2 }], u({ a: 1 }, { a: 2 })])).toEqual([]);
});

it('sees the difference between the integer 3 and the real 3 (S10)', () => {
  const change: Change = ['u', 't', [1], { a: new Real(3) }, { a: 3 }];
  expect(net([change])).toEqual([change]);
});

it('treats a column called __proto__ like any other (S10)', () => {
  const cells = Object.assign(Object.create(null) as Record<string, number>, { ['__proto__']: 1 });
  expect(Object.keys(net([['i', 't', [1], cells]])[0]![3]!)).toEqual(['__proto__']);
});

it('lets rows that stay go before rows that go (S10)', () => {
  const gone: Change = ['d', 't', [2], null, {}];
  expect(net([gone, u({ a: 1 }, { a: 0 })])).toEqual([u({ a: 1 }, { a: 0 }), gone]);
});
