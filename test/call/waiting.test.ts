import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createWaiting } from '../../src/call/waiting.ts';

describe('calls that wait for a first answer', () => {
  const party = (key: string, pool = '') => ({ key, pool, most: 4, mostBytes: 100 });

  test('give way when there are too many: the oldest of the party with most of them', () => {
    const waiting = createWaiting<string>();
    for (const call of ['a1', 'b1', 'b2']) waiting.add(call, party(call[0]!), 1);
    assert.equal(waiting.surplus(party('c'), 1), undefined);
    waiting.add('a2', party('a'), 1);
    waiting.add('b3', party('b'), 1);
    assert.equal(waiting.surplus(party('c'), 1), 'b1');
    waiting.delete('b1');
    waiting.delete('b2');
    waiting.add('c1', party('c'), 1);
    assert.equal(waiting.surplus(party('c'), 1), 'a1');
  });

  test('give way when their descriptions are too long, all together', () => {
    const waiting = createWaiting<string>();
    waiting.add('a1', party('a'), 60);
    assert.equal(waiting.surplus(party('b'), 40), undefined);
    assert.equal(waiting.surplus(party('b'), 41), 'a1');
    waiting.delete('a1');
    assert.equal(waiting.surplus(party('b'), 400), undefined, 'there is nothing to give up');
    waiting.add('b1', party('b'), 1);
    waiting.add('b2', party('b'), 60);
    waiting.delete('b2');
    assert.equal(waiting.surplus(party('c'), 99), undefined, 'what has gone counts no more');
  });

  test('are of a pool, which is full by itself', () => {
    const waiting = createWaiting<string>();
    for (const call of ['1', '2', '3', '4']) waiting.add(call, party('x'), 1);
    assert.equal(waiting.surplus(party('itsp', 'itsp'), 1), undefined);
    for (const call of ['5', '6', '7', '8']) waiting.add(call, party('itsp', 'itsp'), 1);
    assert.equal(waiting.surplus(party('itsp', 'itsp'), 1), '5');
    assert.equal(waiting.surplus(party('y'), 1), '1');
    assert.equal(waiting.size(''), 4);
  });

  test('are counted right however they come and go', () => {
    const waiting = createWaiting<number>();
    const held = new Map<number, string>();
    let seed = 1;
    for (let i = 0; i < 5000; i++) {
      seed = (seed * 48271) % 2147483647;
      const [call, key] = [seed % 50, `p${seed % 7}`];
      if (held.has(call)) {
        assert.equal(waiting.delete(call), held.delete(call));
      } else {
        waiting.add(call, { key, pool: '', most: 1, mostBytes: 0 }, 0);
        held.set(call, key);
      }
      assert.equal(waiting.delete(-1), false);
      const counts = new Map<string, number>();
      for (const one of held.values()) counts.set(one, (counts.get(one) ?? 0) + 1);
      const most = Math.max(0, ...counts.values());
      const surplus = waiting.surplus({ key: 'new', pool: '', most: 1, mostBytes: 0 }, 0);
      assert.equal(surplus === undefined ? 0 : counts.get(held.get(surplus)!), most);
      assert.equal(waiting.size(''), held.size);
    }
  });
});
