import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countPacket, createDensity } from '../../src/report/replay/density.ts';

const START = 1_782_900_000_000;

const packets = fc
  .array(fc.tuple(fc.nat(100_000_000), fc.constantFrom('passed' as const, 'blocked' as const)), {
    minLength: 1,
    maxLength: 300,
  })
  .map((list) => list.sort(([a], [b]) => a - b));

function sum(counts: readonly number[], from: number, to: number): number {
  return counts.slice(from, to).reduce((total, one) => total + one, 0);
}

test('every packet is counted in the bucket of its time, whatever the length of the flow', () => {
  fc.assert(
    fc.property(packets, (list) => {
      const density = createDensity(START);
      for (const [after, outcome] of list) countPacket(density, START + after, outcome);
      for (const outcome of ['passed', 'blocked'] as const) {
        const counts = density[outcome];
        assert.ok(counts.length <= 128);
        for (let bucket = 0; bucket < 128; bucket++) {
          const expected = list.filter(
            ([after, what]) => what === outcome && Math.floor(after / density.width) === bucket,
          );
          assert.equal(counts[bucket] ?? 0, expected.length);
        }
        assert.equal(sum(counts, 0, 128), list.filter(([, what]) => what === outcome).length);
      }
    }),
  );
});

test('a frame that is older than the first of its flow counts as the first', () => {
  const density = createDensity(START);
  countPacket(density, START - 5, 'passed');
  assert.deepEqual(density.passed, [1]);
});

test('a short flow keeps 40 ms buckets, a long one at least 64 of them', () => {
  const short = createDensity(0);
  for (let at = 0; at < 5000; at += 20) countPacket(short, at, 'passed');
  assert.equal(short.width, 40);
  assert.deepEqual(new Set(short.passed), new Set([2]));
  const long = createDensity(0);
  for (let at = 0; at < 3_600_000; at += 20) countPacket(long, at, 'passed');
  assert.ok(long.passed.length > 64);
});
