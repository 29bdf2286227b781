import { it } from 'node:test';
import fc from 'fast-check';
import { ACTS, type Act, createWorld } from './world.ts';

/** More of them, and others, where somebody asks for that: PINHOLED_INTERLEAVINGS=10000 PINHOLED_SEED=7. */
const RUNS = Number(process.env.PINHOLED_INTERLEAVINGS ?? 60);
const SEED = Number(process.env.PINHOLED_SEED ?? 20);
const MOST_ACTS = 60;

/** Messages and what lets them come through are most of what happens. */
const WEIGHTS: Readonly<Partial<Record<Act['what'], number>>> = {
  message: 12,
  again: 4,
  back: 4,
  join: 4,
  turn: 4,
  deliver: 4,
  loop: 4,
  settle: 4,
  pass: 3,
  start: 3,
};

const act: fc.Arbitrary<Act> = fc.record({
  what: fc.oneof(...ACTS.map((what) => ({ arbitrary: fc.constant(what), weight: WEIGHTS[what] ?? 1 }))),
  which: fc.nat(1000),
  how: fc.nat(1000),
});

it('firewalls agree in the end, whatever happens to them and to their store', async () => {
  const worlds = fc.tuple(
    fc.integer({ min: 2, max: 4 }),
    fc.integer(),
    fc.array(act, { minLength: MOST_ACTS / 2, maxLength: MOST_ACTS, size: 'max' }),
  );
  await fc.assert(
    fc.asyncProperty(worlds, async ([count, seed, acts]) => {
      const world = createWorld(count, seed);
      try {
        await world.act({ what: 'settle', which: 0, how: 0 });
        for (const one of acts) await world.act(one);
        await world.finish();
      } finally {
        await world.end();
      }
    }),
    { numRuns: RUNS, seed: SEED, includeErrorInReport: true },
  );
});
