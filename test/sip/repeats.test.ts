import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { total, workOf } from '../work.ts';
import { COMPACT, HEADERS, message, UNITS } from './repeating.ts';

const { readSip } = await import('../../src/sip/read.ts');
const { createSipFramer } = await import('../../src/sip/stream.ts');

/** A value from a grammar of repeats: units, runs of them, and runs of runs. */
const repeats: fc.Arbitrary<string> = fc
  .array(
    fc
      .tuple(
        fc.array(fc.constantFrom(...UNITS), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 64 }),
      )
      .map(([units, times]) => units.join('').repeat(times)),
    { minLength: 1, maxLength: 4 },
  )
  .chain((runs) =>
    fc.integer({ min: 1, max: 24 }).map((times) => runs.join('').repeat(times).slice(0, 8000)),
  );

it('any value from a grammar of repeats, in any header, keeps to the budget (A43)', () => {
  fc.assert(
    fc.property(fc.constantFrom(...HEADERS, ...COMPACT), repeats, repeats, (header, one, two) => {
      const bytes = message({ headers: { [header]: one }, more: [`${header}: ${two}`], body: two });
      const work = workOf(() => {
        readSip(bytes);
        createSipFramer().push(bytes);
      });
      assert.ok(total(work) <= 40 * bytes.length + 20_000, `${total(work)} steps for ${bytes.length} bytes`);
      assert.deepEqual([...work.expressions.keys()], []);
    }),
    { numRuns: 200 },
  );
});
