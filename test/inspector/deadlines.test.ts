import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createDeadlines } from '../../src/inspector/deadlines.ts';

describe('deadlines', () => {
  test('of what was forgotten are never due, and those of others stay in order', () => {
    const deadlines = createDeadlines<number>();
    const keys = Array.from({ length: 1000 }, (_, key) => key);
    for (const key of keys) deadlines.arm(key, (key * 7919) % 1000);
    for (const key of keys) if (key % 10 !== 0) deadlines.disarm(key);
    const due: number[] = [];
    for (let one = deadlines.pop(1e9); one !== null; one = deadlines.pop(1e9)) due.push(one.at);
    const expected = keys.filter((key) => key % 10 === 0).map((key) => (key * 7919) % 1000);
    assert.deepEqual(
      due,
      expected.sort((a, b) => a - b),
    );
    assert.equal(deadlines.next(), Number.POSITIVE_INFINITY);
  });

  test('are those of a list that is searched', () => {
    const step = fc.record({
      what: fc.constantFrom('arm', 'arm', 'disarm', 'pop'),
      key: fc.integer({ min: 0, max: 7 }),
      at: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(Number.POSITIVE_INFINITY)),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const deadlines = createDeadlines<number>();
        const list = new Map<number, number>();
        for (const { what, key, at } of steps) {
          if (what === 'arm') {
            deadlines.arm(key, at);
            if (at < (list.get(key) ?? Number.POSITIVE_INFINITY)) list.set(key, at);
          } else if (what === 'disarm') {
            deadlines.disarm(key);
            list.delete(key);
          } else {
            const first = Math.min(Number.POSITIVE_INFINITY, ...list.values());
            const due = deadlines.pop(at);
            assert.equal(due?.at ?? null, first <= at && first < Number.POSITIVE_INFINITY ? first : null);
            if (due === null) continue;
            assert.equal(list.get(due.key), due.at);
            list.delete(due.key);
          }
          assert.equal(deadlines.next(), Math.min(Number.POSITIVE_INFINITY, ...list.values()));
        }
      }),
    );
  });
});
