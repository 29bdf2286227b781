import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, type Scene, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');
const OFFER = sdp(phone.address, [40_000]);
const ANSWER = sdp(pbx.address, [20_000]);
const ESTABLISHED = [
  'udp 192.0.2.10:40000-40001 < 198.51.100.20',
  'udp 198.51.100.20:20000-20001 < 192.0.2.10',
];

function answered(scene = createScene(), offer = OFFER, answer = ANSWER): Scene {
  scene.send(phone, pbx, sip('INVITE', { body: offer }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: answer }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  return scene;
}

describe('what comes late, again, or beside another', () => {
  test('the answer in an ACK settles: a provisional response that was overtaken by the 2xx says nothing any more', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE'));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack', body: OFFER }));
    assert.deepEqual(scene.open(), ESTABLISHED);
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b', body: sdp(pbx.address, [20_100]) }));
    assert.deepEqual(scene.open(), ESTABLISHED);
  });

  test('so does the one in a PRACK (RFC 3262 5): what the 2xx says is no answer', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE'));
    const headers = ['Require: 100rel', 'RSeq: 1'];
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b', headers, body: ANSWER }));
    const rack = ['RAck: 1 1 INVITE'];
    scene.send(phone, pbx, sip('PRACK', { to: 'b', cseq: 2, headers: rack, body: OFFER }));
    scene.send(pbx, phone, sip('200 PRACK', { to: 'b', cseq: 2 }));
    assert.deepEqual(scene.open(), ESTABLISHED);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: sdp(pbx.address, [20_100]) }));
    assert.deepEqual(scene.open(), ESTABLISHED);
  });

  for (const status of ['', '180 INVITE']) {
    test(`another attempt ${status === '' ? 'before any response' : 'after 180'} is of the same leg (RFC 3261 8.1.3.5)`, () => {
      const scene = createScene();
      scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
      if (status !== '') scene.send(pbx, phone, sip(status, { to: 'b' }));
      scene.send(phone, pbx, sip('INVITE', { cseq: 2, body: sdp(phone.address, [40_100]) }));
      assert.equal([...scene.inspector.calls()].length, 1);
      assert.deepEqual(scene.open(), ['udp 192.0.2.10:40100-40101 < 198.51.100.20']);
    });
  }

  test('of responses from elsewhere that wait for the party inside eight are kept, the latest', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    for (let node = 0; node < 20; node++) {
      const from = host(`198.51.100.${100 + node}`);
      scene.send(from, phone, sip('200 INVITE', { to: `b${node}`, body: sdp(from.address, [20_000]) }));
    }
    const [call] = scene.inspector.calls();
    assert.deepEqual(
      call?.strays.map(({ source }) => source.address),
      Array.from({ length: 8 }, (_, index) => `198.51.100.${112 + index}`),
    );
  });

  test('where forks describe too much to look at, the one that was answered comes before those that ring', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24') });
    const many = (address: string) => {
      const line = (index: number) => ({ port: 20_000 + 2 * index });
      return sdp(
        address,
        Array.from({ length: 32 }, (_, index) => line(index)),
      );
    };
    scene.send(phone, pbx, sip('INVITE', { body: many(phone.address) }));
    for (let fork = 0; fork < 31; fork++) {
      scene.send(pbx, phone, sip('183 INVITE', { to: `b${fork}`, body: many(`203.0.113.${fork}`) }));
    }
    scene.send(pbx, phone, sip('200 INVITE', { to: 'answers', body: many('203.0.113.200') }));
    assert.equal(scene.open().filter((line) => line.includes('203.0.113.200')).length, 32);
  });

  test('a failure after the 2xx fails nothing: one final response goes back, and other 2xx (RFC 3261 16.7)', () => {
    const scene = createScene({ mediaHosts: networks('198.51.100.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'slow', body: sdp('198.51.100.31', [20_000]) }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(pbx, phone, sip('486 INVITE', { to: 'c' }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'slow', body: sdp('198.51.100.31', [20_000]) }));
    scene.wait(33_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.31',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
      'udp 198.51.100.31:20000-20001 < 192.0.2.10',
    ]);
  });

  test('a fork to the same host with the same CSeq is a leg of its own: the first goes on (RFC 3261 16.6)', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { branch: 'z9hG4bK-1', body: OFFER }));
    scene.send(phone, pbx, sip('INVITE', { branch: 'z9hG4bK-2', body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { branch: 'z9hG4bK-1', to: 'b', body: ANSWER }));
    assert.deepEqual(scene.open(), ESTABLISHED);
  });

  test('an INFO that is sent again brings its candidates once: those that follow have their places', () => {
    const withMid = (address: string, port: number) =>
      sdp(address, [{ port, attributes: ['mid:0', 'ice-ufrag:abcd', 'ice-pwd:abcdefghijklmnopqrstuv'] }]);
    const scene = answered(createScene(), withMid(phone.address, 40_000), withMid(pbx.address, 20_000));
    const trickle = (cseq: number, ports: readonly number[]) => {
      const lines = ports.map((port) => `a=candidate:${port} 1 UDP 1 192.0.2.10 ${port} typ host`);
      const body = ['a=ice-ufrag:abcd', 'm=audio 9 RTP/AVP 0', 'a=mid:0', ...lines, ''].join('\r\n');
      const contentType = 'application/trickle-ice-sdpfrag';
      scene.send(phone, pbx, sip('INFO', { to: 'b', cseq, body, contentType }));
    };
    const first = Array.from({ length: 17 }, (_, index) => 51_000 + 2 * index);
    trickle(2, first);
    trickle(2, first);
    trickle(3, [52_000]);
    assert.ok(scene.open().includes('udp 192.0.2.10:52000-52000 < 198.51.100.20'));
  });
});

