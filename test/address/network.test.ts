import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatIPv4 } from '../../src/address/address.ts';
import { isCovered, networkHas, networksBetween, parseNetwork } from '../../src/address/network.ts';

const net = (text: string) => parseNetwork(text)!;
const address = (last: number) => formatIPv4(Uint8Array.of(192, 0, 2, last), 0);

describe('networks', () => {
  it('are covered by others that together have every address', () => {
    const both = [net('10.0.2.0/24'), net('10.0.3.0/24')];
    assert.equal(isCovered(net('10.0.2.0/23'), both), true);
    assert.equal(isCovered(net('10.0.3.7'), both), true);
    assert.equal(isCovered(net('10.0.0.0/22'), both), false);
    assert.equal(isCovered(net('2001:db8::/33'), [net('2001:db8::/32')]), true);
    assert.equal(isCovered(net('10.0.2.0/24'), [net('::/0')]), false);
    assert.equal(isCovered(net('10.0.2.0/24'), []), false);
  });

  it('make up exactly a range', () => {
    assert.deepEqual(
      networksBetween('192.0.2.7', '192.0.2.10').map(({ text }) => text),
      ['192.0.2.7/32', '192.0.2.8/31', '192.0.2.10/32'],
    );
    assert.deepEqual(
      networksBetween('::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff').map(({ text }) => text),
      ['::/0'],
    );
    assert.deepEqual(networksBetween('192.0.2.9', '192.0.2.7'), []);
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(byte, byte, byte, (one, other, probe) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        const networks = networksBetween(address(low), address(high));
        const has = networks.filter((network) => networkHas(network, address(probe))).length;
        assert.equal(has, low <= probe && probe <= high ? 1 : 0);
      }),
    );
  });
});
