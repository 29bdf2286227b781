import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');
const gateway = '198.51.100.30';
const stranger = host('203.0.113.66');

const OFFER = sdp('192.0.2.10', [40000]);
const ANSWER = sdp('198.51.100.20', [20000]);

/** A call from phone to pbx that is answered, with its three-way handshake done. */
function answered(scene = createScene(), answer = ANSWER, offer = OFFER) {
  scene.send(phone, pbx, sip('INVITE', { body: offer }));
  scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: answer }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  return scene;
}

describe('the patterns of RFC 6337 table 1', () => {
  test('INVITE / 2xx: the offerer is open to the signalling peer before the answer, then both are open', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('2xx / ACK: an offer in the 2xx is answered in the ACK', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE'));
    assert.deepEqual(scene.open(), []);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.deepEqual(scene.open(), ['udp 198.51.100.20:20000-20001 < 192.0.2.10']);
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack', body: OFFER }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('INVITE / reliable 1xx: the 2xx after it is not another answer (RFC 3261 13.2.1)', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(
      pbx,
      phone,
      sip('183 INVITE', { to: 'b', headers: ['Require: 100rel', 'RSeq: 1'], body: ANSWER }),
    );
    const before = scene.open();
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [30000]) }));
    assert.deepEqual(scene.open(), before);
    assert.equal(before.length, 2);
  });

  test('reliable 1xx / PRACK: an offer in the 1xx is answered in the PRACK (RFC 3262 section 5)', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE'));
    scene.send(
      pbx,
      phone,
      sip('183 INVITE', { to: 'b', headers: ['Require: 100rel', 'RSeq: 1'], body: ANSWER }),
    );
    scene.send(phone, pbx, sip('PRACK', { to: 'b', cseq: 2, headers: ['RAck: 1 1 INVITE'], body: OFFER }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('PRACK / 2xx to PRACK: a second offer in the early dialog', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(
      pbx,
      phone,
      sip('183 INVITE', { to: 'b', headers: ['Require: 100rel', 'RSeq: 1'], body: ANSWER }),
    );
    scene.send(
      phone,
      pbx,
      sip('PRACK', { to: 'b', cseq: 2, headers: ['RAck: 1 1 INVITE'], body: sdp('192.0.2.10', [41000]) }),
    );
    assert.ok(scene.open().includes('udp 192.0.2.10:41000-41001 < 198.51.100.20'));
    scene.send(pbx, phone, sip('200 PRACK', { to: 'b', cseq: 2, body: ANSWER }));
    scene.wait(60_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:41000-41001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('UPDATE / 2xx to UPDATE in an early dialog, from the callee (RFC 3311)', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(
      pbx,
      phone,
      sip('183 INVITE', { to: 'b', headers: ['Require: 100rel', 'RSeq: 1'], body: ANSWER }),
    );
    scene.send(
      pbx,
      phone,
      sip('UPDATE', { from: 'b', to: 'a', cseq: 7, body: sdp('198.51.100.20', [22000]) }),
    );
    assert.ok(scene.open().includes('udp 198.51.100.20:22000-22001 < 192.0.2.10'));
    scene.send(phone, pbx, sip('200 UPDATE', { from: 'b', to: 'a', cseq: 7, body: OFFER }));
    scene.wait(60_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 198.51.100.20:22000-22001 < 192.0.2.10',
    ]);
  });
});

describe('sources', () => {
  test('the answer adds the announced media address; media of a third host does not pass', () => {
    const scene = answered(createScene({ mediaHosts: networks(gateway) }), sdp(gateway, [20000]));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.30',
      'udp 198.51.100.30:20000-20001 < 192.0.2.10',
    ]);
    assert.equal(scene.media(gateway, 20000, '192.0.2.10', 40000), true);
    assert.equal(scene.media(stranger.address, 20000, '192.0.2.10', 40000), false);
    assert.equal(scene.media(gateway, 20000, '192.0.2.10', 40002), false);
  });

  test('early-media-source: any is narrowed by the answer', () => {
    const scene = createScene({ earlyMediaSource: 'any' });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < any']);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20'));
    assert.equal(scene.open().length, 2);
  });

  test('a phone behind its own NAT announces a private address and sends from the signalling one', () => {
    const scene = answered(createScene(), ANSWER, sdp('10.1.1.5', [40000]));
    assert.deepEqual(scene.open(), ['udp 198.51.100.20:20000-20001 < 10.1.1.5,192.0.2.10']);
    assert.equal(scene.media('192.0.2.10', 61234, '198.51.100.20', 20000), true);
  });

  test('symmetric pins the source ports, RTP and RTCP apart', () => {
    const scene = answered(createScene({ symmetric: true }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40000 < 198.51.100.20:20000',
      'udp 192.0.2.10:40001-40001 < 198.51.100.20:20001',
      'udp 198.51.100.20:20000-20000 < 192.0.2.10:40000',
      'udp 198.51.100.20:20001-20001 < 192.0.2.10:40001',
    ]);
  });

  test('media of the other address family than signalling opens at the answer', () => {
    const scene = createScene({ mediaHosts: networks('2001:db8::/32') });
    scene.send(phone, pbx, sip('INVITE', { body: sdp('2001:db8:1::10', [40000]) }));
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['no-source']);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: sdp('2001:db8:2::20', [20000]) }));
    assert.deepEqual(scene.open(), [
      'udp [2001:db8:1::10]:40000-40001 < 2001:db8:2::20',
      'udp [2001:db8:2::20]:20000-20001 < 2001:db8:1::10',
    ]);
  });
});

