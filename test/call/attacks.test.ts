import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createInspector } from '../../src/inspector.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { createScene, host, networks, type Scene, sdp, settingsWith, sip } from '../scene.ts';

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
    const narrow = { ...protectedNet, mediaPorts: [[10000, 20000]] as const };
    assert.deepEqual(offered(sdp('192.0.2.10', [20000]), narrow).refusals(), ['port-out-of-range']);
    assert.deepEqual(offered(sdp('192.0.2.10', [19998]), narrow).open().length, 1);
  });

  for (const address of [
    '127.0.0.1',
    '224.2.1.1',
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

  test('an IPv4-mapped IPv6 address is checked as the IPv4 address it is (A9)', () => {
    assert.deepEqual(offered(sdp('::ffff:127.0.0.1', [40000])).open(), []);
    assert.deepEqual(offered(sdp('::ffff:192.0.2.77', [40000])).open(), []);
  });

  test('a peer that is not in `peers` gets no pinhole', () => {
    const scene = offered(sdp('192.0.2.10', [40000]), { ...protectedNet, peers: networks('203.0.113.1') });
    assert.deepEqual(scene.refusals(), ['peer-not-allowed']);
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
    assert.deepEqual(scene.refusals(), ['response-without-request', 'response-without-request']);
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
    scene.send(
      inside,
      stranger,
      sip('200 INVITE', { from: 'b', to: 'a', cseq: 8, body: sdp('192.0.2.10', [40000]) }),
    );
    assert.deepEqual(scene.open(), before);
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
