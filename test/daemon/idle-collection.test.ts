import assert from 'node:assert/strict';
import { it } from 'node:test';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { openIdleCollection } from '../../src/daemon/data-path/idle-collection.ts';

const MB = 1024 * 1024;

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')!.space_used_size;
}

/** Objects of some hundred bytes, and a list that holds on to them. */
function make(count: number): object[] {
  return Array.from({ length: count }, (_, n) => ({ n, text: `${n} ${'x'.repeat(40)}`, list: [n, n, n, n] }));
}

/** As many, to which nothing refers when this returns: most of them are old by then. */
function madeAndLeft(count: number): number {
  return make(count).length;
}

it('collects all of the heap when it has grown and no packet came for two seconds, once', () => {
  const collection = openIdleCollection()!;
  collection.passed(1, 0);
  const used = () => getHeapStatistics().used_heap_size;
  assert.equal(madeAndLeft(400_000), 400_000);
  const before = used();
  collection.rest(2000);
  assert.ok(used() > before - 8 * MB, 'it was collected while packets came');
  collection.rest(2001);
  assert.ok(used() < before - 32 * MB, `${before} bytes, then ${used()}`);
});

it('leaves a heap that would take long to V8', () => {
  const collection = openIdleCollection()!;
  const held = make(1_200_000);
  const used = () => getHeapStatistics().used_heap_size;
  assert.ok(used() > 192 * MB);
  collection.passed(1, 0);
  while (collection.isDue) collection.rest(1);
  assert.equal(madeAndLeft(100_000), 100_000);
  const before = used();
  collection.rest(2001);
  assert.ok(used() > before - 16 * MB, `${before} bytes, then ${used()}`);
  assert.equal(held.length, 1_200_000);
});

it('collects the young generation once packets have half filled it, and not before it is asked', () => {
  const collection = openIdleCollection()!;
  let now = 0;
  for (let packets = 0; !collection.isDue; packets++) {
    assert.ok(packets < 1_000_000, 'the young generation is never half full');
    make(10);
    collection.passed(1, now++);
  }
  const before = youngBytes();
  collection.rest(now);
  assert.ok(youngBytes() < before / 2, `${before} bytes, then ${youngBytes()}`);
  assert.equal(collection.isDue, false);
});