describe('re-INVITE', () => {
  const moved = sdp('192.0.2.10', [42000]);

  test('make before break: the old port stays until media arrives on the new one', () => {
    const scene = answered();
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: moved }));
    assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20'));
    assert.ok(scene.open().includes('udp 192.0.2.10:42000-42001 < 198.51.100.20'));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: ANSWER }));
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000), true);
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 42000), true);
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000), false);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:42000-42001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('without media on the new port the old one goes after 60 s', () => {
    const scene = answered();
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: moved }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: ANSWER }));
    scene.wait(59_000);
    assert.equal(scene.open().length, 3);
    scene.wait(1_001);
    assert.equal(scene.open().length, 2);
  });

  test('refused with 488 it leaves exactly what was there', () => {
    const scene = answered();
    const before = scene.open();
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: moved }));
    assert.equal(scene.open().length, 3);
    scene.send(pbx, phone, sip('488 INVITE', { to: 'b', cseq: 2 }));
    assert.deepEqual(scene.open(), before);
  });

  test('that both parties refuse with 491, each with its ACK, leaves what was there (RFC 3261 14.2)', () => {
    const scene = answered();
    const before = scene.open();
    const ours = { to: 'b', cseq: 2, branch: 'z9hG4bK-ours' };
    const theirs = { from: 'b', to: 'a', cseq: 2, branch: 'z9hG4bK-theirs' };
    scene.send(phone, pbx, sip('INVITE', { ...ours, body: OFFER }));
    scene.send(pbx, phone, sip('INVITE', { ...theirs, body: ANSWER }));
    scene.send(pbx, phone, sip('491 INVITE', ours));
    scene.send(phone, pbx, sip('ACK', ours));
    scene.send(phone, pbx, sip('491 INVITE', theirs));
    scene.send(pbx, phone, sip('ACK', theirs));
    scene.wait(61_000);
    assert.deepEqual(scene.open(), before);
  });

  test('refused after a provisional answer it goes back, too', () => {
    const scene = answered();
    const before = scene.open();
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: moved }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b', cseq: 2, body: sdp('198.51.100.20', [24000]) }));
    scene.send(pbx, phone, sip('500 INVITE', { to: 'b', cseq: 2 }));
    assert.deepEqual(scene.open(), before);
  });

  test('a line that an answer leaves out, retransmitted or not, names no address media could come from', () => {
    const inside = { inside: networks('192.0.2.0/24') };
    for (const times of [1, 2]) {
      const scene = createScene(inside);
      scene.send(phone, pbx, sip('INVITE', { body: sdp('192.0.2.10', [40000, 40010]) }));
      for (let sent = 0; sent < times; sent++) {
        scene.send(pbx, phone, sip('183 INVITE', { to: 'b', body: sdp(gateway, [20000]) }));
      }
      const again = { to: 'b', cseq: 2, body: sdp('192.0.2.10', [40000, 40010]) };
      scene.send(phone, pbx, sip('INVITE', again));
      assert.deepEqual(scene.open(), [
        'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.30',
        'udp 192.0.2.10:40010-40011 < 198.51.100.20',
      ]);
    }
  });

  test('fewer m= lines than agreed, which RFC 3264 section 8 forbids: what is left out is switched off, each time', () => {
    const two = sdp('192.0.2.10', [40000, { media: 'video', port: 40010 }]);
    const scene = answered(
      createScene(),
      sdp('198.51.100.20', [20000, { media: 'video', port: 20010 }]),
      two,
    );
    for (const [cseq, port] of [
      [2, 42000],
      [3, 43000],
    ] as const) {
      scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq, body: sdp('192.0.2.10', [port]) }));
      scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq, body: sdp('198.51.100.20', [port]) }));
      scene.wait(60_001);
      assert.deepEqual(scene.open(), [
        `udp 192.0.2.10:${port}-${port + 1} < 198.51.100.20`,
        `udp 198.51.100.20:${port}-${port + 1} < 192.0.2.10`,
      ]);
    }
    assert.ok(scene.refusals().every((reason) => reason === 'fewer-streams'));
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 4, body: two }));
    scene.send(
      pbx,
      phone,
      sip('200 INVITE', {
        to: 'b',
        cseq: 4,
        body: sdp('198.51.100.20', [20000, { media: 'video', port: 20010 }]),
      }),
    );
    scene.wait(60_001);
    assert.equal(scene.open().length, 4);
  });

  test('T.38: image where audio was, answered with the audio line still before it, and the other way round', () => {
    const image = (port: number) => [{ media: 'image', port, proto: 'udptl' }];
    const lines = {
      all: (address: string, port: number) => sdp(address, [{ port: 0 }, ...image(port)]),
      one: (address: string, port: number) => sdp(address, image(port)),
    };
    for (const [offered, said] of [
      ['all', 'one'],
      ['one', 'all'],
    ] as const) {
      const scene = answered();
      const body = lines[offered]('198.51.100.20', 26000);
      scene.send(pbx, phone, sip('INVITE', { from: 'b', to: 'a', cseq: 9, body }));
      const answer = lines[said]('192.0.2.10', 46000);
      scene.send(phone, pbx, sip('200 INVITE', { from: 'b', to: 'a', cseq: 9, body: answer }));
      scene.wait(60_001);
      assert.deepEqual(scene.open(), [
        'udp 192.0.2.10:46000-46000 < 198.51.100.20',
        'udp 198.51.100.20:26000-26000 < 192.0.2.10',
      ]);
      assert.deepEqual(scene.refusals(), offered === 'all' ? ['fewer-streams'] : []);
    }
  });

  test('T.38: the slot changes from audio to image, one port, no RTCP', () => {
    const scene = answered();
    const image = (address: string, port: number) => sdp(address, [{ media: 'image', port, proto: 'udptl' }]);
    scene.send(
      pbx,
      phone,
      sip('INVITE', { from: 'b', to: 'a', cseq: 9, body: image('198.51.100.20', 26000) }),
    );
    scene.send(
      phone,
      pbx,
      sip('200 INVITE', { from: 'b', to: 'a', cseq: 9, body: image('192.0.2.10', 46000) }),
    );
    scene.wait(60_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:46000-46000 < 198.51.100.20',
      'udp 198.51.100.20:26000-26000 < 192.0.2.10',
    ]);
  });

  test('a stream disabled by port 0 closes at once', () => {
    const both = (address: string, audio: number, video: number) =>
      sdp(address, [audio, { media: 'video', port: video }]);
    const scene = answered(
      createScene(),
      both('198.51.100.20', 20000, 20010),
      both('192.0.2.10', 40000, 40010),
    );
    assert.equal(scene.open().length, 4);
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: both('192.0.2.10', 40000, 0) }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: both('198.51.100.20', 20000, 0) }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });
});

