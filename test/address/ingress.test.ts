import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createIngressJudge, type Ingress, insideInterfaces, type Route } from '../../src/address/ingress.ts';
import { networks } from '../scene.ts';

const NAMES = ['lo', 'wan', 'lan', 'dmz', 'wg0', 'br0', 'eth1', 'new'];

/** `10.0.0.0/8 lan`, with `via` for a gateway, `local` for an own address. */
function ingress(lines: readonly string[], more: Partial<Ingress> = {}): Ingress {
  const routes = lines.map((line): Route => {
    const [text, through, kind = 'on-link'] = line.split(' ') as [string, string, Route['kind'] | undefined];
    return { network: networks(text)[0]!, interfaces: through.split(','), kind };
  });
  return {
    meant: new Map(NAMES.map((name, index) => [index + 1, [name]])),
    loopback: ['lo'],
    named: [],
    routes,
    routed: [...new Set(routes.flatMap(({ interfaces, kind }) => (kind === 'local' ? [] : interfaces)))],
    ...more,
  };
}

const at = (name: string) => NAMES.indexOf(name) + 1;

/** A router: an uplink, two networks on its links, a third behind a router, and a tunnel. */
const ROUTER = ingress([
  '0.0.0.0/0 wan gateway',
  '203.0.113.0/24 wan',
  '10.1.0.0/24 lan',
  '10.2.0.0/24 dmz',
  '10.3.0.0/16 lan gateway',
  '10.9.0.0/24 wg0',
  '10.1.0.1/32 lan local',
  '2001:db8:1::/64 lan',
  '::/0 wan gateway',
]);

