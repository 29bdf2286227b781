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

  it('divert nothing where packets only pass by, and let SIP pass there', () => {
    const lines = linesFor('intercept: bpf\ninside-interfaces: [em1]');
    assert.ok(!lines.some((line) => /^(pass|anchor).*divert/.test(line)));
    assert.ok(lines.includes('pass quick on $inside proto { tcp udp } to port 5060'));
  });

  it('log what is dropped of media where that is looked at', () => {
    const logs = (text: string) => linesFor(text).filter((line) => line.startsWith('# block log'));
    const media = 'media-ports: [10000-19999]\n';
    assert.deepEqual(logs(media), []);
    assert.deepEqual(logs(`${media}blocked: {watch: true}`), ['# block log proto udp to port 10000:19999']);
    assert.deepEqual(logs(`${media}blocked: {watch: true, interface: pflog1}`), [
      '# block log (to pflog1) proto udp to port 10000:19999',
    ]);
  });

  it('keep the states of what they divert from the other firewalls', () => {
    const diverts = (text: string) => linesFor(text).filter((line) => /^pass .* divert-to /.test(line));
    const [alone, shared] = [diverts(''), diverts('peers-store: {url: "redis://10.9.0.1"}')];
    assert.ok(alone.length === 2 && !alone.some((line) => line.includes('no-sync')));
    for (const direction of ['in', 'out']) {
      const states = shared
        .filter((line) => line.startsWith(`pass ${direction} `))
        .map((line) => line.split(' to port ')[1]);
      assert.deepEqual(states, [
        '5060 keep state (no-sync) divert-to 8668',
        '5060 flags any keep state (no-sync, sloppy) divert-to 8668',
      ]);
    }
  });

  it('have none for tags where there are none', () => {
    assert.ok(!linesFor('tcp-media: true').some((line) => line.includes('tagged')));
  });
});
