import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import type { Block } from '../../src/report/replay/model.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { host, networks, sdp, sip } from '../scene.ts';
import { answeredCall, type Film, film, flowOf } from './film.ts';

const alice = host('192.0.2.10');
const bob = host('198.51.100.20');
const aliceMedia = host('192.0.2.10', 49170);
const bobMedia = host('198.51.100.20', 40000);
const A = { address: alice.address, port: 49170 };
const B = { address: bob.address, port: 40000 };
const OFFER = { body: sdp(A.address, [A.port]) };
const ANSWER = { to: 'b', body: sdp(B.address, [B.port]) };
const NO_ADDRESS = 'v=0\r\no=- 1 1 IN IP4 198.51.100.20\r\ns=-\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n';

function blockOf(one: Film, from: typeof alice, to: typeof alice): Block {
  const [block] = flowOf(one.run(), from, to).blocks;
  assert.ok(block !== undefined, 'something was blocked');
  assert.doesNotMatch(
    `${block.text} ${block.advice}`,
    /signalling of this stream is not here|started in the middle/,
  );
  return block;
}

/** Bob's answer is refused or unreadable in some way, and alice sends to the port that it names. */
function answeredBy(answer: string): Block {
  return blockOf(
    film().say(0, alice, bob, 'INVITE', OFFER).send(0.5, bob, alice, answer).talk(1, aliceMedia, bobMedia, 2),
    aliceMedia,
    bobMedia,
  );
}

