/** A model of three people: histories of drafts, undo, refusals, reconnects and a contract that changes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { differs, moved, overwritten, play, step } from './editors.js';

const HISTORIES = Number(process.env['FUZZ_HISTORIES'] ?? 40);

it(`converges and obeys the rule of undo in ${HISTORIES} histories of up to 120 steps (S17, U2, U3)`, async () => {
  const totals: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), async (steps) => {
      const world = await play(steps);
      try {
        expect(await differs(world)).toBe(undefined);
        expect(overwritten(world, world.server.history)).toBe(undefined);
        expect(await moved(world)).toBe(undefined);
        expect(await differs(world)).toBe(undefined);
        expect(overwritten(world, world.server.history)).toBe(undefined);
      } finally {
        world.close();
      }
      for (const [what, times] of Object.entries(world.did)) totals[what] = (totals[what] ?? 0) + times;
    }),
    { numRuns: HISTORIES, ...(process.env['FUZZ_SEED'] === undefined ? {} : { seed: Number(process.env['FUZZ_SEED']) }) },
  );
  console.info(JSON.stringify(totals));
  // A fuzz in which nothing goes wrong proves nothing.
  expect(Math.min(...Object.values(totals))).toBeGreaterThan(0);
}, 60_000 + HISTORIES * 2000);
