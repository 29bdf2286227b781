import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Address } from '../../src/address/address.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import { createInspector } from '../../src/inspector.ts';
import type { NatMapping } from '../../src/policy/external.ts';
import { createPolicy } from '../../src/policy/policy.ts';
import { udpPacket } from '../packets.ts';
import { createScene, host, networks, type Overrides, sdp, settingsWith, sip } from '../scene.ts';

const PUBLIC = '203.0.113.2';
const pbx = host('192.168.1.10');
const second = host('192.168.1.11');
const provider = host('198.51.100.20');
const GATEWAY = '198.51.100.50';

function stands(external: string, hosts: readonly string[], more: Partial<NatMapping> = {}): NatMapping {
  const where = external.startsWith('interface:')
    ? { interface: external.slice('interface:'.length) }
    : { address: external };
  return { external: where, hosts: networks(...hosts), translation: null, arrivesAt: null, ...more };
}

const behindNat = (more: Overrides = {}): Overrides => ({
  inside: networks('192.168.0.0/16'),
  nat: [stands(PUBLIC, [pbx.address])],
  ...more,
});

function offered(overrides: Overrides, body: string, from = pbx) {
  const scene = createScene(overrides);
  scene.send(from, provider, sip('INVITE', { body }));
  return scene;
}

/** The call is answered by the provider, media at the gateway. */
function answered(overrides: Overrides, port = 40000, from = pbx) {
  const scene = offered(overrides, sdp(PUBLIC, [port]), from);
  scene.send(provider, from, sip('200 INVITE', { to: 'b', body: sdp(GATEWAY, [30000]) }));
  scene.send(from, provider, sip('ACK', { to: 'b' }));
  return scene;
}