describe('what was refused is what the explanation names', () => {
  it('a message that is no SIP', () => {
    const { reason, text } = answeredBy(
      sip('200 INVITE', ANSWER).replace('CSeq: 1 INVITE', 'CSeq: one INVITE'),
    );
    assert.equal(reason, 'refused');
    assert.match(
      text,
      /^198\.51\.100\.20 named 198\.51\.100\.20:40000 in frame 2 \(200 Reason\), but that was refused \(malformed-sip\): cseq/,
    );
  });

  it('a stream without an address', () => {
    const { reason, text } = answeredBy(sip('200 INVITE', { to: 'b', body: NO_ADDRESS }));
    assert.equal(reason, 'refused');
    assert.match(
      text,
      /announced audio at port 40000 in frame 2 \(200 Reason\), but no c= line .*\(no-address\)/,
    );
  });

  it('a stream at a host name', () => {
    const body = NO_ADDRESS.replace('t=0 0', 'c=IN IP4 media.example.net\r\nt=0 0');
    const { reason, text } = answeredBy(sip('200 INVITE', { to: 'b', body }));
    assert.equal(reason, 'refused');
    assert.match(text, /at the host name media\.example\.net, .*\(hostname-address\)/);
  });

  it('a description that cannot be read', () => {
    const body = ANSWER.body.replace('v=0', 'v=9');
    const { reason, text } = answeredBy(sip('200 INVITE', { to: 'b', body }));
    assert.equal(reason, 'refused');
    assert.match(text, /in frame 2 \(200 Reason\), but that was refused \(malformed-sdp\)/);
  });

  it('a description of another type', () => {
    const { reason, text } = answeredBy(sip('200 INVITE', { ...ANSWER, contentType: 'text/plain' }));
    assert.equal(reason, 'refused');
    assert.match(text, /but its Content-Type is text\/plain, not application\/sdp/);
  });

  it('a description that is not meant for the session', () => {
    const headers = ['Content-Disposition: early-session;handling=optional'];
    const { text } = answeredBy(sip('200 INVITE', { ...ANSWER, headers }));
    assert.match(text, /but its Content-Disposition is early-session, not session\.$/);
  });

  it('parts of which none has the type', () => {
    const body = `--x\r\n\r\n${ANSWER.body}\r\n--x--\r\n`;
    const { text } = answeredBy(
      sip('200 INVITE', { to: 'b', contentType: 'multipart/mixed;boundary=x', body }),
    );
    assert.match(text, /but no part of its body is application\/sdp for the session\.$/);
  });

  it('a body that both sides spoil alike', () => {
    const spoilt = (body: string) => ({ to: '', contentType: 'multipart/mixed', body });
    const block = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', spoilt(OFFER.body))
        .say(0.5, bob, alice, '200 INVITE', { ...spoilt(ANSWER.body), to: 'b' })
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );
    assert.match(block.text, /malformed-body\)?: A multipart body has no usable boundary/);
    assert.notEqual(block.advice, '');
  });

  it('what stands before the start line, and a first line that is none', () => {
    const answer = sip('200 INVITE', ANSWER);
    for (const [text, why] of [
      [`\xef\xbb\xbf${answer}`, /but 3 bytes stand before the start line\.$/],
      [` ${answer}`, /but 1 byte stands before the start line\.$/],
      [`\xff\xff${answer}`, /but 2 bytes stand before the start line\.$/],
      [
        answer.replace('SIP/2.0 200', 'SIP-2.0 200'),
        /but its first line is no start line of SIP: "SIP-2\.0 200 Reason"\.$/,
      ],
    ] as const) {
      assert.match(answeredBy(text).text, why);
    }
  });

  it('an answer of another method', () => {
    const { reason, text } = answeredBy(sip('200 INVITE', ANSWER).replace('1 INVITE', '1 Invite'));
    assert.equal(reason, 'not-opened');
    assert.match(text, /fits no request of its call that was seen/);
  });

  it('a stream over TCP', () => {
    const body = sdp(B.address, [{ port: B.port, proto: 'TCP/RTP/AVP' }]);
    assert.match(
      answeredBy(sip('200 INVITE', { to: 'b', body })).text,
      /over TCP\/RTP\/AVP: no pinhole for UDP/,
    );
  });

  it('a candidate beyond the cap, and no more names than a sentence holds', () => {
    const relay = host('203.0.113.200', 49300);
    const attributes = [];
    for (let i = 1; i <= 24; i++) attributes.push(`candidate:${i} 1 UDP 1 10.1.${i}.5 5000 typ host`);
    attributes.push(`candidate:25 1 UDP 1 ${relay.address} ${relay.port} typ relay raddr 0.0.0.0 rport 0`);
    const { text, advice } = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [{ port: A.port, attributes }]) })
        .say(0.5, bob, alice, '200 INVITE', ANSWER)
        .talk(1, relay, bobMedia, 2),
      relay,
      bobMedia,
    );
    assert.match(text, /frame 1 \(INVITE\) announces as an ICE candidate beyond caps\.candidates/);
    assert.match(text, /and [0-9]+ more may send/);
    assert.match(advice, /^Raise caps\.candidates/);
  });

  it('a description behind the end of the body', () => {
    const text = sip('200 INVITE', ANSWER).replace(/Content-Length: [0-9]+/, 'Content-Length: 0');
    assert.match(answeredBy(text).text, /refused \(malformed-body\).*stands behind Content-Length: 0/);
  });

  it('an encoded body', () => {
    const { text } = answeredBy(
      sip('200 INVITE', { to: 'b', headers: ['Content-Encoding: gzip'], body: '\x1f\x8bxx' }),
    );
    assert.match(
      text,
      /^Nobody announced .* sent frame 2 \(200 Reason\), but that was refused \(encoded-body\)/,
    );
  });

  it('an address in a line that is not followed', () => {
    const offer = sdp(A.address, [{ port: A.port, attributes: ['altc:1 IP6 2001:db8::10 45678'] }]);
    const there = host('2001:db8::10', 45678);
    const { text } = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', { body: offer })
        .say(0.5, bob, alice, '200 INVITE', ANSWER)
        .talk(1, host('2001:db8::20', 30000), there, 2),
      host('2001:db8::20', 30000),
      there,
    );
    assert.match(text, /^Frame 1 \(INVITE\) names 2001:db8::10 in a=altc alone/);
  });

  it('a source that the peer announced by its name', () => {
    const offer = OFFER.body.replace(`c=IN IP4 ${A.address}`, 'c=IN IP4 media.example.net');
    const media = host('192.0.2.99', 49170);
    const { reason, text, advice } = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', { body: offer })
        .say(0.5, bob, alice, '200 INVITE', ANSWER)
        .say(0.6, alice, bob, 'ACK', { to: 'b' })
        .talk(1, media, bobMedia, 2),
      media,
      bobMedia,
    );
    assert.equal(reason, 'wrong-source');
    assert.match(text, /The peer announced the host name media\.example\.net/);
    assert.match(advice, /media-source: any/);
  });

  it('a source that may send to another port', () => {
    const moved = host('192.0.2.99', 49180);
    const { text } = blockOf(
      answeredCall(film(), alice, bob, A, B)
        .say(2, alice, bob, 'INVITE', { to: 'b', cseq: 2, body: sdp(moved.address, [moved.port]) })
        .say(2.1, bob, alice, '200 INVITE', { to: 'b', cseq: 2, body: sdp(B.address, [40010]) })
        .say(2.2, alice, bob, 'ACK', { to: 'b', cseq: 2 })
        .talk(2.3, moved, bobMedia, 2),
      moved,
      bobMedia,
    );
    assert.match(
      text,
      /192\.0\.2\.99, which 192\.0\.2\.10 announced in frame 4 \(re-INVITE\), which lets it send to 198\.51\.100\.20:40010-40011/,
    );
  });
});

