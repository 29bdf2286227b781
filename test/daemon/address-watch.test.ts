import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Address } from '../../src/address/address.ts';
import { defaults } from '../../src/config/load.ts';
import { createAddressWatch, natInterfaces } from '../../src/daemon/address-watch.ts';
import type { InterfaceAddresses } from '../../src/policy/external.ts';

function watchOf(names: readonly string[], system: Map<string, readonly Address[]>) {
  const told: InterfaceAddresses[] = [];
  const lines: string[] = [];
  const watch = createAddressWatch({
    names: () => names,
    read: () => system,
    say: (_, text) => lines.push(text),
    changed: (addresses) => told.push(addresses),
  });
  watch.end();
  return { watch, told, lines };
}

describe('the addresses of interfaces that stand for inside hosts', () => {
  it('are told when they change, and only then', () => {
    const system = new Map([['em0', ['203.0.113.2']]]);
    const { watch, told, lines } = watchOf(['em0'], system);
    watch.look();
    assert.deepEqual(told, [{ em0: ['203.0.113.2'] }]);
    system.set('em0', ['203.0.113.9']);
    system.set('em1', ['192.0.2.1']);
    watch.look();
    assert.deepEqual(told.at(-1), { em0: ['203.0.113.9'] });
    assert.deepEqual(lines, [
      'nat: the external address of em0 is 203.0.113.2',
      'nat: the external address of em0 is 203.0.113.9, no longer 203.0.113.2',
    ]);
  });

  it('stay as they were while the interface has none', () => {
    const system = new Map<string, readonly Address[]>([['ppp0', ['203.0.113.2']]]);
    const { watch, told } = watchOf(['ppp0'], system);
    system.set('ppp0', []);
    watch.look();
    system.delete('ppp0');
    watch.look();
    assert.equal(told.length, 1);
    assert.deepEqual(watch.latest, { ppp0: ['203.0.113.2'] });
  });

  it('are missed aloud at the start', () => {
    const { lines, watch } = watchOf(['ppp0'], new Map());
    assert.deepEqual(watch.latest, { ppp0: [] });
    assert.deepEqual(lines, ['nat: ppp0 has no address yet']);
  });

  it('are looked for where `nat` names an interface, once each', () => {
    const mapping = { hosts: [], translation: null, arrivesAt: null };
    const nat = [
      { ...mapping, external: { interface: 'em0' } },
      { ...mapping, external: { address: '203.0.113.2' } },
      { ...mapping, external: { interface: 'em0' } },
    ];
    assert.deepEqual(natInterfaces({ ...defaults(), nat }), ['em0']);
  });
});