describe('a PBX that announces its public address', () => {
  test('has announced itself: media to either address is its own', () => {
    const scene = answered(behindNat());
    assert.deepEqual(scene.refusals(), ['not-inside']);
    assert.deepEqual(scene.open(), [`udp 192.168.1.10:40000-40001 < ${provider.address},${GATEWAY}`]);
    assert.equal(scene.media(GATEWAY, 30000, PUBLIC, 40000), true);
    assert.equal(scene.media(GATEWAY, 30000, pbx.address, 40000), true);
    assert.equal(scene.media(pbx.address, 40000, GATEWAY, 30000), true, 'an answer by the state');
    assert.equal(scene.media(GATEWAY, 30000, PUBLIC, 40002), false);
    assert.equal(scene.media('198.51.100.51', 30000, PUBLIC, 40000), false, 'a stranger');
    scene.send(pbx, provider, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(provider, pbx, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.wait(60_000);
    assert.deepEqual(scene.open(), []);
    assert.equal(scene.media(GATEWAY, 30000, PUBLIC, 40000), false);
  });

  test('may announce its own address still', () => {
    const scene = offered(behindNat(), sdp(pbx.address, [40000]));
    assert.deepEqual(scene.refusals(), []);
    const [pinhole] = scene.inspector.pinholes();
    assert.equal(pinhole!.translation, null);
  });

  test('announces it in ICE candidates and in a=rtcp, too', () => {
    const attributes = [
      `rtcp:41001 IN IP4 ${PUBLIC}`,
      `candidate:1 1 UDP 1 ${PUBLIC} 42000 typ srflx raddr 192.168.1.10 rport 42000`,
    ];
    const scene = offered(behindNat(), sdp(PUBLIC, [{ port: 40000, attributes }]));
    assert.deepEqual(scene.refusals(), []);
    assert.deepEqual(
      [...scene.inspector.pinholes()].map(({ address, ports, translation }) => [
        address,
        ports[0],
        translation?.external,
      ]),
      [40000, 41001, 42000].map((port) => [pbx.address, port, PUBLIC]),
    );
  });

  test('as everybody else: a host that the address does not stand for is refused', () => {
    for (const nat of [[], [stands(PUBLIC, [second.address])], [stands('203.0.113.3', [pbx.address])]]) {
      const scene = offered(behindNat({ nat }), sdp(PUBLIC, [40000]));
      assert.deepEqual(scene.refusals(), ['foreign-address']);
      assert.deepEqual(scene.open(), []);
    }
  });

  test('may name a media host by the address that stands for it', () => {
    const gateway = '192.168.1.20';
    const scene = offered(
      behindNat({
        mediaHosts: networks(gateway),
        nat: [stands(PUBLIC, [pbx.address]), stands('203.0.113.3', [gateway])],
      }),
      sdp('203.0.113.3', [40000]),
    );
    assert.deepEqual(scene.open(), [`udp ${gateway}:40000-40001 < ${provider.address}`]);
    const [pinhole] = scene.inspector.pinholes();
    assert.equal(pinhole!.translation?.external, '203.0.113.3');
  });

  test('with another router in front: packets arrive at the address between the two', () => {
    const nat = [stands(PUBLIC, [pbx.address], { arrivesAt: '10.64.0.2', translation: 'ruleset' })];
    const scene = offered(behindNat({ nat }), sdp(PUBLIC, [40000]));
    const [pinhole] = scene.inspector.pinholes();
    assert.deepEqual(pinhole!.translation, {
      external: PUBLIC,
      arrivesAt: '10.64.0.2',
      interface: null,
      by: 'ruleset',
    });
    assert.equal(scene.media(provider.address, 5000, '10.64.0.2', 40000), true);
  });

  test('a pinhole is as it was decided only where all of its translation is: where packets arrive, and who translates', () => {
    const decided = { arrivesAt: '10.64.0.2', translation: 'ruleset' } as const;
    const scene = offered(behindNat({ nat: [stands(PUBLIC, [pbx.address], decided)] }), sdp(PUBLIC, [40000]));
    const [pinhole] = scene.inspector.pinholes();
    const isPresent = (external: string, more: Partial<NatMapping>, addresses = {}) => {
      const settings = settingsWith(behindNat({ nat: [stands(external, [pbx.address], more)] }));
      return createPolicy(settings, addresses).isPresent(pinhole!);
    };
    assert.equal(isPresent(PUBLIC, decided), true);
    assert.equal(isPresent(PUBLIC, { ...decided, arrivesAt: '10.64.0.3' }), false);
    assert.equal(isPresent(PUBLIC, { ...decided, translation: 'pinhole' }), false);
    assert.equal(
      isPresent('interface:wan0', decided, { wan0: [PUBLIC] }),
      false,
      'it may have another tomorrow',
    );
    assert.equal(isPresent('203.0.113.3', decided), false);
  });

  test('from outside nobody opens anything with it', () => {
    const scene = createScene(behindNat());
    scene.send(provider, pbx, sip('INVITE', { body: sdp(PUBLIC, [40000]) }));
    assert.deepEqual(scene.refusals(), ['not-inside']);
  });
});

describe('two hosts behind one external address', () => {
  const both = behindNat({ nat: [stands(PUBLIC, [pbx.address, second.address])] });

  test('have a port each', () => {
    const scene = createScene(both);
    scene.send(pbx, provider, sip('INVITE', { callId: 'one', body: sdp(PUBLIC, [40000]) }));
    scene.send(second, provider, sip('INVITE', { callId: 'two', body: sdp(PUBLIC, [40002]) }));
    assert.deepEqual(scene.refusals(), []);
    assert.equal(scene.open().length, 2);
  });

  test('and one port only once: the first has it, the second gets it when it is free', () => {
    const scene = createScene(both);
    scene.send(pbx, provider, sip('INVITE', { callId: 'one', body: sdp(PUBLIC, [40000]) }));
    scene.send(second, provider, sip('INVITE', { callId: 'two', body: sdp(PUBLIC, [40001]) }));
    assert.deepEqual(scene.refusals(), ['port-taken']);
    assert.deepEqual(scene.open(), [`udp ${pbx.address}:40000-40001 < ${provider.address}`]);
    scene.send(provider, pbx, sip('486 INVITE', { callId: 'one', to: 'x' }));
    scene.wait(5_000);
    assert.deepEqual(scene.open(), [`udp ${second.address}:40001-40002 < ${provider.address}`]);
    assert.deepEqual(scene.refusals(), ['port-taken'], 'it is said once');
  });

  test('a port that two calls of its host have stays taken until both are over', () => {
    const scene = createScene(both);
    const other = host('198.51.100.21');
    scene.send(pbx, provider, sip('INVITE', { callId: 'one', body: sdp(PUBLIC, [40000]) }));
    scene.send(pbx, other, sip('INVITE', { callId: 'also', body: sdp(PUBLIC, [40000]) }));
    assert.equal(scene.open().length, 2);
    scene.send(provider, pbx, sip('486 INVITE', { callId: 'one', to: 'x' }));
    scene.wait(5_000);
    scene.send(second, provider, sip('INVITE', { callId: 'two', body: sdp(PUBLIC, [40000]) }));
    assert.deepEqual(scene.refusals(), ['port-taken']);
    scene.send(other, pbx, sip('486 INVITE', { callId: 'also', to: 'x' }));
    scene.wait(5_000);
    assert.deepEqual(scene.open(), [`udp ${second.address}:40000-40001 < ${provider.address}`]);
  });

  test('a call that ended meanwhile gets nothing', () => {
    const scene = createScene(both);
    scene.send(pbx, provider, sip('INVITE', { callId: 'one', body: sdp(PUBLIC, [40000]) }));
    scene.send(second, provider, sip('INVITE', { callId: 'two', body: sdp(PUBLIC, [40000]) }));
    scene.send(provider, second, sip('486 INVITE', { callId: 'two', to: 'x' }));
    scene.send(provider, pbx, sip('486 INVITE', { callId: 'one', to: 'x' }));
    scene.wait(5_000);
    assert.deepEqual(scene.open(), []);
  });

  test('a call between the two, each behind it, lets each reach the other', () => {
    const scene = createScene(both);
    scene.send(pbx, second, sip('INVITE', { body: sdp(PUBLIC, [40000]) }));
    scene.send(second, pbx, sip('200 INVITE', { to: 'b', body: sdp(PUBLIC, [41000]) }));
    assert.deepEqual(scene.refusals(), []);
    assert.equal(scene.media(second.address, 41000, PUBLIC, 40000), true);
    assert.equal(scene.media(pbx.address, 40000, PUBLIC, 41000), true);
  });

  test('a call that the provider sends back in is heard from the hosts behind the address', () => {
    const scene = answered(both);
    scene.send(pbx, provider, sip('INVITE', { to: 'b', cseq: 2, body: sdp(PUBLIC, [40000]) }));
    scene.send(provider, pbx, sip('200 INVITE', { to: 'b', cseq: 2, body: sdp(PUBLIC, [41000]) }));
    assert.ok(scene.media(second.address, 41000, PUBLIC, 40000));
    assert.ok(!scene.refusals().includes('hairpin'));
  });

  test('or is refused by name, where those are only known as a network', () => {
    const nat = [stands(PUBLIC, ['192.168.1.0/24'])];
    const scene = answered(behindNat({ nat }));
    scene.send(pbx, provider, sip('INVITE', { to: 'b', cseq: 2, body: sdp(PUBLIC, [40000]) }));
    scene.send(provider, pbx, sip('200 INVITE', { to: 'b', cseq: 2, body: sdp(PUBLIC, [41000]) }));
    assert.ok(scene.refusals().includes('hairpin'));
  });

  test('the ports that a journal brings back are taken, too', () => {
    const settings = settingsWith(both);
    const before = createInspector(() => settings);
    const invite = sip('INVITE', { callId: 'one', body: sdp(PUBLIC, [40000]) });
    before.inspect(udpPacket(pbx, provider, invite), 1000);
    const after = createInspector(() => settings);
    after.adopt(
      [...before.calls()].map(({ legId }) => before.dump(legId)!),
      2000,
    );
    const other = sip('INVITE', { callId: 'two', body: sdp(PUBLIC, [40000]) });
    const { events } = after.inspect(udpPacket(second, provider, other), 3000);
    const refused = events.flatMap((event) => (event.type === 'refused' ? [event.refusal.reason] : []));
    assert.deepEqual(refused, ['port-taken']);
  });
});

describe('the address of an interface', () => {
  function setUp() {
    const settings = settingsWith(behindNat({ nat: [stands('interface:em0', [pbx.address])] }));
    const inspector = createInspector(() => settings);
    inspector.renumber({ em0: [PUBLIC], em1: ['203.0.113.77'] }, 0);
    const firewall = createModelFirewall();
    const commit = ({ change }: ReturnType<typeof inspector.tick>) => {
      if (change !== null) firewall.commit(change);
    };
    return {
      invite(callId: string, address: Address, at: number, message: Parameters<typeof sip>[1] = {}) {
        const text = sip('INVITE', { callId, body: sdp(address, [40000 + at]), ...message });
        const inspection = inspector.inspect(udpPacket(pbx, provider, text), at);
        commit(inspection);
        return inspection.events.flatMap((event) => (event.type === 'refused' ? [event.refusal.reason] : []));
      },
      renumber(now: readonly Address[], at: number) {
        const inspection = inspector.renumber({ em0: now }, at);
        commit(inspection);
        return inspection.events.flatMap((event) =>
          event.type === 'pinhole' ? [`${event.what} ${event.reason ?? ''}`.trim()] : [],
        );
      },
      externals: () => firewall.list().map(({ translation }) => translation?.external),
    };
  }

  test('is followed: a new call uses the new one, and nothing refers to the old one', () => {
    const { invite, renumber, externals } = setUp();
    assert.deepEqual(invite('one', PUBLIC, 10), []);
    assert.deepEqual(renumber(['203.0.113.99'], 20), ['closed external-changed']);
    assert.deepEqual(externals(), []);
    assert.deepEqual(invite('two', PUBLIC, 30), ['foreign-address']);
    assert.deepEqual(invite('three', '203.0.113.99', 40), []);
    assert.deepEqual(externals(), ['203.0.113.99']);
  });

  test('when it stays, all calls stay as they are', () => {
    const { invite, renumber, externals } = setUp();
    invite('one', PUBLIC, 10);
    assert.deepEqual(renumber([PUBLIC, '203.0.113.99'], 20), []);
    assert.deepEqual(externals(), [PUBLIC]);
  });

  test('a call that knew it first is opened when we know it', () => {
    const { invite, renumber, externals } = setUp();
    assert.deepEqual(invite('one', '203.0.113.99', 10), ['foreign-address']);
    assert.deepEqual(renumber(['203.0.113.99'], 20), ['opened']);
    assert.deepEqual(externals(), ['203.0.113.99']);
  });
});

describe('the way out', () => {
  const outbound = behindNat({ outbound: true });

  test('opens to exactly what the outside party announced, for the inside party alone', () => {
    const scene = answered(outbound);
    assert.deepEqual(scene.refusals(), []);
    assert.deepEqual(scene.open(), [
      `udp 192.168.1.10:40000-40001 < ${provider.address},${GATEWAY}`,
      `udp ${GATEWAY}:30000-30001 < ${pbx.address}`,
    ]);
    assert.equal(scene.media(pbx.address, 40000, GATEWAY, 30000), true);
    assert.equal(scene.media(PUBLIC, 40000, GATEWAY, 30000), true, 'as it is seen outside');
    assert.equal(scene.media(GATEWAY, 30000, PUBLIC, 40000), true);
    assert.equal(scene.media(second.address, 40000, GATEWAY, 30000), false);
    assert.equal(scene.media(pbx.address, 40000, GATEWAY, 30002), false);
    assert.equal(
      scene.media(pbx.address, 40000, provider.address, 30000),
      false,
      'it announced no such thing',
    );
  });

  test('opens with the offer of the outside party, before any answer, and closes with the call', () => {
    const scene = createScene(outbound);
    scene.send(provider, pbx, sip('INVITE', { body: sdp(GATEWAY, [30000]) }));
    assert.equal(scene.media(pbx.address, 40000, GATEWAY, 30000), true);
    scene.send(pbx, provider, sip('486 INVITE', { to: 'b' }));
    scene.wait(60_000);
    assert.equal(scene.media(pbx.address, 40000, GATEWAY, 30000), false);
  });

  test('never leads inside, by whatever address', () => {
    for (const address of [second.address, PUBLIC, pbx.address]) {
      const scene = createScene(outbound);
      scene.send(provider, pbx, sip('INVITE', { body: sdp(address, [30000]) }));
      assert.deepEqual(scene.refusals(), ['not-inside'], address);
      assert.deepEqual(scene.open(), []);
    }
  });

  test('nor to ports where services listen, nor for peers that are not allowed', () => {
    for (const [port, reason] of [
      [3306, 'denied-port'],
      [25, 'port-out-of-range'],
    ] as const) {
      const scene = createScene(outbound);
      scene.send(provider, pbx, sip('INVITE', { body: sdp(GATEWAY, [port]) }));
      assert.deepEqual(scene.refusals(), [reason]);
    }
  });

  test('is no wider for what the inside party announced in the place of others', () => {
    const scene = createScene(outbound);
    scene.send(provider, pbx, sip('INVITE', { body: sdp(GATEWAY, [30000]) }));
    scene.send(pbx, provider, sip('200 INVITE', { to: 'b', body: sdp(second.address, [40000]) }));
    assert.equal(scene.media(second.address, 40000, GATEWAY, 30000), false);
    assert.equal(scene.media(pbx.address, 40000, GATEWAY, 30000), true);
  });

  test('is for a media host inside as well, where the inside party names one', () => {
    const scene = createScene({ ...outbound, mediaHosts: networks(second.address) });
    scene.send(provider, pbx, sip('INVITE', { body: sdp(GATEWAY, [30000]) }));
    scene.send(pbx, provider, sip('200 INVITE', { to: 'b', body: sdp(second.address, [40000]) }));
    assert.equal(scene.media(second.address, 40000, GATEWAY, 30000), true);
    assert.equal(scene.media('192.168.1.12', 40000, GATEWAY, 30000), false);
  });

  test('does nothing unless it is asked for', () => {
    const scene = answered(behindNat());
    assert.equal(scene.open().length, 1);
  });
});
