import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pfRules } from '../../src/commands/rules/pf.ts';
import { loadConfig } from '../../src/config/load.ts';

function linesFor(text: string): string[] {
  const loaded = loadConfig(text, 'f');
  assert.ok('settings' in loaded);
  return pfRules(loaded.settings, null, ['em1']).split('\n');
}

describe('the lines for pf.conf(5)', () => {
  for (const [tcpMedia, protocols] of [
    [false, 'udp'],
    [true, '{ tcp udp }'],
  ] as const) {
    it(`let pass what pinholes tag: ${protocols}`, () => {
      const lines = linesFor(`tcp-media: ${tcpMedia}\nfreebsd: {tag: voip}`);
      assert.ok(lines.includes(`pass quick proto ${protocols} tagged voip`));
      assert.ok(lines.some((line) => line.startsWith(`anchor "pinholed" proto ${protocols} to port`)));
    });
  }

  it('have none for tags where there are none', () => {
    assert.ok(!linesFor('tcp-media: true').some((line) => line.includes('tagged')));
  });
});