describe('hold', () => {
  for (const [name, line] of [
    ['sendonly', { port: 40000, attributes: ['sendonly'] }],
    ['inactive', { port: 40000, attributes: ['inactive'] }],
    ['0.0.0.0', { port: 40000, c: '0.0.0.0' }],
  ] as const) {
    test(`${name} keeps the pinholes, and for longer without media`, () => {
      const scene = answered();
      const before = scene.open();
      const commits = scene.commits;
      scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [line]) }));
      scene.send(
        pbx,
        phone,
        sip('200 INVITE', {
          to: 'b',
          cseq: 2,
          body: sdp('198.51.100.20', [{ port: 20000, attributes: ['recvonly'] }]),
        }),
      );
      assert.deepEqual(scene.open(), before);
      scene.wait(7_199_000);
      assert.deepEqual(scene.open(), before);
      assert.equal(scene.commits, commits, 'hold changes nothing in the firewall');
      scene.wait(2_000);
      assert.deepEqual(scene.open(), []);
    });
  }

  test('a first offer at 0.0.0.0 opens nothing and says why', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: sdp('0.0.0.0', [40000]) }));
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['on-hold']);
  });
});

describe('RTCP', () => {
  const mux = (address: string, port: number, ...more: string[]) =>
    sdp(address, [{ port, attributes: ['rtcp-mux', ...more] }]);

  test('a=rtcp names another port (RFC 3605)', () => {
    const scene = answered(
      createScene(),
      ANSWER,
      sdp('192.0.2.10', [{ port: 40000, attributes: ['rtcp:53020'] }]),
    );
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40000 < 198.51.100.20',
      'udp 192.0.2.10:53020-53020 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('a=rtcp naming another host is refused unless it is a media host (A47)', () => {
    const scene = createScene();
    const body = sdp('192.0.2.10', [{ port: 40000, attributes: ['rtcp:53020 IN IP4 192.0.2.99'] }]);
    scene.send(phone, pbx, sip('INVITE', { body }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40000 < 198.51.100.20']);
    assert.deepEqual(scene.refusals(), ['foreign-address']);
  });

  test('rtcp-mux: both ports at the offer, one once both agreed (RFC 5761 5.1.1)', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: mux('192.0.2.10', 40000) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: mux('198.51.100.20', 20000) }));
    scene.wait(2_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40000 < 198.51.100.20',
      'udp 198.51.100.20:20000-20000 < 192.0.2.10',
    ]);
  });

  test('rtcp-mux offered again: the fallback port goes with that answer, too', () => {
    const scene = createScene();
    for (const cseq of [1, 2]) {
      const dialog = cseq === 1 ? {} : { to: 'b', cseq };
      scene.send(phone, pbx, sip('INVITE', { ...dialog, body: mux('192.0.2.10', 40000) }));
      assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20'));
      scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq, body: mux('198.51.100.20', 20000) }));
      scene.send(phone, pbx, sip('ACK', { to: 'b', cseq }));
      scene.wait(2_000);
      assert.deepEqual(scene.open(), [
        'udp 192.0.2.10:40000-40000 < 198.51.100.20',
        'udp 198.51.100.20:20000-20000 < 192.0.2.10',
      ]);
    }
  });

  test('rtcp-mux refused by the answer keeps the pair', () => {
    const scene = answered(createScene(), ANSWER, mux('192.0.2.10', 40000));
    scene.wait(2_000);
    assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20'));
  });

  test('m=audio 49170/2 is two pairs (RFC 3605 3.2)', () => {
    const scene = createScene();
    const body = OFFER.replace('m=audio 40000', 'm=audio 49170/2');
    scene.send(phone, pbx, sip('INVITE', { body }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:49170-49173 < 198.51.100.20']);
  });

  test('an odd RTP port is opened as it is', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: sdp('192.0.2.10', [40001]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40001-40002 < 198.51.100.20']);
  });
});

