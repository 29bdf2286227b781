import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, peer, type Scene, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const trunk = host('198.51.100.20');
const node = host('198.51.100.21');
const inside = { inside: networks('192.0.2.0/24') };
const MOVED = sdp('203.0.113.50', [30000]);
const OPEN = 'udp 192.0.2.10:40000-40001 < 198.51.100.20';

function answered(scene: Scene = createScene(inside)): Scene {
  scene.send(trunk, phone, sip('INVITE', { body: sdp('198.51.100.20', [20000]) }));
  scene.send(phone, trunk, sip('200 INVITE', { to: 'b', body: sdp('192.0.2.10', [40000]) }));
  scene.send(trunk, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  return scene;
}

const reinvite = (scene: Scene, status: string) => {
  scene.send(node, phone, sip('INVITE', { to: 'b', cseq: 2, body: MOVED }));
  assert.deepEqual(scene.open(), [OPEN], 'it waits');
  const body = status === '200' ? sdp('192.0.2.10', [41000]) : '';
  scene.send(phone, node, sip(`${status} INVITE`, { to: 'b', cseq: 2, body }));
};

describe("requests from another address than the party's", () => {
  test('count once the host inside has accepted them', () => {
    const scene = answered();
    reinvite(scene, '200');
    scene.wait(60_001);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:41000-41001 < 198.51.100.20,198.51.100.21,203.0.113.50']);
    scene.send(node, phone, sip('BYE', { to: 'b', cseq: 3 }));
    scene.send(phone, node, sip('200 BYE', { to: 'b', cseq: 3 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.ok(!scene.refusals().includes('wrong-dialog'));
  });

  test('change nothing when it refuses them, or does not answer', () => {
    for (const answer of [true, false]) {
      const scene = answered();
      if (answer) reinvite(scene, '481');
      else scene.send(node, phone, sip('INVITE', { to: 'b', cseq: 2, body: MOVED }));
      scene.send(node, phone, sip('BYE', { to: 'b', cseq: 3 }));
      if (answer) scene.send(phone, node, sip('481 BYE', { to: 'b', cseq: 3 }));
      scene.wait(100_000);
      assert.deepEqual(scene.open(), [OPEN]);
      assert.equal(scene.refusals().filter((reason) => reason === 'wrong-dialog').length, 2);
    }
  });

  test('and an answered BYE ends the call', () => {
    const scene = answered();
    scene.send(node, phone, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(phone, node, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });

  test('a 2xx of a party outside accepts nothing', () => {
    const scene = answered();
    scene.send(host('203.0.113.66'), trunk, sip('BYE', { from: 'b', to: 'a', cseq: 2 }));
    scene.send(trunk, host('203.0.113.66'), sip('200 BYE', { from: 'b', to: 'a', cseq: 2 }));
    scene.wait(40_000);
    assert.deepEqual(scene.open(), [OPEN]);
  });

  test("count at once where the host inside has sent there itself, or where both are one named peer's", () => {
    const sent = answered();
    sent.send(phone, node, sip('OPTIONS', { from: 'b', to: 'a', cseq: 9 }));
    const named = answered(
      createScene({ ...inside, peers: [peer('itsp', { networks: networks('198.51.100.0/24') })] }),
    );
    for (const scene of [sent, named]) {
      scene.send(node, phone, sip('BYE', { to: 'b', cseq: 2 }));
      scene.wait(32_001);
      assert.deepEqual(scene.open(), [], 'a BYE of the party that gets no answer');
    }
  });

  test('a named peer may answer from another of its addresses', () => {
    const scene = createScene({
      ...inside,
      peers: [peer('itsp', { networks: networks('198.51.100.0/24') })],
    });
    scene.send(phone, trunk, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    scene.send(node, phone, sip('200 INVITE', { to: 'b', body: MOVED }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.21,203.0.113.50']);
  });
});
