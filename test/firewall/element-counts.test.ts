import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createElementCounts, NO_FLOW } from '../../src/firewall/nftables/element-counts.ts';

const SIZE = 16;

/** A key of its own for each number. */
function keyOf(number: number): Buffer {
  const key = Buffer.alloc(SIZE);
  key.writeUInt32LE(17);
  key.writeUInt32BE(Math.imul(number, 0x9e3779b1) >>> 0, 4);
  key.writeUInt32BE(number, 8);
  return key;
}

describe('firewall/nftables/element-counts', () => {
  it('finds each of thousands by its key, with what it has counted, wherever the key lies', () => {
    const counts = createElementCounts(SIZE);
    const bytes = Buffer.concat(Array.from({ length: 5000 }, (_, number) => keyOf(number)));
    for (let number = 0; number < 5000; number++) {
      const place = counts.add(bytes, number * SIZE);
      assert.ok(place >= 0);
      counts.came(place, number, 2 ** 40 + number);
    }
    assert.equal(counts.size(), 5000);
    for (let number = 0; number < 5000; number += 7) {
      const place = counts.find(keyOf(number), 0);
      assert.deepEqual(
        [counts.packets(place), counts.bytes(place), counts.sent(place)],
        [number, 2 ** 40 + number, NO_FLOW],
      );
    }
    assert.equal(counts.find(keyOf(5000), 0), -1);
  });

  it('tells of a key that it has already, and of none of those before it was cleared', () => {
    const counts = createElementCounts(SIZE);
    assert.equal(counts.add(keyOf(1), 0) >= 0, true);
    assert.equal(counts.add(keyOf(1), 0), -1);
    for (let number = 2; number < 3000; number++) counts.add(keyOf(number), 0);
    for (const left of [2, 3, 4, 5]) {
      counts.clear();
      assert.equal(counts.size(), 0);
      assert.equal(counts.find(keyOf(left - 1), 0), -1);
      const place = counts.add(keyOf(left), 0);
      counts.came(place, left, 0);
      counts.went(place, 8);
      assert.deepEqual(
        [counts.find(keyOf(left), 0), counts.packets(place), counts.sent(place)],
        [place, left, 8],
      );
    }
  });
});
