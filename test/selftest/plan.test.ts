import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { type Choice, planFor } from '../../src/selftest/plan.ts';

const INTERFACES = [
  {
    name: 'lan0',
    addresses: [
      { address: '192.168.10.1', prefix: 24 },
      { address: 'fd00:10::1', prefix: 64 },
    ],
  },
  { name: 'wan0', addresses: [{ address: '198.51.100.2', prefix: 24 }] },
];
const isLocal = (address: string) => address.startsWith('192.168.10.') || address.startsWith('fd00:10:');

function planOf(config: string, choice: Partial<Choice> = {}) {
  const loaded = loadConfig(`inside: [192.168.10.0/24, fd00:10::/64]\n${config}`, 'test.yaml');
  assert.ok(loaded.ok);
  return planFor(loaded.settings, INTERFACES, (address) => (isLocal(address) ? 'lan0' : 'wan0'), {
    ...{ host: null, peer: null },
    ...choice,
  });
}

describe('who calls whom in a test call', () => {
  it('has a stranger that peers does not admit, where there is one', () => {
    assert.equal(planOf('').stranger, '203.0.114.66');
    assert.equal(planOf('peers: [203.0.114.66]').stranger, '203.0.114.10');
  });

  for (const [who, host, config] of [
    ['everybody', '192.168.10.2', 'peers: [0.0.0.0/0, "::/0"]'],
    ['everybody', 'fd00:10::2', 'peers: [0.0.0.0/0, "::/0"]'],
    ['everybody, as one party', '192.168.10.2', 'peers: [{ name: all, networks: [0.0.0.0/0] }]'],
    ['the network of every stranger', '192.168.10.2', 'peers: [203.0.114.0/24]'],
    ['the network of every stranger', 'fd00:10::2', 'peers: ["2a00:1234::/32"]'],
  ] as const) {
    it(`has a stranger beside the other party where peers admits ${who}, for ${host}`, () => {
      const { peer, stranger } = planOf(config, { host });
      assert.equal(typeof stranger, 'string');
      assert.equal(stranger.includes(':'), host.includes(':'));
      assert.notEqual(stranger, peer);
    });
  }

  it('has a stranger who is neither of the two, whoever they are', () => {
    const inside = 'media-ports: [10000-20000]\n';
    const { stranger } = planOf(inside, { host: '192.168.10.2', peer: '203.0.114.66' });
    assert.equal(stranger, '203.0.114.10');
    const loaded = loadConfig('inside: [192.168.10.0/24, 203.0.114.66]', 'test.yaml');
    assert.ok(loaded.ok);
    const plan = planFor(
      loaded.settings,
      INTERFACES,
      (address) => (isLocal(address) || address === '203.0.114.66' ? 'lan0' : 'wan0'),
      { host: '203.0.114.66', peer: null },
    );
    assert.deepEqual(
      [plan.host, plan.peer, plan.stranger],
      ['203.0.114.66', '203.0.114.10', '203.0.114.130'],
    );
  });

  it('calls an address that is of the network of peers, however narrow', () => {
    assert.equal(planOf('peers: [203.0.113.0/24]').peer, '203.0.113.1');
    assert.equal(planOf('peers: [203.0.113.254/31]').peer, '203.0.113.254');
    assert.equal(planOf('peers: ["2001:db8::fe/127"]', { host: 'fd00:10::2' }).peer, '2001:db8::fe');
  });
});
