import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { timeScale } from '../../src/report/page/browser/scale.ts';

const moments = fc.array(fc.double({ min: 0, max: 1000, noNaN: true }), { maxLength: 60 });
const GAP = 26;

test('time runs from left to right, moments keep their distance, and every place has its time', () => {
  fc.assert(
    fc.property(moments, fc.integer({ min: 300, max: 2000 }), (list, width) => {
      const scale = timeScale(list, 0, 1000, width, GAP);
      const places = [...list, 0, 1000].sort((a, b) => a - b).map(scale.x);
      for (const [index, place] of places.entries()) {
        if (index > 0) assert.ok(place >= places[index - 1]!);
        assert.ok(place >= 0 && place <= scale.width + 1e-6);
      }
      const inner = [...new Set(list.filter((at) => at > 0 && at < 1000))].sort((a, b) => a - b).map(scale.x);
      for (let i = 1; i < inner.length; i++) assert.ok(inner[i]! - inner[i - 1]! >= GAP - 1e-6);
      for (const at of list) assert.ok(Math.abs(scale.x(scale.time(scale.x(at))) - scale.x(at)) < 1e-6);
    }),
  );
});

test('without bursts the scale is proportional to time and says so', () => {
  const scale = timeScale([250, 500, 750], 0, 1000, 800, GAP);
  assert.deepEqual([0, 250, 500, 750, 1000].map(scale.x), [0, 200, 400, 600, 800]);
  assert.deepEqual(scale.stretched, []);
});

test('a burst is stretched, the rest stays proportional', () => {
  const scale = timeScale([0.001, 0.002, 0.003], 0, 100, 1000, GAP);
  assert.deepEqual(scale.stretched, [[0, 3 * GAP]]);
  assert.ok(Math.abs(scale.x(60) - scale.x(40) - (scale.x(40) - scale.x(20))) < 1e-6);
});

test('ticks are round times with room for their words', () => {
  const { ticks } = timeScale([0.001], 0, 3600, 900, GAP);
  assert.deepEqual(
    ticks.map(({ label }) => label),
    [
      '0',
      '5:00',
      '10:00',
      '15:00',
      '20:00',
      '25:00',
      '30:00',
      '35:00',
      '40:00',
      '45:00',
      '50:00',
      '55:00',
      '1:00:00',
    ],
  );
  for (const [index, tick] of ticks.entries()) {
    if (index > 0) assert.ok(tick.x - ticks[index - 1]!.x >= 45);
  }
});

test('a call of no length has a scale too', () => {
  const scale = timeScale([5, 5], 5, 5, 600, GAP);
  assert.ok(scale.width > 0 && Number.isFinite(scale.x(5)));
});
