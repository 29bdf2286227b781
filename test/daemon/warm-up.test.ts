import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { warmUp } from '../../src/daemon/data-path/warm-up.ts';
import { networks, settingsWith } from '../scene.ts';

describe('warm-up', () => {
  it('goes through whole calls, wherever inside is, and closes what they open', () => {
    for (const inside of ['any', networks('10.0.0.0/8')] as const) {
      const { opened, closed } = warmUp(settingsWith({ inside }));
      assert.ok(opened >= 6, `${opened} opened: two of each call at least`);
      assert.equal(closed, opened);
    }
  });
});