describe('what the capture lacks', () => {
  it('the answer, where its call goes on', () => {
    const { reason, text } = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', OFFER)
        .say(0.7, alice, bob, 'ACK', { to: 'b' })
        .talk(1, aliceMedia, bobMedia, 2)
        .say(2, alice, bob, 'BYE', { to: 'b', cseq: 2 })
        .say(2.1, bob, alice, '200 BYE', { to: 'b', cseq: 2 }),
      aliceMedia,
      bobMedia,
    );
    assert.equal(reason, 'never-announced');
    assert.match(
      text,
      /^The call of frame 1 \(INVITE\) has no answer of 198\.51\.100\.20 in the capture, though the call goes on in frame 5 \(BYE\)/,
    );
  });

  it('nothing, where the call was never answered', () => {
    const { text } = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', OFFER)
        .say(0.5, bob, alice, '486 INVITE', { to: 'b' })
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );
    assert.match(
      text,
      /announced nothing in the call of frame 1 \(INVITE\), which ended without an answer\.$/,
    );
  });

  it('the end of a packet', () => {
    const whole = udpPacket(bob, alice, sip('200 INVITE', ANSWER));
    const { text, advice } = blockOf(
      film()
        .say(0, alice, bob, 'INVITE', OFFER)
        .packet(0.5, whole.subarray(0, whole.length - 20))
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );
    assert.match(text, /refused \(packet-cut\): the last 20 bytes of the datagram are missing/);
    assert.match(advice, /tcpdump -s 0/);
  });

  it('the beginning of a stream, or SIP between its messages', () => {
    const segment = (seq: number, payload: string) =>
      tcpPacket(host(alice.address, 40123), bob, { seq, payload, flags: 0x18 });
    const offer = sip('INVITE', OFFER);
    const options = sip('OPTIONS', { callId: 'other' });
    const syn = tcpPacket(host(alice.address, 40123), bob, { seq: 99, flags: 2 });
    for (const [before, why] of [
      [['hello, are you there?'], /frame 3 \(INVITE\), but its TCP stream could not be followed to there/],
      [
        [options, 'hello, are you there?'],
        /frame 4 \(INVITE\), but that was refused \(stream-unusable\): TCP .*: what follows a message is no SIP/,
      ],
    ] as const) {
      const one = film().packet(0, syn);
      let seq = 100;
      for (const [index, text] of [...before, offer].entries()) {
        one.packet(0.1 * (index + 1), segment(seq, text));
        seq += text.length;
      }
      const { reason, text } = blockOf(one.talk(1, bobMedia, aliceMedia, 2), bobMedia, aliceMedia);
      assert.equal(reason, 'refused');
      assert.match(text, why);
    }
  });

  it('fragments', () => {
    const first = udpPacket(bob, alice, sip('200 INVITE', ANSWER)).subarray(0, 20 + 64);
    first.writeUInt16BE(first.length, 2);
    first.writeUInt16BE(0x2000, 6);
    const report = film().say(0, alice, bob, 'INVITE', OFFER).packet(0.5, first).run();
    assert.match(report.notes.join(), /^1 datagram came in fragments, and some are not here\./);
  });
});

