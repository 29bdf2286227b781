import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaults } from '../../src/config/schema.ts';
import { createInspector } from '../../src/inspector.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import {
  createScene,
  type Host,
  host,
  networks,
  peerNetworks,
  type Scene,
  sdp,
  settingsWith,
  sip,
} from '../scene.ts';

const inside = host('192.0.2.10');
const outside = host('198.51.100.20');
const stranger = host('203.0.113.66');
const protectedNet = { inside: networks('192.0.2.0/24') };

function offered(body: string, overrides: Parameters<typeof createScene>[0] = protectedNet): Scene {
  const scene = createScene(overrides);
  scene.send(inside, outside, sip('INVITE', { body }));
  return scene;
}

describe('who may open what', () => {
  test('an outside party opens nothing towards an inside address', () => {
    const scene = createScene(protectedNet);
    scene.send(outside, inside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['not-inside']);
  });

  test('an inside party names itself or a media host, nobody else (A5)', () => {
    const other = sdp('192.0.2.77', [40000]);
    assert.deepEqual(offered(other).refusals(), ['foreign-address']);
    const allowed = offered(other, { ...protectedNet, mediaHosts: networks('192.0.2.77') });
    assert.deepEqual(allowed.open(), ['udp 192.0.2.77:40000-40001 < 198.51.100.20']);
  });

  test('a host that is not inside opens nothing (A6)', () => {
    const scene = createScene(protectedNet);
    scene.send(host('192.0.3.10'), outside, sip('INVITE', { body: sdp('192.0.3.10', [40000]) }));
    assert.deepEqual(scene.open(), []);
  });

  for (const port of [22, 445, 1023]) {
    test(`port ${port} is not opened (A7)`, () => {
      assert.deepEqual(offered(sdp('192.0.2.10', [port])).open(), []);
      assert.deepEqual(offered(sdp('192.0.2.10', [port])).refusals(), ['port-out-of-range']);
    });
  }

  test('denied ports and ports outside the range are not opened, not even as RTCP (A8)', () => {
    assert.deepEqual(offered(sdp('192.0.2.10', [5060])).refusals(), ['denied-port']);
    assert.deepEqual(offered(sdp('192.0.2.10', [5059])).refusals(), ['denied-port']);
    const range = { ...protectedNet, deniedPorts: [[20_000, 20_010]] as const };
    for (const port of [19_999, 20_000, 20_010]) {
      const scene = offered(sdp('192.0.2.10', [port]), range);
      assert.deepEqual(scene.refusals(), ['denied-port'], `${port}`);
      const ports = [...scene.inspector.pinholes()].flatMap((one) => one.ports);
      assert.ok(ports.every((one) => one < 20_000 || one > 20_010));
    }
    for (const port of [19_998, 20_011])
      assert.equal(offered(sdp('192.0.2.10', [port]), range).open().length, 1);
    const narrow = { ...protectedNet, mediaPorts: [[10000, 20000]] as const };
    assert.deepEqual(offered(sdp('192.0.2.10', [20000]), narrow).refusals(), ['port-out-of-range']);
    assert.deepEqual(offered(sdp('192.0.2.10', [19998]), narrow).open().length, 1);
  });

  test('RTP goes without its RTCP where that alone has no port', () => {
    for (const [port, settings] of [
      [32_768, { ...protectedNet, mediaPorts: [[16_384, 32_768]] as const }],
      [19_998, { ...protectedNet, deniedPorts: [[19_999, 20_010]] as const }],
    ] as const) {
      const scene = offered(sdp('192.0.2.10', [port]), settings);
      scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [6000]) }));
      assert.deepEqual(scene.open(), [`udp 192.0.2.10:${port}-${port} < 198.51.100.20`]);
      assert.equal(scene.media('198.51.100.20', 6000, '192.0.2.10', port), true);
      assert.equal(scene.media('198.51.100.20', 6001, '192.0.2.10', port + 1), false);
    }
    const below = offered(sdp('192.0.2.10', [16_383]), { ...protectedNet, mediaPorts: [[16_384, 32_768]] });
    assert.deepEqual(below.open(), []);
  });

  for (const address of [
    '0.1.2.3',
    '127.0.0.1',
    '224.2.1.1',
    '240.0.0.1',
    '255.255.255.255',
    '169.254.1.1',
    '::1',
    'ff02::1',
    'fe80::1',
  ]) {
    test(`${address} is never opened (A9)`, () => {
      const everywhere = { inside: networks('0.0.0.0/0', '::/0'), mediaHosts: networks('0.0.0.0/0', '::/0') };
      assert.deepEqual(offered(sdp(address, [40000]), everywhere).open(), []);
      assert.deepEqual(offered(sdp(address, [40000]), everywhere).refusals(), ['unusable-address']);
    });
  }

  for (const [named, own] of [
    ['127.0.0.1', '192.0.2.10'],
    ['0.0.0.7', '192.0.2.10'],
    ['224.2.1.1', '192.0.2.10'],
    ['255.255.255.255', '192.0.2.10'],
    ['169.254.1.1', '192.0.2.10'],
  ] as const) {
    test(`nothing is let in from ${named}, which sends nothing`, () => {
      const scene = createScene(protectedNet);
      scene.send(inside, outside, sip('INVITE', { body: sdp(own, [40000]) }));
      scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp(named, [20000]) }));
      assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    });
  }

  for (const named of ['::1', 'fe80::1', 'ff02::1']) {
    test(`a stream whose only sender would be ${named} has no source`, () => {
      const scene = createScene({
        inside: networks('192.0.2.0/24', '2001:db8:1::/48'),
        mediaHosts: networks('2001:db8:1::10'),
      });
      scene.send(inside, outside, sip('INVITE', { body: sdp('2001:db8:1::10', [40000]) }));
      scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp(named, [20000]) }));
      assert.deepEqual(scene.open(), []);
      assert.ok(scene.refusals().includes('no-source'));
    });
  }

  test('an IPv4-mapped IPv6 address is checked as the IPv4 address it is (A9)', () => {
    assert.deepEqual(offered(sdp('::ffff:127.0.0.1', [40000])).open(), []);
    assert.deepEqual(offered(sdp('::ffff:192.0.2.77', [40000])).open(), []);
  });

  test('a peer that is not in `peers` gets no pinhole', () => {
    const scene = offered(sdp('192.0.2.10', [40000]), {
      ...protectedNet,
      peers: peerNetworks('203.0.113.1'),
    });
    assert.deepEqual(scene.refusals(), ['peer-not-allowed']);
  });

  for (const named of ['203.0.113.1', '192.0.2.11']) {
    test(`a peer that is not in \`peers\` gets none by announcing ${named} as its media address`, () => {
      const scene = createScene({ ...protectedNet, peers: peerNetworks('203.0.113.1') });
      scene.send(outside, inside, sip('INVITE', { body: sdp(named, [40000]) }));
      scene.send(inside, outside, sip('200 INVITE', { to: 'b', body: sdp('192.0.2.10', [20000]) }));
      assert.deepEqual(scene.open(), []);
      assert.ok(scene.refusals().includes('peer-not-allowed'));
    });
  }

  test('a peer that is in `peers` may have its media come from elsewhere', () => {
    const scene = createScene({ ...protectedNet, peers: peerNetworks('198.51.100.20') });
    scene.send(outside, inside, sip('INVITE', { body: sdp('203.0.113.9', [40000]) }));
    scene.send(inside, outside, sip('200 INVITE', { to: 'b', body: sdp('192.0.2.10', [20000]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:20000-20001 < 198.51.100.20,203.0.113.9']);
  });
});

describe('responses', () => {
  test('a 200 with SDP to no INVITE opens nothing (A24)', () => {
    const scene = createScene(protectedNet);
    scene.send(inside, outside, sip('200 INVITE', { to: 'b', body: sdp('192.0.2.10', [40000]) }));
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['response-without-request']);
  });

  test('an answer from a host that was not asked opens nothing (A25, A27)', () => {
    const scene = createScene();
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    const before = scene.open();
    for (const status of ['183', '200']) {
      scene.send(stranger, inside, sip(`${status} INVITE`, { to: 'b', body: sdp('203.0.113.66', [666]) }));
    }
    assert.deepEqual(scene.open(), before);
    assert.deepEqual(scene.refusals(), [], 'whoever asked may go on with it yet');
    scene.send(inside, outside, sip('CANCEL'));
    scene.send(outside, inside, sip('487 INVITE', { to: 'c' }));
    scene.send(inside, outside, sip('ACK', { to: 'c', branch: 'z9hG4bK-call-1@example.com-1-INVITE' }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['wrong-dialog', 'wrong-dialog']);
  });

  test('an answer by the asker itself, a wrong branch or a wrong CSeq does nothing', () => {
    const scene = createScene();
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    const before = scene.open();
    const body = sdp('198.51.100.20', [20000]);
    scene.send(inside, outside, sip('200 INVITE', { to: 'b', body }));
    scene.send(outside, inside, sip('200 INVITE', { to: 'b', branch: 'z9hG4bK-guessed', body }));
    scene.send(
      outside,
      inside,
      sip('200 INVITE', { to: 'b', cseq: 9, branch: 'z9hG4bK-call-1@example.com-1-INVITE', body }),
    );
    assert.deepEqual(scene.open(), before);
  });

  test('a re-INVITE of a third host is not part of the dialog (A29)', () => {
    const scene = createScene();
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [20000]) }));
    const before = scene.open();
    scene.send(
      stranger,
      inside,
      sip('INVITE', { from: 'b', to: 'a', cseq: 8, body: sdp('203.0.113.66', [20000]) }),
    );
    scene.send(inside, stranger, sip('481 INVITE', { from: 'b', to: 'a', cseq: 8 }));
    assert.deepEqual(scene.open(), before);
    assert.deepEqual(scene.refusals(), ['wrong-dialog']);
  });
});

