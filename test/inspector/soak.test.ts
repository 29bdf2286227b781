import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { soak } from '../../lab/soak.ts';

describe('an hour of calls that end in every way, with reloads and kills, among peers that are not honest', () => {
  for (const seed of [1, 20_261_127]) {
    it(`leaves nothing behind (${seed})`, () => {
      const result = soak({ seed, hours: 1, callsPerHour: 400, reloads: 20, kills: 30 });
      const { calls, pinholesOpened, pinholesClosed, lost, strangers, outlived, left } = result;
      assert.deepEqual([result.reloads, result.kills], [19, 29]);
      assert.equal(result.misremembered, 0, 'pinholes after a kill');
      assert.equal(calls, 400);
      assert.ok(pinholesOpened > 100);
      assert.equal(pinholesClosed, pinholesOpened);
      assert.equal(lost, 0, 'media of the honest');
      assert.equal(strangers, 0, 'packets of strangers');
      assert.equal(outlived, 0, 'packets after the hang-up');
      assert.deepEqual(left, { calls: 0, pinholes: 0, rules: 0, flows: 0, timers: 0 });
    });
  }

  it('would see forged sources, were nothing to speak against them', () => {
    const { strangers } = soak({ seed: 1, hours: 1, callsPerHour: 100, believed: true });
    assert.ok(strangers > 0);
  });
});