describe('BUNDLE and ICE', () => {
  const bundled = (address: string, audio: number, video: number) =>
    sdp(
      address,
      [
        { port: audio, proto: 'UDP/TLS/RTP/SAVPF', attributes: ['mid:0', 'rtcp-mux'] },
        { media: 'video', port: video, proto: 'UDP/TLS/RTP/SAVPF', attributes: ['mid:1', 'rtcp-mux'] },
      ],
      ['a=group:BUNDLE 0 1'],
    );

  test('one transport for each m= line at the offer, one for the group after the answer (RFC 8843)', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { body: bundled('192.0.2.10', 40000, 40010) }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 192.0.2.10:40010-40011 < 198.51.100.20',
    ]);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: bundled('198.51.100.20', 20000, 20000) }));
    scene.wait(2_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40000 < 198.51.100.20',
      'udp 198.51.100.20:20000-20000 < 192.0.2.10',
    ]);
  });

  test('port 0 with bundle-only is not disabled', () => {
    const answer = bundled('198.51.100.20', 20000, 0).replace('a=mid:1', 'a=bundle-only\r\na=mid:1');
    const scene = answered(createScene(), answer, bundled('192.0.2.10', 40000, 40010));
    scene.wait(2_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40000 < 198.51.100.20',
      'udp 198.51.100.20:20000-20000 < 192.0.2.10',
    ]);
  });

  const candidates = [
    'candidate:1 1 UDP 2130706431 192.0.2.10 50000 typ host',
    'candidate:1 2 UDP 2130706430 192.0.2.10 50001 typ host',
    'candidate:2 1 UDP 1694498815 203.0.113.5 50000 typ srflx raddr 192.0.2.10 rport 50000',
    'candidate:3 1 UDP 16777215 203.0.113.9 60000 typ relay raddr 203.0.113.5 rport 50000',
    'candidate:4 1 TCP 1671430143 192.0.2.10 9 typ host tcptype active',
  ];

  test('host candidates of the owner open, unused ones close 60 s after the answer, used ones stay', () => {
    const scene = createScene();
    const offer = sdp('192.0.2.10', [{ port: 40000, attributes: candidates }]);
    scene.send(phone, pbx, sip('INVITE', { body: offer }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 192.0.2.10:50000-50000 < 198.51.100.20',
      'udp 192.0.2.10:50001-50001 < 198.51.100.20',
    ]);
    assert.deepEqual(scene.refusals(), ['foreign-address']);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 50000), true);
    scene.wait(61_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 192.0.2.10:50000-50000 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10,203.0.113.5,203.0.113.9',
    ]);
  });

  test('candidates of the answerer are sources for the offerer, and a scan by candidates opens nothing (A48)', () => {
    const scan = Array.from(
      { length: 200 },
      (_, i) => `candidate:${i} 1 UDP 1 198.51.100.${i + 21} 7000 typ host`,
    );
    const answer = sdp('198.51.100.20', [{ port: 20000, attributes: scan }]);
    const scene = answered(createScene(), answer);
    const opened = scene.open().filter((line) => line.startsWith('udp 198.51.100'));
    assert.deepEqual(opened, ['udp 198.51.100.20:20000-20001 < 192.0.2.10']);
    const sources = scene.open().find((line) => line.startsWith('udp 192.0.2.10'))!;
    assert.ok(sources.split(',').length <= 25, sources);
  });

  test('candidates trickled in INFO open (RFC 8840)', () => {
    const withMid = (address: string, port: number) =>
      sdp(address, [{ port, attributes: ['mid:0', 'ice-ufrag:abcd', 'ice-pwd:abcdefghijklmnopqrstuv'] }]);
    const scene = answered(createScene(), withMid('198.51.100.20', 20000), withMid('192.0.2.10', 40000));
    const fragment = [
      'a=ice-ufrag:abcd',
      'a=ice-pwd:abcdefghijklmnopqrstuv',
      'm=audio 9 RTP/AVP 0',
      'a=mid:0',
      'a=candidate:9 1 UDP 2130706431 192.0.2.10 51000 typ host',
      '',
    ].join('\r\n');
    scene.send(
      phone,
      pbx,
      sip('INFO', { to: 'b', cseq: 2, body: fragment, contentType: 'application/trickle-ice-sdpfrag' }),
    );
    assert.ok(scene.open().includes('udp 192.0.2.10:51000-51000 < 198.51.100.20'), scene.open().join('\n'));
  });
});

