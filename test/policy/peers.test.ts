import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createPeers } from '../../src/policy/peers.ts';
import { createScene, host, networks, peer, sdp, sip } from '../scene.ts';

const pbx = host('192.0.2.10');
const node1 = host('203.0.113.1');
const node2 = host('203.0.113.2');
const stranger = host('198.51.100.66');
const protectedNet = { inside: networks('192.0.2.0/24') };
const itsp = (given: Partial<Parameters<typeof peer>[1]> = {}) =>
  peer('itsp', { networks: networks('203.0.113.0/28'), ...given });
const everybody = ['0.0.0.0/0', '::/0'].map((text) => peer(null, { networks: networks(text) }));

function openedBy(peers: readonly ReturnType<typeof peer>[], from = node1, port = 40000) {
  const scene = createScene({ ...protectedNet, peers });
  scene.send(pbx, from, sip('INVITE', { body: sdp('192.0.2.10', [port]) }));
  return scene;
}

describe('whose an address is', () => {
  const { peerOf, isAllowed } = createPeers([
    peer(null, { networks: networks('198.51.100.0/24') }),
    peer('wide', { networks: networks('203.0.113.0/24', '2001:db8::/32') }),
    itsp(),
  ]);

  test('the named peer with the narrowest network has it', () => {
    assert.equal(peerOf('203.0.113.15')?.name, 'itsp');
    assert.equal(peerOf('203.0.113.16')?.name, 'wide');
    assert.equal(peerOf('2001:db8::1')?.name, 'wide');
    assert.equal(peerOf('203.0.113.15')?.name, 'itsp', 'asked again');
  });

  test('a network alone names nobody, and admits its addresses', () => {
    assert.equal(peerOf('198.51.100.1'), null);
    assert.equal(isAllowed('198.51.100.1'), true);
    assert.equal(isAllowed('203.0.113.200'), true);
    assert.equal(isAllowed('192.0.2.1'), false);
  });

  test('without peers everybody is allowed', () => {
    assert.equal(createPeers([]).isAllowed('192.0.2.1'), true);
    assert.equal(createPeers([]).peerOf('192.0.2.1'), null);
  });
});

describe('what holds for one peer', () => {
  test('a named peer is admitted, one that is none is not', () => {
    assert.equal(openedBy([itsp()]).open().length, 1);
    assert.deepEqual(openedBy([itsp()], stranger).refusals(), ['peer-not-allowed']);
    assert.equal(openedBy([itsp(), ...everybody], stranger).open().length, 1);
  });

  test('an inside peer needs no entry in `peers`', () => {
    assert.equal(openedBy([itsp()], host('192.0.2.11')).open().length, 1);
  });

  test('its media ports count in place of the general ones', () => {
    const peers = [itsp({ mediaPorts: [[10000, 20000]] }), ...everybody];
    assert.deepEqual(openedBy(peers).refusals(), ['port-out-of-range']);
    assert.equal(openedBy(peers, node2, 10000).open().length, 1);
    assert.equal(openedBy(peers, stranger).open().length, 1);
  });

  test('its media sources count in place of the general ones', () => {
    const peers = [itsp({ earlyMediaSource: 'any', mediaSource: 'signalling-peer' }), ...everybody];
    const scene = openedBy(peers);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < any']);
    scene.send(node1, pbx, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.9', [5004]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 203.0.113.1']);

    const other = openedBy(peers, stranger);
    assert.deepEqual(other.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.66']);
    other.send(stranger, pbx, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.9', [5004]) }));
    assert.deepEqual(other.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.66,198.51.100.9']);
  });

  test('they count for a call that it makes, too', () => {
    const scene = createScene({ ...protectedNet, peers: [itsp({ mediaSource: 'any' }), ...everybody] });
    for (const from of [node1, stranger]) {
      const callId = from.address;
      scene.send(from, pbx, sip('INVITE', { callId, body: sdp(from.address, [5004]) }));
      const port = from === node1 ? 20000 : 30000;
      scene.send(pbx, from, sip('200 INVITE', { callId, to: 'b', body: sdp('192.0.2.10', [port]) }));
    }
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:20000-20001 < any',
      'udp 192.0.2.10:30000-30001 < 198.51.100.66',
    ]);
  });

  test('its calls are counted over all of its addresses, and only its own', () => {
    const scene = createScene({ ...protectedNet, peers: [itsp({ calls: 2 }), ...everybody] });
    const invite = (from: typeof node1, callId: string) =>
      scene.send(from, pbx, sip('INVITE', { callId, body: sdp(from.address, [5004]) }));
    const trying = (to: typeof node1, callId: string) =>
      scene.send(pbx, to, sip('180 INVITE', { callId, to: 'b' }));
    for (const [from, callId] of [
      [node1, '1'],
      [node2, '2'],
    ] as const) {
      invite(from, callId);
      trying(from, callId);
    }
    invite(node1, '3');
    trying(node1, '3');
    assert.ok(scene.refusals().includes('calls-per-peer-limit'));
    invite(stranger, '4');
    trying(stranger, '4');
    assert.equal(scene.inspector.sizes().calls, 3);
    scene.send(pbx, node2, sip('486 INVITE', { callId: '2', to: 'b' }));
    invite(node1, '5');
    trying(node1, '5');
    assert.equal(scene.refusals().filter((reason) => reason === 'calls-per-peer-limit').length, 1);
  });

  test('offers to it have a bound of their own, over all of its addresses and of the inside hosts', () => {
    const caps = { offersPerSecond: 1 };
    const scene = createScene({ ...protectedNet, caps, peers: [itsp({ offersPerSecond: 3 }), ...everybody] });
    for (const [index, to] of [node1, node2, node1, node2].entries()) {
      const from = host(`192.0.2.${10 + index}`);
      scene.send(from, to, sip('INVITE', { callId: `${index}`, body: sdp(from.address, [5004]) }));
    }
    assert.deepEqual(scene.refusals(), ['offer-rate-limit']);
    assert.equal(scene.open().length, 3);
  });
});
