import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, type Scene, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const proxy = host('192.0.2.20');
const trunk = host('198.51.100.20');
const stranger = host('203.0.113.66');
const inside = { inside: networks('192.0.2.0/24') };
const OFFER = sdp(phone.address, [40_000]);
const ANSWER = sdp(trunk.address, [20_000]);
/** Only who was asked may send; the answer lets in who it names. */
const RINGING = ['udp 192.0.2.10:40000-40001 < 198.51.100.20'];

function invited(): Scene {
  const scene = createScene(inside);
  scene.send(phone, trunk, sip('INVITE', { body: OFFER }));
  assert.deepEqual(scene.open(), RINGING);
  return scene;
}

describe('what tells a response that counts from others', () => {
  const elsewhere = sdp('203.0.113.66', [666]);
  const ok = { to: 'b', body: elsewhere };

  test('it goes to who asked (RFC 3261 18.2.2): one to another host inside says nothing of the call', () => {
    const scene = invited();
    scene.send(trunk, host('192.0.2.11'), sip('200 INVITE', ok));
    assert.deepEqual(scene.open(), RINGING);
    scene.send(trunk, phone, sip('200 INVITE', ok));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.66']);
  });

  test('it has the tag of who asked (RFC 3261 8.2.6.2)', () => {
    const scene = invited();
    scene.send(trunk, phone, sip('200 INVITE', { ...ok, from: 'guessed' }));
    assert.deepEqual(scene.open(), RINGING);
    scene.send(trunk, phone, sip('200 INVITE', ok));
    assert.notDeepEqual(scene.open(), RINGING);
  });

  test('that of a request of the callee has the caller’s tag in its To', () => {
    const scene = invited();
    scene.send(trunk, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(phone, trunk, sip('ACK', { to: 'b', branch: 'z9hG4bKack' }));
    const asked = { from: 'b', to: 'a', cseq: 7 };
    scene.send(trunk, phone, sip('INVITE', { ...asked, body: sdp(trunk.address, [20_100]) }));
    const before = scene.open();
    const moved = sdp(phone.address, [40_100]);
    scene.send(phone, trunk, sip('200 INVITE', { ...asked, to: 'guessed', body: moved }));
    assert.deepEqual(scene.open(), before);
    scene.send(phone, trunk, sip('200 INVITE', { ...asked, body: moved }));
    assert.ok(scene.open().some((line) => line.includes(':40100-')));
  });

  test('what a Via says of who sent it is part of no key (A20): whoever asks and answers is told by the packets', () => {
    for (const sentBy of [
      '0.0.0.0',
      '255.255.255.255',
      '203.0.113.66:5060',
      '192.0.2.1:5060;received=192.0.2.99;rport=4',
    ]) {
      const via = (text: string) => text.replace('192.0.2.1:5060', sentBy);
      const scene = createScene(inside);
      scene.send(phone, trunk, via(sip('INVITE', { body: OFFER })));
      assert.deepEqual(scene.open(), RINGING, sentBy);
      // Without what this hop has added, and with it.
      scene.send(trunk, phone, sip('183 INVITE', { to: 'b', body: ANSWER }));
      scene.send(trunk, phone, via(sip('200 INVITE', { to: 'b', body: ANSWER })));
      scene.send(phone, trunk, via(sip('ACK', { to: 'b', branch: 'z9hG4bKack' })));
      assert.deepEqual(scene.open(), RINGING, sentBy);
      scene.send(phone, trunk, sip('BYE', { to: 'b', cseq: 2 }));
      scene.send(trunk, phone, via(sip('200 BYE', { to: 'b', cseq: 2 })));
      scene.wait(1001);
      assert.deepEqual(scene.open(), [], sentBy);
      assert.deepEqual(scene.refusals(), ['not-inside'], sentBy);
    }
  });
});

describe('legs of one Call-ID', () => {
  test('are told apart by their two addresses: what ends one leaves the other', () => {
    const scene = createScene(inside);
    scene.send(phone, proxy, sip('INVITE', { body: OFFER }));
    scene.send(proxy, trunk, sip('INVITE', { body: sdp(proxy.address, [30_000]), branch: 'z9hG4bKproxy' }));
    assert.equal([...scene.inspector.calls()].length, 2);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 192.0.2.20',
      'udp 192.0.2.20:30000-30001 < 198.51.100.20',
    ]);
    scene.send(trunk, proxy, sip('486 INVITE', { to: 'b', branch: 'z9hG4bKproxy' }));
    scene.wait(1001);
    assert.deepEqual(
      scene.open(),
      ['udp 192.0.2.10:40000-40001 < 192.0.2.20'],
      'the proxy tries another way',
    );
    scene.send(proxy, phone, sip('486 INVITE', { to: 'b' }));
    scene.wait(1001);
    assert.deepEqual(scene.open(), []);
  });

  for (const [which, from, to] of [
    ['who asks', proxy, trunk],
    ['who is asked', phone, stranger],
  ] as const) {
    test(`differ by ${which} alone, with the same Call-ID, tag, CSeq and branch`, () => {
      const scene = invited();
      scene.send(from, to, sip('INVITE', { body: sdp(from.address, [30_000]) }));
      assert.deepEqual(
        scene.open().filter((line) => !RINGING.includes(line)),
        [`udp ${from.address}:30000-30001 < ${to.address}`],
      );
      scene.send(to, from, sip('486 INVITE', { to: 'b' }));
      scene.wait(1001);
      assert.deepEqual(scene.open(), RINGING);
    });
  }

  test('a stranger who uses the Call-ID and the tag of another leg has a leg of its own, and ends only that', () => {
    const scene = invited();
    scene.send(stranger, phone, sip('INVITE', { body: sdp(stranger.address, [666]) }));
    scene.send(stranger, phone, sip('CANCEL'));
    scene.send(phone, stranger, sip('487 INVITE', { to: 'p' }));
    scene.wait(1001);
    assert.deepEqual(scene.open(), RINGING);
    scene.send(phone, stranger, sip('200 INVITE', { to: 'p', body: sdp(phone.address, [40_002]) }));
    assert.deepEqual(scene.open(), RINGING);
  });
});

test('one party describes at most 512 transports, which are looked at, and the refusal has a name', () => {
  // 16 candidates for each of 32 streams are 512, with the ports themselves 544.
  const attributes = Array.from(
    { length: 16 },
    (_, n) => `candidate:1 1 udp 1 192.0.2.10 ${50_000 + 2 * n} typ host`,
  );
  const lines = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      port: 10_000 + 100 * n,
      attributes: attributes.map((line) => line.replace(/ 50(...)/, ` ${11 + n}$1`)),
    }));
  const looked = (count: number) => {
    const scene = createScene({ ...inside, ice: true, caps: { pinholesPerCall: 1024, candidates: 64 } });
    scene.send(phone, trunk, sip('INVITE', { body: sdp(phone.address, lines(count)) }));
    return scene;
  };
  assert.deepEqual(looked(8).refusals(), []);
  const all = looked(32);
  assert.deepEqual([...new Set(all.refusals())], ['too-many-streams']);
  assert.ok(all.open().length <= 512, `${all.open().length}`);
  assert.ok(all.open().length > looked(16).open().length);
});