describe('a response that answers nothing says why', () => {
  const response = (message: Parameters<typeof sip>[1], from = bob) =>
    blockOf(
      film()
        .say(0, alice, bob, 'INVITE', OFFER)
        .say(0.5, from, alice, '200 INVITE', { ...ANSWER, ...message })
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );

  it('another From tag', () => {
    assert.match(
      response({ from: 'zz9' }).text,
      /Its From tag zz9 is not that of the INVITE in frame 1 \(a\), so it is the answer to another request\./,
    );
  });

  it('another branch', () => {
    assert.match(
      response({ branch: 'z9hG4bK-else' }).text,
      /Its Via branch is not that of the INVITE in frame 1/,
    );
  });

  it('a request that could not be read', () => {
    const { text } = blockOf(
      film()
        .send(0, alice, bob, sip('INVITE', OFFER).replace('CSeq: 1 INVITE', 'CSeq: one INVITE'))
        .say(0.5, bob, alice, '200 INVITE', ANSWER)
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );
    assert.match(
      text,
      /The request that it answers is in frame 1 \(INVITE\), but that was refused \(malformed-sip\)/,
    );
  });

  it('one direction only', () => {
    const { text, advice } = blockOf(
      film()
        .say(0.1, bob, alice, '180 INVITE', { to: 'b' })
        .say(0.5, bob, alice, '200 INVITE', ANSWER)
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );
    assert.match(
      text,
      /Only messages from 198\.51\.100\.20 to 192\.0\.2\.10 are in this capture \(2\), none the other way/,
    );
    assert.match(advice, /^Capture both directions/);
  });
});

describe('signalling that hides', () => {
  it('is compressed', () => {
    const { text } = blockOf(
      film()
        .send(0, alice, bob, Buffer.from([0xf9, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
        .talk(1, aliceMedia, bobMedia, 2),
      aliceMedia,
      bobMedia,
    );
    assert.match(
      text,
      /^The signalling between 192\.0\.2\.10 and 198\.51\.100\.20 is compressed \(SigComp, RFC 3320\), as in frame 1/,
    );
  });

  it('is encrypted', () => {
    // RFC 8446 5.1: a handshake record.
    const hello = tcpPacket(host(alice.address, 50000), host(bob.address, 5061), {
      seq: 1,
      payload: Buffer.from([0x16, 3, 1, 0, 4, 1, 0, 0, 0]),
    });
    const { text } = blockOf(film().packet(0, hello).talk(1, aliceMedia, bobMedia, 2), aliceMedia, bobMedia);
    assert.match(text, /is encrypted \(TLS\), as in frame 1/);
  });
});

it('media that a NAT brings to the host that announced its external address', () => {
  const external = '203.0.113.1';
  const report = answeredCall(film(), alice, bob, { address: external, port: A.port }, B)
    .talk(1, bobMedia, aliceMedia, 2)
    .run({ inside: networks('192.0.2.0/24') });
  const { reason, text, advice } = flowOf(report, bobMedia, aliceMedia).blocks[0]!;
  assert.equal(reason, 'nat');
  assert.match(
    text,
    /^A NAT stands between: 192\.0\.2\.10 announced 203\.0\.113\.1:49170 in frame 1 \(INVITE\)/,
  );
  assert.match(advice, /set nat: \[\{external: 203\.0\.113\.1, hosts: \[192\.0\.2\.10\]\}\]/);
});