describe('an inside address', () => {
  const table: readonly (readonly [
    what: string,
    ingress: Ingress,
    source: string,
    through: string,
    string,
  ])[] = [
    ['through the link it is on', ROUTER, '10.1.0.10', 'lan', 'inside'],
    ['through the uplink', ROUTER, '10.1.0.10', 'wan', 'spoofed'],
    ['of IPv6 through its link', ROUTER, '2001:db8:1::10', 'lan', 'inside'],
    ['of IPv6 through the uplink', ROUTER, '2001:db8:1::10', 'wan', 'spoofed'],
    ['on the link of another inside interface', ROUTER, '10.1.0.10', 'dmz', 'spoofed'],
    ['behind a router, through its route', ROUTER, '10.3.4.5', 'lan', 'inside'],
    ['behind a router, another way inside', ROUTER, '10.3.4.5', 'dmz', 'inside'],
    ['behind a router, through the uplink', ROUTER, '10.3.4.5', 'wan', 'spoofed'],
    ['of a tunnel, through it', ROUTER, '10.9.0.2', 'wg0', 'inside'],
    ['of a tunnel, through the uplink', ROUTER, '10.9.0.2', 'wan', 'spoofed'],
    ['without a route of its own, through the uplink', ROUTER, '10.77.0.1', 'wan', 'inside'],
    ['of this machine, from outside', ROUTER, '10.1.0.1', 'wan', 'spoofed'],
    ['of this machine, from its own link', ROUTER, '10.1.0.1', 'lan', 'spoofed'],
    ['of this machine, over loopback', ROUTER, '10.1.0.1', 'lo', 'inside'],
    ['through an interface that no route mentions', ROUTER, '10.1.0.10', 'new', 'unknown'],
    [
      'of the network of an uplink behind another router',
      ingress(['0.0.0.0/0 wan gateway', '192.168.178.0/24 wan', '192.168.1.0/24 lan']),
      '192.168.178.7',
      'wan',
      'inside',
    ],
    [
      'of another network, through an uplink that has an inside address',
      ingress(['0.0.0.0/0 wan gateway', '192.168.178.0/24 wan', '192.168.1.0/24 lan']),
      '192.168.1.7',
      'wan',
      'spoofed',
    ],
    [
      'that a VPN client with two halves of everything would take',
      ingress(['0.0.0.0/1 wg0', '128.0.0.0/1 wg0', '0.0.0.0/0 wan gateway', '10.1.0.0/24 lan']),
      '10.1.0.10',
      'wg0',
      'spoofed',
    ],
    [
      'through one of several next hops',
      ingress(['10.3.0.0/16 lan,dmz gateway', '0.0.0.0/0 wan gateway']),
      '10.3.0.9',
      'dmz',
      'inside',
    ],
    [
      'of a tunnel by policy, whose route leads through the uplink',
      ingress(['10.3.0.0/16 wan gateway', '0.0.0.0/0 wan gateway', '10.1.0.0/24 lan']),
      '10.3.0.9',
      'wan',
      'inside',
    ],
    [
      'where everything is reached by one interface',
      ingress(['0.0.0.0/0 br0 gateway']),
      '10.1.0.10',
      'br0',
      'inside',
    ],
    ['where there are no routes', ingress([]), '10.1.0.10', 'wan', 'unknown'],
    [
      'through an interface that is named',
      ingress([], { named: ['eth1', 'wg0'] }),
      '10.1.0.10',
      'wg0',
      'inside',
    ],
    ['through one that is not', ingress([], { named: ['eth1', 'wg0'] }), '10.1.0.10', 'lan', 'spoofed'],
    ['named or not, over loopback', ingress([], { named: ['eth1'] }), '10.1.0.1', 'lo', 'inside'],
    [
      'through a port of a bridge that has the addresses',
      ingress(['10.1.0.0/24 br0'], { meant: new Map([[7, ['eth1', 'br0']]]) }),
      '10.1.0.10',
      'eth1',
      'inside',
    ],
    [
      'through the port of a bridge that is named',
      ingress([], { named: ['eth1'], meant: new Map([[7, ['eth1', 'br0']]]) }),
      '10.1.0.10',
      'eth1',
      'inside',
    ],
  ];
  for (const [what, found, source, through, standing] of table) {
    it(`${what}: ${standing}`, () => {
      assert.equal(createIngressJudge(found)(source, at(through)), standing);
    });
  }

  it('on a packet made here, on one whose interface is not known, and where nothing is known', () => {
    const judge = createIngressJudge(ROUTER);
    assert.equal(judge('10.1.0.10', null), 'unknown');
    assert.equal(judge('10.1.0.10', 99), 'unknown');
    assert.equal(createIngressJudge(null)('10.1.0.10', at('wan')), 'unknown');
  });

  it('through a name that was cut: any of those it may mean is enough', () => {
    const vlans = {
      meant: new Map([
        ['igb0.10', ['igb0.10', 'igb0.100']],
        ['igb1', ['igb1']],
      ]),
    };
    const judge = createIngressJudge(ingress(['10.1.0.0/24 igb0.100', '0.0.0.0/0 igb1 gateway'], vlans));
    assert.equal(judge('10.1.0.10', 'igb0.10'), 'inside');
    assert.equal(judge('10.1.0.10', 'igb1'), 'spoofed');
  });

  it('of this machine, which pf hands over on its way out: it may have been translated', () => {
    const named = { meant: new Map([['em1', ['em1']]]) };
    assert.equal(createIngressJudge(ingress(['10.1.0.1/32 lo0 local'], named))('10.1.0.1', 'em1'), 'unknown');
  });
});

describe('the interfaces that lead inside', () => {
  it('are found with the networks behind them; of an uplink only those', () => {
    const found = insideInterfaces(
      ingress(['0.0.0.0/0 wan gateway', '10.8.0.0/24 wan', '10.1.0.0/24 lan', '10.3.0.0/16 lan gateway']),
    );
    assert.deepEqual(found, [
      { name: 'lan', uplink: false, networks: ['10.1.0.0/24', '10.3.0.0/16'] },
      { name: 'wan', uplink: true, networks: ['10.8.0.0/24'] },
    ]);
  });

  it('are those that are named, whatever the routes', () => {
    const found = insideInterfaces(
      ingress(['10.1.0.0/24 lan', '10.2.0.0/24 dmz'], { named: ['dmz', 'wg0'] }),
    );
    assert.deepEqual(
      found.map(({ name }) => name),
      ['dmz', 'wg0'],
    );
  });
});