describe('a candidate that was closed because nothing came', () => {
  const offering = (ports: readonly number[]) => {
    const attributes = ports.map((port) => `candidate:${port} 1 UDP 1 192.0.2.10 ${port} typ host`);
    return sdp(phone.address, [{ port: 40_000, attributes }]);
  };
  const again = (scene: Scene, cseq: number, ports: readonly number[]) => {
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq, body: offering(ports) }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq, body: ANSWER }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', cseq }));
  };
  const CANDIDATE = 'udp 192.0.2.10:50000-50000 < 198.51.100.20';

  test('stays closed as long as it is announced, however often', () => {
    const scene = answered(createScene(), offering([50_000]));
    assert.ok(scene.open().includes(CANDIDATE));
    scene.wait(61_000);
    assert.deepEqual(scene.open(), ESTABLISHED);
    again(scene, 2, [50_000, 50_010]);
    assert.ok(!scene.open().includes(CANDIDATE));
    assert.ok(scene.open().includes('udp 192.0.2.10:50010-50010 < 198.51.100.20'));
    again(scene, 3, [50_000]);
    assert.ok(!scene.open().includes(CANDIDATE));
  });

  test('opens when it is announced anew, after a description without it', () => {
    const scene = answered(createScene(), offering([50_000]));
    scene.wait(61_000);
    again(scene, 2, []);
    assert.deepEqual(scene.open(), ESTABLISHED);
    again(scene, 3, [50_000]);
    assert.ok(scene.open().includes(CANDIDATE));
  });
});

describe('streams that give up their transport', () => {
  const described = (address: string, audio: number, video: number, group: readonly string[]) =>
    sdp(
      address,
      [
        { port: audio, attributes: ['mid:0', 'rtcp-mux'] },
        { media: 'video', port: video, attributes: ['mid:1', 'rtcp-mux'] },
      ],
      group,
    );
  const agree = (scene: Scene, cseq: number, to: string, offer: string, answer: string) => {
    scene.send(phone, pbx, sip('INVITE', { to, cseq, body: offer }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq, body: answer }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', cseq }));
  };
  const apart = [
    described(phone.address, 40_000, 40_010, []),
    described(pbx.address, 20_000, 20_010, []),
  ] as const;

  test('to a group go at once with the answer (RFC 8843 7.3.3): the stream goes on in the group', () => {
    const scene = createScene();
    agree(scene, 1, '', ...apart);
    scene.wait(2_000);
    assert.equal(scene.open().length, 4);
    const group = ['a=group:BUNDLE 0 1'];
    agree(
      scene,
      2,
      'b',
      described(phone.address, 40_000, 40_010, group),
      described(pbx.address, 20_000, 20_000, group),
    );
    assert.deepEqual(
      scene.open().filter((line) => !line.includes(':40000-') && !line.includes(':20000-')),
      [],
    );
  });

  test('to another port stay for media that is under way, a minute by default (RFC 3264 8.3.1)', () => {
    const scene = createScene();
    agree(scene, 1, '', ...apart);
    scene.wait(2_000);
    agree(scene, 2, 'b', described(phone.address, 40_000, 40_020, []), apart[1]);
    const old = 'udp 192.0.2.10:40010-40010 < 198.51.100.20';
    assert.ok(scene.open().includes(old));
    scene.wait(59_000);
    assert.ok(scene.open().includes(old));
    scene.wait(1_000);
    assert.ok(!scene.open().includes(old));
  });

  test('to a port that may not be opened stay as if it had been: the party may go on sending from where it was', () => {
    const scene = createScene();
    agree(scene, 1, '', ...apart);
    scene.wait(2_000);
    agree(scene, 2, 'b', described(phone.address, 40_000, 1_010, []), apart[1]);
    const old = 'udp 192.0.2.10:40010-40010 < 198.51.100.20';
    scene.wait(59_000);
    assert.ok(scene.open().includes(old));
    scene.wait(2_000);
    assert.ok(!scene.open().includes(old));
    const reasons = scene.events.flatMap((event) =>
      event.type === 'pinhole' && event.pinhole.ports[1] === 40_010 ? [event.reason] : [],
    );
    assert.deepEqual(reasons.slice(-2), ['moved', 'moved'], 'as it begins to leave, and as it goes');
  });
});