describe('forks', () => {
  test('each To-tag is its own early dialog; losers close 32 s after the first 2xx', () => {
    const scene = createScene({ mediaHosts: networks('198.51.100.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b1', body: sdp('198.51.100.31', [20000]) }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b2', body: sdp('198.51.100.32', [20000]) }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.31,198.51.100.32',
      'udp 198.51.100.31:20000-20001 < 192.0.2.10',
      'udp 198.51.100.32:20000-20001 < 192.0.2.10',
    ]);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b2', body: sdp('198.51.100.32', [20000]) }));
    scene.wait(31_000);
    assert.equal(scene.open().length, 3);
    scene.wait(2_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.32',
      'udp 198.51.100.32:20000-20001 < 192.0.2.10',
    ]);
  });

  test('the end of the fork that was answered is the end of the call, whatever the losers announced', () => {
    const scene = createScene({ mediaHosts: networks('198.51.100.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b1', body: sdp('198.51.100.31', [20000]) }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b2', body: sdp('198.51.100.32', [20000]) }));
    scene.send(phone, pbx, sip('BYE', { to: 'b2', cseq: 2 }));
    const before = scene.open();
    scene.send(pbx, phone, sip('200 BYE', { to: 'b2', cseq: 2 }));
    assert.deepEqual(scene.open(), before);
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });

  test('several 2xx are several confirmed dialogs; one BYE ends one of them', () => {
    const scene = createScene({ mediaHosts: networks('198.51.100.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b1', body: sdp('198.51.100.31', [20000]) }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b2', body: sdp('198.51.100.32', [20000]) }));
    assert.equal(scene.open().length, 3);
    scene.send(phone, pbx, sip('BYE', { to: 'b1', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b1', cseq: 2 }));
    scene.wait(1_001);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.32',
      'udp 198.51.100.32:20000-20001 < 192.0.2.10',
    ]);
  });

  test('a 2xx sent again does not bring back the dialog that its BYE has ended', () => {
    const scene = createScene({ mediaHosts: networks('198.51.100.0/24') });
    const second = sip('200 INVITE', { to: 'b2', body: sdp('198.51.100.32', [20000]) });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b1', body: sdp('198.51.100.31', [20000]) }));
    scene.send(pbx, phone, second);
    scene.send(phone, pbx, sip('BYE', { to: 'b2', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b2', cseq: 2 }));
    scene.send(pbx, phone, second);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.31',
      'udp 198.51.100.31:20000-20001 < 192.0.2.10',
    ]);
    scene.send(phone, pbx, sip('BYE', { to: 'b1', cseq: 3 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b1', cseq: 3 }));
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
  });

  test('a fork that rings after another has answered has lost as well', () => {
    const scene = createScene({ mediaHosts: networks('198.51.100.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b1', body: sdp('198.51.100.31', [20000]) }));
    const late = sip('183 INVITE', { to: 'b2', body: sdp('198.51.100.32', [20000]) });
    scene.send(pbx, phone, late);
    assert.equal(scene.open().length, 3);
    scene.wait(33_000);
    assert.equal(scene.open().length, 2);
    scene.send(pbx, phone, late);
    assert.equal(scene.open().length, 2);
  });
});

describe('an offer that cannot be read, or was refused, is an offer', () => {
  const UNREADABLE = { body: 'x', contentType: 'multipart/mixed' };
  const inside = { inside: networks('192.0.2.0/24') };
  const OPEN = ['udp 192.0.2.10:40000-40001 < 198.51.100.20'];
  const talk = (scene: ReturnType<typeof createScene>) => {
    for (let i = 0; i < 10; i++) {
      scene.wait(200_000);
      assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000), true);
    }
  };

  test('its answer opens what it names, for as long as the call lasts', () => {
    for (const offer of [UNREADABLE, { body: 'v=1' }]) {
      const scene = createScene(inside);
      scene.send(pbx, phone, sip('INVITE', offer));
      scene.send(phone, pbx, sip('200 INVITE', { to: 'b', body: OFFER }));
      scene.send(pbx, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
      assert.deepEqual(scene.open(), OPEN);
      talk(scene);
    }
  });

  test('of the party inside: nothing opens by it, and its answer is none to wait for', () => {
    const scene = createScene({ ...inside, caps: { offersPerSecond: 1 } });
    scene.send(phone, pbx, sip('INVITE', { callId: 'first' }));
    for (const callId of ['first', 'second']) {
      scene.send(phone, pbx, sip('INVITE', { callId, from: 'x', body: OFFER }));
      scene.send(pbx, phone, sip('200 INVITE', { callId, from: 'x', to: 'b', body: ANSWER }));
    }
    assert.ok(scene.refusals().includes('offer-rate-limit'));
    assert.deepEqual(scene.open(), OPEN);
  });

  test('a re-INVITE that cannot be read moves nothing of its sender, its answer moves the other', () => {
    const scene = answered();
    scene.send(pbx, phone, sip('INVITE', { from: 'b', to: 'a', cseq: 7, ...UNREADABLE }));
    scene.send(
      phone,
      pbx,
      sip('200 INVITE', { from: 'b', to: 'a', cseq: 7, body: sdp('192.0.2.10', [42000]) }),
    );
    scene.wait(60_001);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:42000-42001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
  });

  test('an early answer that cannot be read, and a 2xx without any: the call is answered', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24') });
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b', body: ANSWER, headers: ['Content-Encoding: gzip'] }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    for (let minutes = 0; minutes < 10; minutes++) {
      assert.ok(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000));
      scene.wait(60_000);
    }
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('an answer that cannot be read leaves what was offered open to the signalling peer', () => {
    const scene = createScene(inside);
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', ...UNREADABLE }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    assert.deepEqual(scene.open(), OPEN);
    talk(scene);
  });

  test('an offer in the 2xx whose ACK has no answer stands', () => {
    const scene = createScene(inside);
    scene.send(pbx, phone, sip('INVITE'));
    scene.send(phone, pbx, sip('200 INVITE', { to: 'b', body: OFFER }));
    scene.send(pbx, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    talk(scene);
  });
});

describe('an answered call has its media', () => {
  const FAR = sdp('203.0.113.50', [30000]);
  const inside = { inside: networks('192.0.2.0/24') };
  const OPEN = ['udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.50'];
  const settle = (scene: ReturnType<typeof createScene>, to: string, body = '') => {
    scene.send(pbx, phone, sip('200 INVITE', { to, body }));
    scene.send(phone, pbx, sip('ACK', { to, branch: 'z9hG4bK-ack' }));
    scene.wait(100_000);
    assert.deepEqual(scene.open(), OPEN);
  };

  for (const [name, early] of [
    ['has no To tag', ''],
    ['has another To tag', 'x'],
    ['has the same To tag', 'b'],
  ] as const) {
    test(`where the 183 with the answer ${name} and the 200 has none`, () => {
      const scene = createScene(inside);
      scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
      scene.send(pbx, phone, sip('183 INVITE', { to: early, body: FAR }));
      assert.deepEqual(scene.open(), OPEN);
      settle(scene, 'b');
    });
  }

  for (const [name, headers, wait] of [
    ['after timers.ringing', [], 1_500_000],
    ['after Expires', ['Expires: 60'], 200_000],
    ['after timers.offer without any response before', null, 60_000],
  ] as const) {
    test(`where the 200 comes ${name}`, () => {
      const scene = createScene(inside);
      scene.send(phone, pbx, sip('INVITE', { body: OFFER, headers: headers ?? [] }));
      if (headers !== null) scene.send(pbx, phone, sip('183 INVITE', { to: 'b', body: FAR }));
      scene.wait(wait);
      assert.deepEqual(scene.open(), []);
      settle(scene, 'b', FAR);
      scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
      scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
      scene.wait(1_000);
      assert.deepEqual(scene.open(), []);
    });
  }

  test('where nothing that was said to the offer can be read: from the signalling peer', () => {
    for (const early of [null, 'b']) {
      const scene = createScene(inside);
      scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
      if (early !== null) scene.send(pbx, phone, sip('180 INVITE', { to: early }));
      const text = { to: 'b', body: 'hello', contentType: 'text/plain' };
      scene.send(pbx, phone, sip('200 INVITE', text));
      scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
      scene.wait(100_000);
      assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    }
  });

  test('a call from outside that nobody answered in time is not waited for', () => {
    const scene = createScene(inside);
    scene.send(pbx, phone, sip('INVITE', { body: ANSWER }));
    scene.wait(60_000);
    scene.send(phone, pbx, sip('200 INVITE', { to: 'b', body: OFFER }));
    assert.deepEqual(scene.open(), []);
  });

  test('but a 200 so late that the caller does not acknowledge keeps nothing open', () => {
    const scene = createScene(inside);
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.wait(200_000);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: FAR }));
    scene.wait(32_001);
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });

  test('and one that was cancelled, or refused, none', () => {
    const scene = createScene(inside);
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('CANCEL'));
    scene.wait(40_000);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: FAR }));
    assert.deepEqual(scene.open(), []);
  });

  test('where a device has one Call-ID for all of its calls and counts CSeq anew', () => {
    const scene = createScene(inside);
    for (const [branch, cseq] of [
      ['z9hG4bK-1', 100],
      ['z9hG4bK-2', 1],
    ] as const) {
      scene.send(phone, pbx, sip('INVITE', { cseq, branch, body: OFFER }));
      scene.send(pbx, phone, sip('200 INVITE', { cseq, branch, to: branch, body: FAR }));
      scene.send(phone, pbx, sip('ACK', { cseq, to: branch, branch: `${branch}-ack` }));
      assert.deepEqual(scene.open(), OPEN);
      scene.send(phone, pbx, sip('BYE', { to: branch, cseq: cseq + 1 }));
      scene.send(pbx, phone, sip('200 BYE', { to: branch, cseq: cseq + 1 }));
      scene.wait(3_000);
      assert.deepEqual(scene.open(), []);
    }
  });
});