describe('bodies', () => {
  test('SDP behind the end of the body does not count (A12)', () => {
    const hidden = sip('INVITE', { body: sdp('192.0.2.10', [40000]) }) + sdp('192.0.2.10', [50000]);
    const scene = createScene(protectedNet);
    scene.send(inside, outside, hidden);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('SDP in a text body or in a header is no SDP (A13)', () => {
    const scene = createScene(protectedNet);
    const body = sdp('192.0.2.10', [40000]);
    scene.send(inside, outside, sip('INVITE', { body, contentType: 'text/plain' }));
    scene.send(
      inside,
      outside,
      sip('INVITE', { callId: 'two', headers: [`Subject: ${body.replaceAll('\r\n', '\r\n ')}`] }),
    );
    assert.deepEqual(scene.open(), []);
  });

  test('two session descriptions are none (A14)', () => {
    const part = `--x\r\nContent-Type: application/sdp\r\n\r\n${sdp('192.0.2.10', [40000])}\r\n`;
    const scene = createScene(protectedNet);
    scene.send(
      inside,
      outside,
      sip('INVITE', { body: `${part}${part}--x--\r\n`, contentType: 'multipart/mixed;boundary=x' }),
    );
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['several-sdp']);
  });

  test('thousands of m= lines open no more than the caps (A15)', () => {
    const lines = Array.from({ length: 2000 }, (_, i) => 10_000 + 2 * i);
    const scene = createScene({ ...protectedNet, caps: { pinholesPerCall: 20 } });
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', lines) }));
    assert.equal(scene.open().length, 20);
    assert.ok(scene.refusals().includes('too-many-streams'));
  });
});

describe('floods', () => {
  test('offers over the rate open nothing, other sources are served (A18)', () => {
    const scene = createScene({ ...protectedNet, caps: { offersPerSecond: 20 } });
    for (let i = 0; i < 200; i++) {
      scene.send(
        inside,
        outside,
        sip('INVITE', { callId: `flood-${i}`, body: sdp('192.0.2.10', [10_000 + 2 * i]) }),
      );
    }
    assert.ok(scene.open().length <= 24, `${scene.open().length}`);
    const other = host('192.0.2.11');
    scene.send(other, outside, sip('INVITE', { callId: 'other', body: sdp('192.0.2.11', [40000]) }));
    assert.ok(scene.open().includes('udp 192.0.2.11:40000-40001 < 198.51.100.20'));
  });

  test('calls past the caps pass, and are counted again when others end', () => {
    const scene = createScene({ ...protectedNet, caps: { calls: 2 } });
    for (const callId of ['1', '2', '3']) {
      scene.send(
        inside,
        outside,
        sip('INVITE', { callId, body: sdp('192.0.2.10', [10_000 + 2 * Number(callId)]) }),
      );
    }
    assert.equal(scene.open().length, 2);
    assert.deepEqual(scene.refusals(), ['calls-limit']);
    scene.send(outside, inside, sip('486 INVITE', { callId: '1', to: 'b' }));
    scene.send(inside, outside, sip('INVITE', { callId: '4', body: sdp('192.0.2.10', [30_000]) }));
    assert.ok(scene.open().includes('udp 192.0.2.10:30000-30001 < 198.51.100.20'));
  });

  test('unanswered INVITEs from outside do not keep an inside host from calling', () => {
    const scene = createScene({ ...protectedNet, caps: { callsPerHost: 10 } });
    for (let i = 0; i < 30; i++) {
      scene.send(
        stranger,
        inside,
        sip('INVITE', { callId: `flood-${i}`, body: sdp('203.0.113.66', [40000]) }),
      );
    }
    scene.send(inside, outside, sip('INVITE', { callId: 'out', body: sdp('192.0.2.10', [40000]) }));
    scene.send(outside, inside, sip('INVITE', { callId: 'in', body: sdp('198.51.100.20', [20000]) }));
    scene.send(
      inside,
      outside,
      sip('200 INVITE', { callId: 'in', to: 'b', body: sdp('192.0.2.10', [41000]) }),
    );
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 192.0.2.10:41000-41001 < 198.51.100.20',
    ]);
    // They wait in a room of their own.
    assert.deepEqual(
      scene.refusals().filter((reason) => reason !== 'not-inside'),
      [],
    );
  });

  test('nor do they keep others from calling when all calls are counted', () => {
    const scene = createScene({ ...protectedNet, caps: { calls: 10 } });
    for (let i = 0; i < 30; i++) {
      const victim = host(`192.0.2.${100 + i}`);
      scene.send(
        stranger,
        victim,
        sip('INVITE', { callId: `flood-${i}`, body: sdp('203.0.113.66', [40000]) }),
      );
    }
    scene.send(inside, outside, sip('INVITE', { callId: 'out', body: sdp('192.0.2.10', [40000]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('a call that was answered is not given up for another', () => {
    const scene = createScene({ ...protectedNet, caps: { callsPerHost: 1 } });
    scene.send(outside, inside, sip('INVITE', { callId: 'first', body: sdp('198.51.100.20', [20000]) }));
    scene.send(inside, outside, sip('180 INVITE', { callId: 'first', to: 'b' }));
    scene.send(stranger, inside, sip('INVITE', { callId: 'second', body: sdp('203.0.113.66', [40000]) }));
    scene.send(inside, stranger, sip('180 INVITE', { callId: 'second', to: 'c' }));
    assert.deepEqual(scene.refusals(), ['not-inside', 'not-inside', 'calls-per-host-limit']);
    scene.send(
      inside,
      outside,
      sip('200 INVITE', { callId: 'first', to: 'b', body: sdp('192.0.2.10', [40000]) }),
    );
    assert.equal(scene.open().length, 1);
  });

  test('a 100 takes no place: a proxy sends one to everybody', () => {
    const scene = createScene({ ...protectedNet, caps: { callsPerHost: 10 } });
    for (let i = 0; i < 30; i++) {
      const callId = `flood-${i}`;
      scene.send(stranger, inside, sip('INVITE', { callId, body: sdp('203.0.113.66', [40000]) }));
      scene.send(inside, stranger, sip('100 INVITE', { callId }));
    }
    scene.send(inside, outside, sip('INVITE', { callId: 'out', body: sdp('192.0.2.10', [40000]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('the calls of a stranger that wait give way to those of others, not the other way round', () => {
    const scene = createScene({ ...protectedNet, caps: { unanswered: 100 } });
    for (const callId of ['real-1', 'real-2']) {
      scene.send(outside, inside, sip('INVITE', { callId, body: sdp('198.51.100.20', [20000]) }));
    }
    for (let i = 0; i < 1000; i++) {
      scene.send(stranger, inside, sip('INVITE', { callId: `flood-${i}`, from: `t${i}` }));
    }
    const givenUp = [...scene.inspector.calls()].filter(({ endReason }) => endReason === 'over-limit');
    assert.equal(givenUp.length, 902);
    assert.ok(givenUp.every(({ callId }) => callId.startsWith('flood-')));
    assert.equal(scene.refusals().filter((reason) => reason === 'unanswered-limit').length, 902);
  });

  for (const status of ['183', '200']) {
    test(`a call that gave way to a flood of spoofed sources opens with its ${status}`, () => {
      const scene = createScene({ ...protectedNet, caps: { unanswered: 100 } });
      for (const callId of ['real', 'also-real']) {
        scene.send(outside, inside, sip('INVITE', { callId, body: sdp('198.51.100.40', [20000]) }));
      }
      for (let i = 0; i < 200; i++) {
        const spoofed = host(`198.18.0.${i}`);
        scene.send(spoofed, inside, sip('INVITE', { callId: `flood-${i}`, from: `t${i}` }));
      }
      const [call] = [...scene.inspector.calls()].filter(({ callId }) => callId === 'real');
      assert.equal(call?.endReason, 'over-limit');
      const answer = { callId: 'real', to: 'b', body: sdp('192.0.2.10', [40000]) };
      scene.send(inside, outside, sip(`${status} INVITE`, answer));
      assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.40']);
      assert.equal(call?.endReason, null);
      scene.send(inside, outside, sip('486 INVITE', { callId: 'real', to: 'b' }));
      assert.equal(scene.inspector.sizes().calls, status === '200' ? 101 : 100);
    });
  }

  test('an answer for which there is no place says so, and one that comes later opens', () => {
    const scene = createScene({ ...protectedNet, caps: { callsPerHost: 1 } });
    scene.send(inside, outside, sip('INVITE', { callId: 'first', body: sdp('192.0.2.10', [30000]) }));
    scene.send(outside, inside, sip('INVITE', { callId: 'late', body: sdp('198.51.100.20', [20000]) }));
    const answer = (status: string) =>
      scene.send(
        inside,
        outside,
        sip(`${status} INVITE`, { callId: 'late', to: 'b', body: sdp('192.0.2.10', [40000]) }),
      );
    answer('183');
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:30000-30001 < 198.51.100.20']);
    assert.ok(scene.refusals().includes('calls-per-host-limit'));
    scene.send(outside, inside, sip('486 INVITE', { callId: 'first', to: 'x' }));
    scene.wait(1000);
    answer('200');
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('a call that a cap refused is kept with its reason, and opens when its answer finds a place', () => {
    const scene = createScene({ ...protectedNet, caps: { callsPerHost: 1 } });
    for (const callId of ['first', 'second']) {
      const port = callId === 'first' ? 30000 : 40000;
      scene.send(inside, outside, sip('INVITE', { callId, body: sdp('192.0.2.10', [port]) }));
    }
    const refused = scene.events.find((event) => event.type === 'refused');
    assert.equal(refused?.call?.callId, 'second');
    assert.equal(scene.inspector.call(refused!.call!.legId)?.endReason, 'over-limit');
    scene.send(outside, inside, sip('486 INVITE', { callId: 'first', to: 'x' }));
    scene.wait(1000);
    assert.deepEqual(scene.open(), []);
    const answer = { callId: 'second', to: 'b', body: sdp('198.51.100.40', [20000]) };
    scene.send(outside, inside, sip('200 INVITE', answer));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.40']);
  });

  test('calls that are over are remembered up to a cap, the latest of them', () => {
    const scene = createScene({ ...protectedNet, caps: { ended: 100, unanswered: 10 } });
    for (let i = 0; i < 500; i++) {
      scene.send(stranger, inside, sip('INVITE', { callId: `flood-${i}`, from: `t${i}` }));
    }
    const known = [...scene.inspector.calls()].map(({ callId }) => callId);
    assert.deepEqual(
      known,
      Array.from({ length: 110 }, (_, i) => `flood-${390 + i}`),
    );
    assert.equal(scene.inspector.call('0'.repeat(16)), null);
  });

  test('a call that is forgotten while its media drains leaves no pinhole', () => {
    const scene = createScene({ ...protectedNet, caps: { ended: 100 }, timers: { drain: 10_000 } });
    scene.send(inside, outside, sip('INVITE', { callId: 'first', body: sdp('192.0.2.10', [30000]) }));
    scene.send(outside, inside, sip('486 INVITE', { callId: 'first', to: 'x' }));
    assert.equal(scene.open().length, 1);
    for (let i = 0; i < 100; i++) {
      scene.send(stranger, inside, sip('INVITE', { callId: `${i}` }));
      scene.send(inside, stranger, sip('486 INVITE', { callId: `${i}`, to: 'x' }));
    }
    assert.deepEqual(scene.open(), []);
  });

  test('a PBX has 1,000 calls by default, each with two legs, and its provider is not muted by spoofed offers', () => {
    const settings = { ...defaults(), inside: networks('192.0.2.0/24') };
    const inspector = createInspector(() => settings);
    let now = 0;
    const packet = (from: Host, to: Host, text: string) =>
      inspector.inspect(udpPacket(from, to, text), now++, null);
    for (let i = 0; i < 1000; i++) {
      packet(outside, inside, sip('INVITE', { callId: `spoof-${i}`, body: sdp('203.0.113.66', [4000]) }));
      const phone = host(`192.0.2.${20 + (i % 200)}`);
      const [trunk, leg] = [{ callId: `trunk-${i}` }, { callId: `leg-${i}` }];
      const [a, b] = [20_000 + 4 * i, 20_002 + 4 * i];
      packet(outside, inside, sip('INVITE', { ...trunk, body: sdp('198.51.100.40', [a]) }));
      packet(inside, phone, sip('INVITE', { ...leg, body: sdp('192.0.2.10', [b]) }));
      packet(phone, inside, sip('200 INVITE', { ...leg, to: 'b', body: sdp(phone.address, [b]) }));
      packet(inside, outside, sip('200 INVITE', { ...trunk, to: 'b', body: sdp('192.0.2.10', [a]) }));
    }
    assert.equal([...inspector.pinholes()].length, 3000);
    const told = [...inspector.stats.refusals.keys()].filter((reason) => reason !== 'not-inside');
    assert.deepEqual(told, []);
  });

  test('an answer that changes all the time leaves no trail of pinholes', () => {
    const scene = createScene({ ...protectedNet, caps: { pinholesPerCall: 8 } });
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    for (let i = 1; i < 200; i++) {
      scene.send(outside, inside, sip('183 INVITE', { to: 'b', body: sdp(`203.0.113.${i}`, [20000]) }));
      assert.ok(scene.open().length <= 8, `${scene.open().length} after ${i}`);
    }
    assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.199'));
  });

  test('32 forks of 32 streams with 8 candidates each are bounded, in pinholes and in sources', () => {
    const scene = createScene(protectedNet);
    const lines = (address: (candidate: number) => string) =>
      Array.from({ length: 32 }, (_, line) => ({
        port: 20_000 + 20 * line,
        attributes: Array.from(
          { length: 8 },
          (_, i) => `candidate:${i} 1 udp 1 ${address(i)} ${30_000 + 20 * line + i} typ host`,
        ),
      }));
    scene.send(
      inside,
      outside,
      sip('INVITE', {
        body: sdp(
          '192.0.2.10',
          lines(() => '192.0.2.10'),
        ),
      }),
    );
    for (let fork = 0; fork < 32; fork++) {
      const answer = sdp(
        `203.0.113.${fork}`,
        lines((i) => `198.18.${fork}.${i}`),
      );
      scene.send(outside, inside, sip('183 INVITE', { to: `fork-${fork}`, body: answer }));
    }
    assert.ok(scene.open().length <= 64);
    for (const { sources } of scene.inspector.pinholes()) assert.ok(sources.length <= 32);
    assert.ok(scene.refusals().includes('too-many-streams'));
  });

  test('32 forks that answer one stream are sources up to a bound', () => {
    const scene = createScene(protectedNet);
    const candidates = (fork: number) =>
      Array.from({ length: 8 }, (_, i) => `candidate:${i} 1 udp 1 198.18.${fork}.${i} 30000 typ host`);
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    for (let fork = 0; fork < 32; fork++) {
      const answer = sdp(`203.0.113.${fork}`, [{ port: 20_000, attributes: candidates(fork) }]);
      scene.send(outside, inside, sip('183 INVITE', { to: `fork-${fork}`, body: answer }));
    }
    const [pinhole] = scene.inspector.pinholes();
    assert.equal(pinhole?.sources.length, 32);
    assert.ok(pinhole?.sources.includes(outside.address));
    assert.ok(scene.refusals().includes('too-many-sources'));
  });

  test('legs of one Call-ID are bounded, so that a message is looked up among few', () => {
    const scene = createScene(protectedNet);
    const other = host('192.0.2.11');
    for (let i = 0; i < 1_000; i++) {
      const branch = `z9hG4bK-${i}`;
      scene.send(outside, inside, sip('INVITE', { callId: 'same', from: `t${i}`, branch }));
    }
    assert.equal([...scene.inspector.calls()].length, 64);
    assert.ok(scene.refusals().every((reason) => reason === 'legs-limit'));
    scene.send(
      inside,
      outside,
      sip('200 INVITE', { callId: 'same', from: 't63', to: 'b', branch: 'z9hG4bK-63' }),
    );
    scene.send(other, outside, sip('INVITE', { callId: 'other', body: sdp('192.0.2.11', [40000]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.11:40000-40001 < 198.51.100.20']);
    scene.wait(600_000);
    scene.send(inside, outside, sip('INVITE', { callId: 'same', body: sdp('192.0.2.10', [40000]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('one description with many candidates is a source up to the bound: what it said first', () => {
    const scene = createScene({ ...protectedNet, caps: { sources: 4, candidates: 24 } });
    const attributes = Array.from(
      { length: 24 },
      (_, i) => `candidate:${i} 1 udp 1 198.18.0.${i} 30000 typ host`,
    );
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    const body = sdp('203.0.113.9', [{ port: 20_000, attributes }]);
    scene.send(outside, inside, sip('200 INVITE', { to: 'b', body }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.18.0.0,198.18.0.1,198.51.100.20,203.0.113.9',
    ]);
    assert.ok(scene.refusals().includes('too-many-sources'));
  });

  test('a callee that rings on and on holds a port open to everybody for timers.early-any', () => {
    const timers = { earlyAny: 60_000 };
    const scene = createScene({ ...protectedNet, earlyMediaSource: 'any', timers });
    const ring = () => scene.send(outside, inside, sip('180 INVITE', { to: 'b' }));
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    ring();
    scene.wait(59_000);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < any']);
    ring();
    scene.wait(1_000);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    for (let i = 0; i < 10; i++) {
      scene.wait(60_000);
      ring();
    }
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp('203.0.113.9', [5004]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.9']);
  });

  test('calls of one inside host are bounded', () => {
    const scene = createScene({ ...protectedNet, caps: { callsPerHost: 1 } });
    for (const callId of ['1', '2']) {
      scene.send(
        inside,
        outside,
        sip('INVITE', { callId, body: sdp('192.0.2.10', [10_000 + 2 * Number(callId)]) }),
      );
    }
    assert.deepEqual(scene.refusals(), ['calls-per-host-limit']);
  });
});

describe('strict', () => {
  for (const strict of [true, false]) {
    test(`what cannot be read as SIP is ${strict ? 'dropped' : 'released'}`, () => {
      const scene = createScene({ strict });
      const verdict = strict ? 'drop' : 'release';
      assert.equal(scene.send(inside, outside, 'GET / HTTP/1.1\r\n\r\n').verdict, verdict);
      assert.equal(
        scene.send(inside, outside, 'INVITE sip:x SIP/2.0\r\nCSeq: zero\r\n\r\n').verdict,
        verdict,
      );
      assert.equal(scene.send(inside, outside, '\r\n\r\n').verdict, 'release', 'a keepalive is no fault');
      assert.equal(scene.send(inside, outside, sip('OPTIONS')).verdict, 'release');
    });
  }
});

describe('TCP', () => {
  const settings = settingsWith(protectedNet);
  const connection = () => {
    const inspector = createInspector(() => settings);
    let now = 1;
    let seq = 1000;
    inspector.inspect(tcpPacket(inside, outside, { seq, flags: 2 }), now++);
    seq++;
    const segment = (payload: string, at = seq) => {
      const inspection = inspector.inspect(tcpPacket(inside, outside, { seq: at, payload }), now++);
      seq = Math.max(seq, at + payload.length);
      return inspection;
    };
    return { inspector, segment, next: () => seq };
  };
  const invite = sip('INVITE', { body: sdp('192.0.2.10', [40000]) });

  test('the pinhole opens with the segment that completes the message, not before', () => {
    const { inspector, segment } = connection();
    const cut = invite.length - 3;
    assert.equal(segment(invite.slice(0, 100)).change, null);
    assert.equal(segment(invite.slice(100, cut)).change, null);
    assert.equal(segment(invite.slice(cut)).change?.open.length, 1);
    assert.equal([...inspector.pinholes()].length, 1);
  });

  test('an HTTP request whose body starts a segment with SIP stays HTTP for life (A1, A2)', () => {
    const { inspector, segment } = connection();
    segment('POST / HTTP/1.1\r\nHost: 198.51.100.20:5060\r\nContent-Length: 100000\r\n\r\n');
    segment(invite);
    segment(sip('REGISTER'));
    segment(invite);
    assert.deepEqual([...inspector.pinholes()], []);
    assert.equal(inspector.stats.messages.tcp, 0);
  });

  test('a second copy of a segment with another port freezes the stream (A49)', () => {
    const { inspector, segment, next } = connection();
    const start = next();
    segment(invite.slice(0, invite.length - 10), start);
    segment(invite.replace('m=audio 40000', 'm=audio 50000').slice(0, invite.length - 10), start);
    segment(invite.slice(invite.length - 10), start + invite.length - 10);
    assert.deepEqual([...inspector.pinholes()], []);
    assert.equal(inspector.stats.refusals.get('stream-unusable'), 1);
  });

  test('messages that never end take no more than their share of memory, whole ones go on (A17)', () => {
    const small = settingsWith({ ...protectedNet, caps: { reassemblyBytes: 3 << 20 } });
    const inspector = createInspector(() => small);
    const lost: string[] = [];
    const begin = `INVITE sip:bob@example.com SIP/2.0\r\nX: ${'a'.repeat(1_000)}`;
    for (let port = 10_000; port < 14_000; port++) {
      const from = host('203.0.113.66', port);
      inspector.inspect(tcpPacket(from, inside, { seq: 1, flags: 2 }), 1);
      const { events } = inspector.inspect(tcpPacket(from, inside, { seq: 2, payload: begin }), 1);
      for (const event of events) if (event.type === 'refused') lost.push(event.refusal.detail);
      inspector.inspect(tcpPacket(inside, from, { seq: 1, ack: 2 + begin.length, flags: 16 }), 1);
    }
    assert.ok(lost.length > 2_000, `${lost.length}`);
    assert.match(lost[0]!, /^TCP 203\.0\.113\.66 10000 > 192\.0\.2\.10 5060: too many messages/);
    inspector.inspect(tcpPacket(inside, outside, { seq: 1, flags: 2 }), 2);
    inspector.inspect(tcpPacket(inside, outside, { seq: 2, payload: invite.slice(0, 200) }), 2);
    inspector.inspect(tcpPacket(inside, outside, { seq: 202, payload: invite.slice(200) }), 2);
    assert.equal([...inspector.pinholes()].length, 1);
  });

  test('a message that does not go on for 30 s is given up (A17)', () => {
    const inspector = createInspector(() => settings);
    const send = (from: typeof inside, seq: number, payload: string, now: number) =>
      inspector.inspect(tcpPacket(from, outside, seq === 1 ? { seq, flags: 2 } : { seq, payload }), now);
    send(inside, 1, '', 0);
    send(inside, 2, invite.slice(0, 200), 0);
    const other = host('192.0.2.11');
    send(other, 1, '', 29_999);
    assert.deepEqual(send(other, 2, sip('OPTIONS'), 29_999).events.length, 1);
    send(inside, 202, invite.slice(200), 30_000);
    assert.deepEqual([...inspector.pinholes()], []);
    assert.equal(inspector.stats.refusals.get('stream-unusable'), 1);
  });

  test('strict: what is sent again of a stream that is not read is dropped as well', () => {
    const strict = settingsWith({ ...protectedNet, strict: true });
    const inspector = createInspector(() => strict);
    const text = 'POST / HTTP/1.1\r\nHost: example.com\r\n\r\n';
    const segment = { seq: 2, payload: text };
    assert.equal(inspector.inspect(tcpPacket(inside, outside, { seq: 1, flags: 2 }), 1).verdict, 'release');
    for (let now = 2; now < 5; now++) {
      assert.equal(inspector.inspect(tcpPacket(inside, outside, segment), now).verdict, 'drop');
    }
    const next = { seq: 2 + text.length, payload: invite };
    assert.equal(inspector.inspect(tcpPacket(inside, outside, next), 6).verdict, 'drop');
    const fin = { seq: 2 + text.length, flags: 17 };
    assert.equal(inspector.inspect(tcpPacket(inside, outside, fin), 7).verdict, 'release');
  });

  for (const length of ['4294967328', '-1', '12abc', '99999999999999999999']) {
    test(`Content-Length: ${length} ends the reading of the stream (A10, A11)`, () => {
      const { inspector, segment } = connection();
      segment(invite.replace(/Content-Length: \d+/, `Content-Length: ${length}`));
      segment(invite.replace('call-1@', 'call-2@'));
      assert.deepEqual([...inspector.pinholes()], []);
    });
  }
});

test('an unreassembled fragment opens nothing (A3)', () => {
  const settings = settingsWith(protectedNet);
  const inspector = createInspector(() => settings);
  const packet = udpPacket(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
  packet.writeUInt16BE(0x0010, 6);
  assert.equal(inspector.inspect(packet, 1).change, null);
  assert.equal(inspector.stats.messages.udp, 0);
});

describe('what an outside party named first', () => {
  const proxy = host('192.0.2.20');
  const other = host('203.0.113.77');
  const relayed = (branch: string) => ['Record-Route: <sip:192.0.2.20;lr>', `X-Hop: ${branch}`];

  test('is not opened because a proxy inside passes it on, in an offer', () => {
    const scene = createScene(protectedNet);
    const body = sdp('192.0.2.20', [3478, { port: 11211, attributes: ['rtcp:30000'] }]);
    scene.send(outside, proxy, sip('INVITE', { body, branch: 'z9hG4bK-1' }));
    scene.send(proxy, other, sip('INVITE', { body, branch: 'z9hG4bK-2', headers: relayed('2') }));
    assert.deepEqual(scene.open(), []);
    assert.ok(scene.refusals().includes('relayed-transport'));
  });

  test('nor in an answer, as RTCP, as a candidate or as the second port of a pair', () => {
    for (const line of [
      { port: 11211 },
      { port: 20000, c: '203.0.113.77', attributes: ['rtcp:11211 IN IP4 192.0.2.20'] },
      { port: 20000, c: '203.0.113.77', attributes: ['candidate:1 1 udp 1 192.0.2.20 11211 typ host'] },
      { port: 11210 },
    ]) {
      const scene = createScene(protectedNet);
      const offer = sdp('198.51.100.20', [4000]);
      const answer = sdp('192.0.2.20', [line]);
      scene.send(outside, proxy, sip('INVITE', { body: offer, branch: 'z9hG4bK-1' }));
      scene.send(proxy, other, sip('INVITE', { body: offer, branch: 'z9hG4bK-2' }));
      scene.send(other, proxy, sip('200 INVITE', { to: 'b', body: answer, branch: 'z9hG4bK-2' }));
      scene.send(proxy, outside, sip('200 INVITE', { to: 'b', body: answer, branch: 'z9hG4bK-1' }));
      assert.deepEqual(scene.open(), [], JSON.stringify(line));
    }
  });

  test('nor when it was named in a message that opened nothing itself, or in trickled candidates', () => {
    const body = sdp('192.0.2.20', [11211]);
    const unasked = createScene(protectedNet);
    unasked.send(outside, proxy, sip('183 INVITE', { to: 'b', body }));
    unasked.send(proxy, other, sip('INVITE', { body }));
    assert.deepEqual(unasked.open(), []);
    const limited = createScene({ ...protectedNet, caps: { calls: 1 } });
    limited.send(inside, outside, sip('INVITE', { callId: 'first', body: sdp('192.0.2.10', [40000]) }));
    limited.send(outside, proxy, sip('INVITE', { body, branch: 'z9hG4bK-1' }));
    limited.send(outside, inside, sip('486 INVITE', { callId: 'first', to: 'b' }));
    limited.send(proxy, other, sip('INVITE', { body, branch: 'z9hG4bK-2' }));
    limited.wait(1_000);
    assert.deepEqual(limited.open(), []);
    const trickled = createScene(protectedNet);
    const fragment = 'a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.20 11211 typ host\r\n';
    const contentType = 'application/trickle-ice-sdpfrag';
    trickled.send(outside, proxy, sip('INFO', { to: 'b', body: fragment, contentType }));
    trickled.send(proxy, other, sip('INVITE', { body }));
    assert.deepEqual(trickled.open(), []);
  });

  test("what a host inside named first stays its own, whoever repeats it, and so do others' calls", () => {
    const scene = createScene(protectedNet);
    const body = sdp('192.0.2.10', [40000]);
    scene.send(inside, outside, sip('INVITE', { body }));
    scene.send(outside, proxy, sip('INVITE', { body, branch: 'z9hG4bK-2' }));
    scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [20000]) }));
    scene.send(inside, outside, sip('INVITE', { to: 'b', cseq: 2, body }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    scene.send(outside, inside, sip('INVITE', { callId: 'x', body: sdp('192.0.2.10', [42000]) }));
    scene.send(inside, outside, sip('INVITE', { callId: 'y', body: sdp('192.0.2.10', [42000]) }));
    assert.ok(scene.open().includes('udp 192.0.2.10:42000-42001 < 198.51.100.20'));
    assert.ok(!scene.refusals().includes('relayed-transport'));
  });

  test('thousands of ports named from outside leave nothing of that address, and others alone', () => {
    const scene = createScene(protectedNet);
    scene.send(outside, proxy, sip('INVITE', { branch: 'z9hG4bK-1' }));
    for (let cseq = 2; cseq < 60; cseq++) {
      const lines = Array.from({ length: 32 }, (_, i) => 20_000 + 64 * cseq + 2 * i);
      const branch = `z9hG4bK-out-${cseq}`;
      scene.send(outside, proxy, sip('INVITE', { cseq, branch, body: sdp('192.0.2.20', lines) }));
    }
    scene.send(proxy, other, sip('INVITE', { branch: 'z9hG4bK-2', body: sdp('192.0.2.20', [40000]) }));
    assert.deepEqual(scene.open(), []);
    scene.send(
      proxy,
      other,
      sip('INVITE', { callId: 'own', branch: 'z9hG4bK-3', body: sdp('192.0.2.20', [40000]) }),
    );
    assert.deepEqual(scene.open(), ['udp 192.0.2.20:40000-40001 < 203.0.113.77']);
  });

  test('nor do so many addresses named before it that no more are taken down', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24', '10.0.0.0/8') });
    const attributes = (i: number) =>
      Array.from({ length: 24 }, (_, j) => `candidate:1 1 udp 1 10.0.${i}.${j} 5000 typ host`);
    const lines = Array.from({ length: 30 }, (_, i) => ({ port: 4000, attributes: attributes(i) }));
    const body = sdp('192.0.2.20', [11211]);
    scene.send(proxy, other, sip('INVITE', { body: sdp('192.0.2.20', [40000]), branch: 'z9hG4bK-0' }));
    scene.send(outside, proxy, sip('INVITE', { branch: 'z9hG4bK-1', body: sdp('198.51.100.20', lines) }));
    scene.send(outside, proxy, sip('INVITE', { branch: 'z9hG4bK-2', cseq: 2, body }));
    scene.send(proxy, other, sip('INVITE', { branch: 'z9hG4bK-3', cseq: 2, body }));
    assert.deepEqual(scene.open(), []);
    scene.send(
      proxy,
      other,
      sip('INVITE', { branch: 'z9hG4bK-4', cseq: 3, body: sdp('192.0.2.20', [40000]) }),
    );
    assert.deepEqual(
      scene.open(),
      ['udp 192.0.2.20:40000-40001 < 203.0.113.77'],
      'it was named inside first',
    );
  });
});

describe('descriptions in responses', () => {
  test('provisional ones over the rate change nothing; the 2xx counts', () => {
    const scene = createScene({ ...protectedNet, caps: { offersPerSecond: 5 } });
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    for (let i = 1; i <= 20; i++) {
      scene.send(outside, inside, sip('183 INVITE', { to: 'b', body: sdp(`203.0.113.${i}`, [20000]) }));
    }
    assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.5'));
    assert.ok(scene.refusals().includes('answer-rate-limit'));
    scene.send(outside, inside, sip('200 INVITE', { to: 'b', body: sdp('203.0.113.99', [20000]) }));
    assert.ok(scene.open().includes('udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.99'));
  });

  /** How many are looked at of 200 answers, a ms apart, in a call with 32 forks. */
  function looked(candidates: number): number {
    const scene = createScene({ ...protectedNet, caps: { offersPerSecond: 50, sources: 64 } });
    const attributes = Array.from(
      { length: candidates },
      (_, i) => `candidate:${i} 1 udp 1 198.18.0.${i} 30000 typ host`,
    );
    scene.send(inside, outside, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    for (let fork = 0; fork < 31; fork++) {
      const body = sdp(`198.51.100.${100 + fork}`, [20_000]);
      scene.send(outside, inside, sip('183 INVITE', { to: `fork-${fork}`, body }));
    }
    scene.wait(10_000);
    let count = 0;
    for (let i = 1; i <= 200; i++) {
      const body = sdp(`203.0.113.${i}`, [{ port: 20_000, attributes }]);
      scene.send(outside, inside, sip('183 INVITE', { to: 'b', body }));
      if (scene.open().some((line) => line.includes(`203.0.113.${i}`))) count++;
    }
    return count;
  }

  test('a long one to a call with many forks counts as several', () => {
    const [light, heavy] = [looked(0), looked(8)];
    assert.ok(light >= 50 && light <= 61, `${light}`);
    // 32 forks and 9 addresses are 288 transports, which count as 9.
    assert.ok(heavy >= 5 && heavy <= 8, `${heavy}`);
  });

  test('offers of the outside party within a call are counted, those of its first INVITE are not', () => {
    const scene = createScene({ ...protectedNet, caps: { offersPerSecond: 5 } });
    for (let i = 1; i <= 20; i++) {
      scene.send(outside, inside, sip('INVITE', { callId: `c${i}`, body: sdp('198.51.100.20', [20000]) }));
    }
    assert.ok(!scene.refusals().includes('answer-rate-limit'));
    scene.send(
      inside,
      outside,
      sip('200 INVITE', { callId: 'c1', to: 'b', body: sdp('192.0.2.10', [40000]) }),
    );
    scene.send(outside, inside, sip('ACK', { callId: 'c1', to: 'b', branch: 'z9hG4bKack' }));
    for (let i = 1; i <= 20; i++) {
      const update = { callId: 'c1', to: 'b', cseq: 1 + i };
      scene.send(outside, inside, sip('UPDATE', { ...update, body: sdp(`203.0.113.${i}`, [20000]) }));
      scene.send(inside, outside, sip('200 UPDATE', { ...update, body: sdp('192.0.2.10', [40000]) }));
    }
    assert.ok(scene.refusals().includes('answer-rate-limit'));
    assert.ok(scene.open().some((line) => line.includes('203.0.113.5')));
    assert.ok(!scene.open().some((line) => line.includes('203.0.113.20')));
    scene.wait(1000);
    const late = { callId: 'c1', to: 'b', cseq: 50 };
    scene.send(outside, inside, sip('UPDATE', { ...late, body: sdp('203.0.113.77', [20000]) }));
    scene.send(inside, outside, sip('200 UPDATE', { ...late, body: sdp('192.0.2.10', [40000]) }));
    assert.ok(
      scene.open().some((line) => line.includes('203.0.113.77')),
      'a second later it may go on',
    );
  });
});
