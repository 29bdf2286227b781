import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createShares } from '../../src/firewall/shares.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';

/** A pinhole of these letters, each an atom. */
function pinhole(letters: string): Pinhole {
  return {
    id: letters,
    direction: 'in',
    protocol: 'udp',
    sources: 'any',
    sourcePort: null,
    address: '192.0.2.1',
    ports: [4000, 4000],
    translation: null,
    kind: null,
    media: '',
    label: letters,
  };
}

const newShares = () =>
  createShares(
    ({ label }) => [...label],
    (letter) => letter,
  );

describe('shares of pinholes in what a packet filter holds', () => {
  it('adds an atom for the first that has it, and removes it with the last', () => {
    const shares = newShares();
    const [ab, bc] = [pinhole('ab'), pinhole('bc')];
    const steps = [
      { open: [ab], close: [] },
      { open: [bc], close: [] },
      { open: [], close: [ab] },
      { open: [ab], close: [bc] },
      { open: [], close: [ab] },
    ].map((change) => {
      const { added, removed, done } = shares.plan(change);
      done();
      return [added.join(''), removed.join('')];
    });
    assert.deepEqual(steps, [
      ['ab', ''],
      ['c', ''],
      ['', 'a'],
      ['a', 'c'],
      ['', 'ab'],
    ]);
    assert.equal(shares.isHeld('b'), false);
  });

  it('remembers nothing of a change that the filter refused', () => {
    const shares = newShares();
    shares.plan({ open: [pinhole('ab')], close: [] });
    assert.deepEqual(shares.holdings(), []);
    assert.deepEqual(shares.plan({ open: [pinhole('b')], close: [] }).added, ['b']);
  });

  it('refuses a pinhole that is open, and knows nothing of one that is not', () => {
    const shares = newShares();
    shares.plan({ open: [pinhole('ab')], close: [] }).done();
    assert.throws(() => shares.plan({ open: [pinhole('c'), pinhole('ab')], close: [] }), /open already: ab/);
    const { removed } = shares.plan({ open: [], close: [pinhole('bc')] });
    assert.deepEqual(removed, []);
  });

  it('closes with the atoms that a pinhole was opened with, whatever they would be by now', () => {
    let suffix = '1';
    const shares = createShares(
      ({ label }) => [label + suffix],
      (atom) => atom,
    );
    shares.plan({ open: [pinhole('a')], close: [] }).done();
    suffix = '2';
    assert.deepEqual(shares.plan({ open: [], close: [pinhole('a')] }).removed, ['a1']);
  });

  it('works atoms that never change out again, of the pinhole that was opened', () => {
    const shares = createShares(
      ({ label }) => [...label],
      (atom) => atom,
      { isFixed: true },
    );
    shares.plan({ open: [pinhole('ab'), pinhole('bc')], close: [] }).done();
    assert.deepEqual(
      shares.holdings().map(({ atoms }) => atoms),
      [
        ['a', 'b'],
        ['b', 'c'],
      ],
    );
    const { removed, done } = shares.plan({ open: [], close: [{ ...pinhole('ab'), label: 'xyz' }] });
    assert.deepEqual(removed, ['a']);
    done();
    assert.deepEqual(['a', 'b', 'c'].map(shares.isHeld), [false, true, true]);
  });

  it('goes on from a listing', () => {
    const shares = newShares();
    shares.plan({ open: [pinhole('ab')], close: [] }).done();
    shares.adopt([
      { pinhole: pinhole('bc'), atoms: ['b', 'c'] },
      { pinhole: pinhole('bc'), atoms: ['x'] },
      { pinhole: pinhole('c'), atoms: ['c'] },
    ]);
    assert.deepEqual(
      shares.holdings().map(({ pinhole: { id } }) => id),
      ['bc', 'c'],
    );
    assert.deepEqual(
      shares.pinholes().map(({ id }) => id),
      ['bc', 'c'],
    );
    assert.deepEqual(['a', 'b', 'c', 'x'].map(shares.isHeld), [false, true, true, false]);
    assert.deepEqual(shares.plan({ open: [], close: [pinhole('bc')] }).removed, ['b']);
  });

  it('leaves in the filter exactly what some open pinhole has, whatever comes and goes', () => {
    const letters = fc.uniqueArray(fc.constantFrom(...'abcdef'), { minLength: 1, maxLength: 4 });
    const toggles = fc.array(
      fc.record({ names: fc.array(letters, { minLength: 1, maxLength: 4 }), refused: fc.boolean() }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(toggles, (steps) => {
        const shares = newShares();
        const filter = new Set<string>();
        const open = new Set<string>();
        for (const { names, refused } of steps) {
          const chosen = [...new Set(names.map((name) => name.sort().join('')))];
          const change = {
            open: chosen.filter((name) => !open.has(name)).map(pinhole),
            close: chosen.filter((name) => open.has(name)).map(pinhole),
          };
          const { added, removed, done } = shares.plan(change);
          if (refused) continue;
          for (const atom of added) {
            assert.equal(filter.has(atom), false);
            filter.add(atom);
          }
          for (const atom of removed) assert.equal(filter.delete(atom), true);
          done();
          for (const { id } of change.open) open.add(id);
          for (const { id } of change.close) open.delete(id);
          assert.deepEqual([...filter].sort(), [...new Set([...open].flatMap((name) => [...name]))].sort());
        }
      }),
    );
  });
});
