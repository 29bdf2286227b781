import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { forEachRoute as forEachFreebsdRoute } from '../../native-bindings/freebsd/routes.ts';
import { forEachRoute, type LinuxRoute, listLinks } from '../../native-bindings/linux/routes.ts';
import { networkOf } from '../../src/address/network.ts';
import { readLinuxIngress } from '../../src/intercept/ingress/linux.ts';
import { networks } from '../scene.ts';
import { fakeFreebsd } from './fake-libc.ts';
import { enterNamespace, run, withoutRoot } from './namespace.ts';

describe('routes and interfaces of Linux, as ip(8) made them', { skip: withoutRoot }, () => {
  before(async () => {
    await enterNamespace();
    for (const name of ['lan0', 'wan0', 'port0']) {
      run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-peer`);
      run('ip', 'link', 'set', `${name}-peer`, 'up');
    }
    run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    run('ip', 'link', 'set', 'port0', 'master', 'br0');
    for (const name of ['lan0', 'wan0', 'port0', 'br0']) run('ip', 'link', 'set', name, 'up');
    run('ip', 'address', 'add', '10.1.0.1/24', 'dev', 'lan0');
    run('ip', 'address', 'add', '203.0.113.2/29', 'dev', 'wan0');
    run('ip', '-6', 'address', 'add', '2001:db8:1::1/64', 'dev', 'lan0', 'nodad');
    run('ip', 'route', 'add', 'default', 'via', '203.0.113.1');
    run('ip', 'route', 'add', '10.3.0.0/16', 'via', '10.1.0.2');
    run('ip', 'route', 'add', '10.4.0.0/16', 'dev', 'wan0', 'table', '220');
    run('ip', 'route', 'add', '10.5.0.0/16', 'nexthop', 'dev', 'lan0', 'nexthop', 'dev', 'br0');
    run('ip', 'route', 'add', 'blackhole', '10.6.0.0/16');
    run('ip', 'route', 'add', 'local', '10.7.0.0/16', 'dev', 'lo', 'table', '100');
  });

  it('every interface, with the bridge it belongs to', async () => {
    const links = listLinks(await loadLibc());
    const of = (name: string) => links.find((link) => link.name === name)!;
    assert.equal(of('port0').master, of('br0').index);
    assert.deepEqual([of('lo').isLoopback, of('lan0').isLoopback], [true, false]);
    const told = JSON.parse(run('ip', '-j', 'link')) as {
      readonly ifindex: number;
      readonly ifname: string;
    }[];
    assert.deepEqual(
      links.map(({ index, name }) => [index, name]),
      told.map(({ ifindex, ifname }) => [ifindex, ifname]),
    );
  });

  it('every route of every table, and none that refuses', async () => {
    const libc = await loadLibc();
    const names = new Map(listLinks(libc).map(({ index, name }) => [index, name]));
    const found: string[] = [];
    const describeRoute = ({ bytes, prefix, interfaces, isLocal, hasGateway }: LinuxRoute) => {
      const through = interfaces.map((index) => names.get(index)).join(',');
      const kind = isLocal ? ' local' : hasGateway ? ' gateway' : '';
      return `${networkOf(bytes, prefix).text} ${through}${kind}`;
    };
    forEachRoute(libc, (route) => found.push(describeRoute(route)));
    const ours = found.filter((line) => /^(0\.|10\.|203\.|2001:)/.test(line)).sort();
    assert.deepEqual(ours, [
      '0.0.0.0/0 wan0 gateway',
      '10.1.0.0/24 lan0',
      '10.1.0.1/32 lan0 local',
      '10.3.0.0/16 lan0 gateway',
      '10.4.0.0/16 wan0',
      '10.5.0.0/16 lan0,br0 gateway',
      '10.7.0.0/16 lo local',
      '2001:db8:1::/64 lan0',
      '2001:db8:1::1/128 lan0 local',
      '203.0.113.0/29 wan0',
      '203.0.113.2/32 wan0 local',
    ]);
  });

  it('what of them matters for inside networks', async () => {
    const inside = networks('10.0.0.0/8', '2001:db8:1::/48');
    const found = readLinuxIngress(await loadLibc(), { inside, insideInterfaces: [] });
    const texts = found.routes.map(({ network, kind }) => `${network.text} ${kind}`);
    assert.ok(!texts.some((text) => text.startsWith('203.') || text.startsWith('10.7.')), texts.join());
    assert.deepEqual(
      found.routes.find(({ network }) => network.text === '10.3.0.0/16'),
      { network: networks('10.3.0.0/16')[0], interfaces: ['lan0'], kind: 'gateway' },
    );
    assert.ok([...found.meant.values()].some((names) => names.join() === 'port0,br0'));
    assert.deepEqual(found.loopback, ['lo']);
    assert.ok(['lan0', 'wan0', 'br0'].every((name) => found.routed.includes(name)));
  });
});

/** One message of NET_RT_DUMP by net/route.h: the header's fields at their offsets, then socket addresses. */
function message(index: number, flags: number, addresses: readonly (Buffer | null)[]): Buffer {
  const parts = addresses.flatMap((address) => (address === null ? [] : [padded(address)]));
  const header = Buffer.alloc(152);
  header[2] = 5;
  header[3] = 4;
  header.writeUInt16LE(index, 4);
  header.writeInt32LE(flags, 8);
  header.writeInt32LE(
    addresses.reduce((bits, address, bit) => bits | (address === null ? 0 : 1 << bit), 0),
    12,
  );
  const whole = Buffer.concat([header, ...parts]);
  whole.writeUInt16LE(whole.length, 0);
  return whole;
}

function padded(address: Buffer): Buffer {
  return Buffer.concat([address], Math.max(8, Math.ceil(address.length / 8) * 8));
}

const inet = (...bytes: number[]) => Buffer.from([16, 2, 0, 0, ...bytes, 0, 0, 0, 0, 0, 0, 0, 0]);
const inet6 = (hex: string, length = 28) =>
  Buffer.concat([Buffer.from([length, 28, 0, 0, 0, 0, 0, 0]), Buffer.from(hex, 'hex')], length);
const link = Buffer.from([20, 18, 1, 0, ...new Array(16).fill(0)]);

describe('routes of FreeBSD, from the messages that route(4) describes', () => {
  const UP = 1;
  const GATEWAY = 2;
  const HOST = 4;
  const tables: Readonly<Record<number, Buffer>> = {
    2: Buffer.concat([
      message(1, UP | GATEWAY, [inet(0, 0, 0, 0), inet(203, 0, 113, 1), inet(0, 0, 0, 0)]),
      message(2, UP, [inet(10, 1, 0, 0), link, inet(255, 255, 255, 0)]),
      // A mask may be cut after its last byte that is not 0, and of no family.
      message(2, UP | GATEWAY, [inet(10, 3, 0, 0), inet(10, 1, 0, 2), Buffer.from([6, 0, 0, 0, 255, 255])]),
      message(3, UP | HOST, [inet(10, 1, 0, 1), link, null]),
      message(3, UP | 0x1000, [inet(10, 6, 0, 0), inet(127, 0, 0, 1), inet(255, 255, 0, 0)]),
      message(1, UP | GATEWAY, [inet(0, 0, 0, 0), inet(203, 0, 113, 9), Buffer.alloc(0)]),
    ]),
    28: Buffer.concat([
      message(2, UP, [
        inet6('20010db8000100000000000000000000'),
        link,
        inet6(`${'ff'.repeat(8)}${'00'.repeat(8)}`),
      ]),
      message(2, UP, [
        inet6('fe800002000000000000000000000000'),
        link,
        inet6(`${'ff'.repeat(8)}${'00'.repeat(8)}`),
      ]),
    ]),
  };
  const libc = fakeFreebsd({
    sysctl: (mib, count, old, length) => {
      const family = (mib as Buffer).readInt32LE(12);
      assert.deepEqual([...new Uint32Array(new Uint8Array(mib as Buffer).buffer)], [4, 17, 0, family, 1, 0]);
      assert.equal(count, 6);
      const table = tables[family]!;
      if (old !== null) table.copy(old as Buffer);
      (length as Buffer).writeBigUInt64LE(BigInt(table.length));
      return 0;
    },
  });

  it('destination, mask and interface; none that refuses', () => {
    const found: string[] = [];
    forEachFreebsdRoute(libc, ({ bytes, prefix, interface: index, hasGateway }) => {
      found.push(`${networkOf(bytes, prefix).text} ${index}${hasGateway ? ' gateway' : ''}`);
    });
    assert.deepEqual(found, [
      '0.0.0.0/0 1 gateway',
      '10.1.0.0/24 2',
      '10.3.0.0/16 2 gateway',
      '10.1.0.1/32 3',
      '0.0.0.0/0 1 gateway',
      '2001:db8:1::/64 2',
      'fe80::/64 2',
    ]);
  });

  it('a table that is cut, or claims more than there is, ends there', () => {
    for (let length = 0; length < tables[2]!.length; length += 7) {
      const cut = fakeFreebsd({
        sysctl: (_mib, _count, old, size) => {
          if (old !== null) tables[2]!.copy(old as Buffer, 0, 0, length);
          (size as Buffer).writeBigUInt64LE(BigInt(length));
          return 0;
        },
      });
      forEachFreebsdRoute(cut, ({ prefix }) => assert.ok(prefix >= 0 && prefix <= 128));
    }
  });
});
