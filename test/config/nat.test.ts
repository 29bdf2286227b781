import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatProblem, loadConfig, type Settings } from '../../src/config/load.ts';
import { printConfig } from '../../src/config/print.ts';

const machine = { hasInterface: (name: string) => name === 'em0' };

function load(text: string): Settings {
  const loaded = loadConfig(text, 'f.yaml', machine);
  assert.ok('settings' in loaded, 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n') : '');
  return loaded.settings;
}

function problems(text: string): string[] {
  const loaded = loadConfig(text, 'f.yaml', machine);
  assert.ok('problems' in loaded);
  return loaded.problems.map(formatProblem);
}

describe('docs/nat.md', () => {
  const text = readFileSync(new URL('../../docs/nat.md', import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/```yaml\n([^`]*)```/g)].map(([, block]) => block!);

  it('has only settings that can be used as they stand', () => {
    assert.equal(blocks.length, 4);
    for (const block of blocks) {
      const loaded = loadConfig(block, 'docs/nat.md');
      assert.ok('settings' in loaded, 'problems' in loaded ? loaded.problems.map(formatProblem).join() : '');
    }
  });
});

describe('the nat settings', () => {
  it('are read as the manual shows them, and printed so that they load again', () => {
    const settings = load(`
inside: [192.168.0.0/16]
nat:
  - external: 203.0.113.2
    hosts: [192.168.1.10]
    translation: pinhole
    arrives-at: 192.168.0.2
  - {external: interface:em0, hosts: [192.168.2.0/24]}
uplinks:
  - {interface: em0, gateway: 203.0.113.1}
outbound: true
freebsd: {anchor: userrules/pinholed, rdr-anchor: userrules/rdr, binat-anchor: pinholed}
`);
    const [first, second] = settings.nat;
    assert.deepEqual(first!.external, { address: '203.0.113.2' });
    assert.deepEqual(second!.external, { interface: 'em0' });
    assert.equal(first!.arrivesAt, '192.168.0.2');
    assert.deepEqual([first!.translation, second!.translation], ['pinhole', null]);
    assert.deepEqual(settings.uplinks, [{ interface: 'em0', gateway: '203.0.113.1' }]);
    assert.equal(settings.outbound, true);
    assert.equal(settings.freebsd.anchor, 'userrules/pinholed');
    assert.deepEqual(load(printConfig(settings)), settings);
  });

  it('are empty without a file, and nothing opens the way out', () => {
    const { nat, uplinks, outbound, freebsd } = load('');
    assert.deepEqual([nat, uplinks, outbound], [[], [], false]);
    assert.deepEqual([freebsd.anchor, freebsd.rdrAnchor, freebsd.binatAnchor], Array(3).fill('pinholed'));
  });

  const INSIDE = 'inside: [192.168.1.0/24, 2001:db8:1::/48]';
  const faults: Readonly<Record<string, readonly [lines: string, expected: RegExp]>> = {
    'an external address that is inside': [
      'nat: [{external: 192.168.1.77, hosts: [192.168.1.10]}]',
      /^f.yaml:2:18: nat\[0\]\.external: expected an address that is not inside \(192\.168\.1\.0\/24 is\)/,
    ],
    'a host that is not inside': [
      'nat: [{external: 203.0.113.2, hosts: [192.168.1.10, 10.0.0.1]}]',
      /^f.yaml:2:53: nat\[0\]\.hosts\[1\]: expected a host that is inside, found 10\.0\.0\.1/,
    ],
    'a network that is not wholly inside': [
      'nat: [{external: 203.0.113.2, hosts: [192.168.0.0/16]}]',
      /nat\[0\]\.hosts\[0\]: expected a host that is inside/,
    ],
    'a host of the other address family': [
      "nat: [{external: 203.0.113.2, hosts: ['2001:db8:1::5']}]",
      /nat\[0\]\.hosts\[0\]: expected a host of the family of 203\.0\.113\.2/,
    ],
    'one host behind one external address twice': [
      'nat:\n- {external: 203.0.113.2, hosts: [192.168.1.10]}\n- {external: 203.0.113.2, hosts: [192.168.1.0/24]}',
      /^f.yaml:4:3: nat\[1\]: expected hosts that no other mapping of 203\.0\.113\.2 has/,
    ],
    'no such interface': [
      'nat: [{external: interface:em7, hosts: [192.168.1.10]}]',
      /nat\[0\]\.external: expected an interface of this machine, found em7/,
    ],
    'no such uplink': [
      'uplinks: [{interface: em7, gateway: 203.0.113.1}]',
      /uplinks\[0\]\.interface: expected an interface of this machine, found em7/,
    ],
    'no external address': [
      'nat: [{hosts: [192.168.1.10]}]',
      /nat\[0\]\.external: expected an address, or interface: with the name of one, .* found nothing/,
    ],
    'everybody as external address': [
      'nat: [{external: 0.0.0.0, hosts: [192.168.1.10]}]',
      /nat\[0\]\.external: expected an address/,
    ],
    'another translation': [
      'nat: [{external: 203.0.113.2, hosts: [192.168.1.10], translation: full}]',
      /nat\[0\]\.translation: expected pinhole or ruleset, found "full"/,
    ],
    'an address to arrive at of the other family': [
      "nat: [{external: 203.0.113.2, hosts: [192.168.1.10], arrives-at: '2001:db8::1'}]",
      /nat\[0\]\.arrives-at: expected an address of the family of 203\.0\.113\.2/,
    ],
    'an anchor that is none': [
      'freebsd: {rdr-anchor: a//b}',
      /freebsd\.rdr-anchor: expected an anchor name, or a path of them such as userrules\/pinholed/,
    ],
  };
  for (const [name, [lines, expected]] of Object.entries(faults)) {
    it(`name a fault with its line and what was expected: ${name}`, () => {
      const found = problems(`${INSIDE}\n${lines}`);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0]!, expected);
    });
  }

  it('name a fault by its place in the file, behind what is at fault itself', () => {
    assert.deepEqual(
      problems(
        `${INSIDE}\nnat:\n- {external: 203.0.113.2, hosts: [x]}\n- y\n- {external: 203.0.113.3, hosts: [x, 10.0.0.1]}`,
      ).filter((problem) => problem.includes('inside')),
      ['f.yaml:5:38: nat[2].hosts[1]: expected a host that is inside, found 10.0.0.1/32'],
    );
  });

  it('ask for no interface where no machine is given: a capture is looked at anywhere', () => {
    assert.ok('settings' in loadConfig('nat: [{external: interface:em7, hosts: [192.168.1.10]}]', 'f.yaml'));
  });
});
