import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { readSdp, readSdpFragment } from '../../src/sdp/read.ts';
import type { Connection, SdpErrorReason, Session, Stream } from '../../src/sdp/session.ts';

function read(...lines: string[]): Session {
  const session = readSdp(Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1'));
  assert.ok(!('error' in session), inspect(session));
  return session;
}

/** A description around these lines, whose session level has the address 192.0.2.1. */
function around(...lines: string[]): string[] {
  return [
    'v=0',
    'o=alice 2890844526 2890844527 IN IP4 host.anywhere.com',
    's= ',
    'c=IN IP4 192.0.2.1',
    't=0 0',
    ...lines,
  ];
}

function stream(...lines: string[]): Stream {
  const { streams } = read(...around(...lines));
  assert.equal(streams.length, 1);
  return streams[0]!;
}

function refusal(...lines: string[]): SdpErrorReason {
  const answer = readSdp(Buffer.from(lines.join('\r\n'), 'latin1'));
  assert.ok('error' in answer, inspect(answer));
  assert.match(answer.detail, /^[ -~]{1,200}$/);
  return answer.error;
}

const address = (text: string): Connection => ({ kind: 'address', address: text });
const hostname = (name: string): Connection => ({ kind: 'hostname', name });

describe('descriptions from the RFCs', () => {
  it('RFC 8866 section 5, the example', () => {
    const session = read(
      'v=0',
      'o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1',
      's=Call to John Smith',
      'i=SDP Offer #1',
      'u=http://www.jdoe.example.com/home.html',
      'e=Jane Doe <jane@jdoe.example.com>',
      'p=+1 617 555-6011',
      'c=IN IP4 198.51.100.1',
      't=0 0',
      'm=audio 49170 RTP/AVP 0',
      'm=audio 49180 RTP/AVP 0',
      'm=video 51372 RTP/AVP 99',
      'c=IN IP6 2001:db8::2',
      'a=rtpmap:99 h263-1998/90000',
    );
    assert.equal(session.origin, 'jdoe 3724394400 3724394405 IN IP4 198.51.100.1');
    assert.equal(session.version, '3724394405');
    assert.deepEqual(
      session.streams.map(({ media, port, proto, connection }) => ({ media, port, proto, connection })),
      [
        { media: 'audio', port: 49170, proto: 'RTP/AVP', connection: address('198.51.100.1') },
        { media: 'audio', port: 49180, proto: 'RTP/AVP', connection: address('198.51.100.1') },
        { media: 'video', port: 51372, proto: 'RTP/AVP', connection: address('2001:db8::2') },
      ],
    );
  });

  it('RFC 3264 section 10.1: an offer with a host name, the answer that refuses one stream', () => {
    const offer = read(
      'v=0',
      'o=alice 2890844526 2890844526 IN IP4 host.anywhere.com',
      's=',
      'c=IN IP4 host.anywhere.com',
      't=0 0',
      'm=audio 49170 RTP/AVP 0',
      'a=rtpmap:0 PCMU/8000',
      'm=video 51372 RTP/AVP 31',
      'a=rtpmap:31 H261/90000',
      'm=video 53000 RTP/AVP 32',
      'a=rtpmap:32 MPV/90000',
    );
    assert.deepEqual(offer.streams[0]!.connection, hostname('host.anywhere.com'));
    assert.deepEqual(
      offer.streams.map(({ port }) => port),
      [49170, 51372, 53000],
    );
    assert.equal(stream('m=video 0 RTP/AVP 31').port, 0);
  });

  it('RFC 3605 section 2.1: a=rtcp with and without an address', () => {
    assert.deepEqual(stream('m=audio 49170 RTP/AVP 0', 'a=rtcp:53020').rtcp, {
      port: 53020,
      connection: null,
    });
    assert.deepEqual(stream('m=audio 49170 RTP/AVP 0', 'a=rtcp:53020 IN IP4 126.16.64.4').rtcp, {
      port: 53020,
      connection: address('126.16.64.4'),
    });
    assert.deepEqual(
      stream('m=audio 49170 RTP/AVP 0', 'a=rtcp:53020 IN IP6 2001:2345:6789:ABCD:EF01:2345:6789:ABCD').rtcp,
      { port: 53020, connection: address('2001:2345:6789:abcd:ef01:2345:6789:abcd') },
    );
    assert.equal(stream('m=audio 49170 RTP/AVP 0').rtcp, null);
  });

  it('RFC 3605 section 2.1: a=rtcp is an attribute of a stream, not of a session', () => {
    assert.equal(stream('a=rtcp:53020', 'm=audio 49170 RTP/AVP 0').rtcp, null);
  });

  it('RFC 5761 section 5.1.1 and RFC 8858: rtcp-mux, and rtcp-mux-only which is another thing', () => {
    const muxed = stream('m=audio 49170 RTP/AVP 97', 'a=rtpmap:97 iLBC/8000', 'a=rtcp-mux');
    assert.deepEqual([muxed.rtcpMux, muxed.rtcpMuxOnly], [true, false]);
    const only = stream('m=audio 49170 RTP/AVP 97', 'a=rtcp-mux-only');
    assert.deepEqual([only.rtcpMux, only.rtcpMuxOnly], [false, true]);
    assert.equal(stream('m=audio 49170 RTP/AVP 97', 'a=rtcp-muxed').rtcpMux, false);
  });

  it('RFC 8843 section 18.1: an offer with a bundle and a bundle-only stream', () => {
    const session = read(
      'v=0',
      'o=alice 2890844526 2890844526 IN IP6 2001:db8::3',
      's=',
      'c=IN IP6 2001:db8::3',
      't=0 0',
      'a=group:BUNDLE foo bar',
      'm=audio 10000 RTP/AVP 0 8 97',
      'b=AS:200',
      'a=mid:foo',
      'a=rtcp-mux',
      'm=video 0 RTP/AVP 31 32',
      'a=mid:bar',
      'a=bundle-only',
      'a=rtcp-mux',
    );
    assert.deepEqual(session.bundles, [['foo', 'bar']]);
    assert.deepEqual(
      session.streams.map(({ mid, port, bundleOnly }) => [mid, port, bundleOnly]),
      [
        ['foo', 10000, false],
        ['bar', 0, true],
      ],
    );
  });

  it('RFC 8839 section 5.1: candidates, of which raddr and rport open nothing', () => {
    const ice = stream(
      'a=ice-pwd:asd88fgpdd777uzjYhagZg',
      'a=ice-ufrag:8hhY',
      'm=audio 45664 RTP/AVP 0',
      'a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host',
      'a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998',
      'a=candidate:3 2 tcp 1518280447 2001:DB8::1 9 typ host tcptype active',
      'a=candidate:4 1 udp 1 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host generation 0',
    );
    assert.deepEqual(ice.candidates, [
      { component: 1, transport: 'udp', connection: address('203.0.113.141'), port: 8998, type: 'host' },
      { component: 1, transport: 'udp', connection: address('192.0.2.3'), port: 45664, type: 'srflx' },
      { component: 2, transport: 'tcp', connection: address('2001:db8::1'), port: 9, type: 'host' },
      {
        component: 1,
        transport: 'udp',
        connection: hostname('1f4712db-ea17-4bcf-a596-105139dfd8bf.local'),
        port: 54596,
        type: 'host',
      },
    ]);
  });

  it('RFC 4145 section 4.1: setup, of a stream or of the session', () => {
    assert.equal(stream('m=image 54111 TCP t38', 'a=setup:passive', 'a=connection:new').setup, 'passive');
    assert.equal(stream('a=setup:actpass', 'm=image 54111 TCP t38').setup, 'actpass');
    assert.equal(stream('m=image 54111 TCP t38').setup, '');
  });

  it('RFC 3264 section 5.1: directions, inherited from the session, sendrecv by default', () => {
    for (const direction of ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const) {
      assert.equal(stream('m=audio 1024 RTP/AVP 0', `a=${direction}`).direction, direction);
      assert.equal(stream(`a=${direction}`, 'm=audio 1024 RTP/AVP 0').direction, direction);
    }
    assert.equal(stream('a=inactive', 'm=audio 1024 RTP/AVP 0', 'a=sendonly').direction, 'sendonly');
    assert.equal(stream('m=audio 1024 RTP/AVP 0', 'a=sendonlyish').direction, 'sendrecv');
  });

  it('T.38, MSRP, data channels: the transport as written', () => {
    for (const [line, proto] of [
      ['m=image 4000 udptl t38', 'udptl'],
      ['m=message 7654 TCP/MSRP *', 'TCP/MSRP'],
      ['m=application 10001 UDP/DTLS/SCTP webrtc-datachannel', 'UDP/DTLS/SCTP'],
      ['m=video 9 UDP/TLS/RTP/SAVPF 96', 'UDP/TLS/RTP/SAVPF'],
      ['m=x-new.media 5000 new-proto.2/x+y 0', 'new-proto.2/x+y'],
    ] as const) {
      assert.equal(stream(line).proto, proto);
    }
  });
});

describe('the m= line (RFC 8866 5.14)', () => {
  it('port count', () => {
    assert.deepEqual(
      [stream('m=video 49170/2 RTP/AVP 31').port, stream('m=video 49170/2 RTP/AVP 31').portCount],
      [49170, 2],
    );
    assert.equal(stream('m=video 49170 RTP/AVP 31').portCount, 1);
    assert.equal(stream('m=video 49170/0 RTP/AVP 31').portCount, 1);
  });

  it('ports from 0 to 65535, and nothing else', () => {
    assert.equal(stream('m=audio 65535 RTP/AVP 0').port, 65535);
    assert.equal(stream('m=audio 00005004 RTP/AVP 0').port, 5004);
    for (const port of ['65536', '4294967296', '-1', '0x1388', '5004a', '', '65535/2', '5004/', '5004/x']) {
      assert.equal(refusal(...around(`m=audio ${port} RTP/AVP 0`)), 'malformed-sdp', port);
    }
  });

  it('without a transport, or with a word of more than 64 characters', () => {
    assert.equal(refusal(...around('m=audio 5004')), 'malformed-sdp');
    assert.equal(refusal(...around('m=')), 'malformed-sdp');
    assert.equal(refusal(...around(`m=${'a'.repeat(70)} 5004 RTP/AVP 0`)), 'malformed-sdp');
    assert.equal(refusal(...around(`m=audio 5004 ${'a'.repeat(70)} 0`)), 'malformed-sdp');
  });
});

describe('addresses', () => {
  const connectionOf = (line: string) => stream('m=audio 5004 RTP/AVP 0', `c=${line}`).connection;

  it('of the stream before that of the session (RFC 8866 5.7)', () => {
    assert.deepEqual(stream('m=audio 5004 RTP/AVP 0').connection, address('192.0.2.1'));
    assert.deepEqual(connectionOf('IN IP4 192.0.2.7'), address('192.0.2.7'));
  });

  it('none at all', () => {
    assert.deepEqual(
      read('v=0', 'o=- 1 1 IN IP4 192.0.2.1', 'm=audio 5004 RTP/AVP 0').streams[0]!.connection,
      {
        kind: 'none',
      },
    );
  });

  it('in canonical form, an IPv4-mapped one as IPv4', () => {
    assert.deepEqual(connectionOf('IN IP6 2001:DB8:0:0::1'), address('2001:db8::1'));
    assert.deepEqual(connectionOf('IN IP6 ::ffff:192.0.2.9'), address('192.0.2.9'));
  });

  it('without TTL and number of addresses (RFC 8866 5.7)', () => {
    assert.deepEqual(connectionOf('IN IP4 233.252.0.1/127'), address('233.252.0.1'));
    assert.deepEqual(connectionOf('IN IP4 233.252.0.1/127/3'), address('233.252.0.1'));
    assert.deepEqual(connectionOf('IN IP6 ff00::db8:0:101/3'), address('ff00::db8:0:101'));
  });

  it('0.0.0.0 and :: are the old way of hold (RFC 3264 8.4)', () => {
    assert.deepEqual(connectionOf('IN IP4 0.0.0.0'), { kind: 'unspecified' });
    assert.deepEqual(connectionOf('IN IP6 ::'), { kind: 'unspecified' });
    assert.deepEqual(connectionOf('IN IP6 0:0:0:0:0:0:0:0'), { kind: 'unspecified' });
  });

  it('host names stay names', () => {
    assert.deepEqual(connectionOf('IN IP4 media.example.com'), hostname('media.example.com'));
    assert.deepEqual(connectionOf('IN IP6 media-1.example.com.'), hostname('media-1.example.com.'));
  });

  it('what is neither, and of another family or network than it says, is none and does not fall back to the session', () => {
    for (const line of [
      'IN IP4 2001:db8::1',
      'IN IP6 192.0.2.1',
      'IN IP5 192.0.2.1',
      'IN IP 192.0.2.1',
      'ATM NSAP 47.0091',
      'TN RFC2543 +1-201-406-4090',
      'IN IP4 192.0.2.256',
      'IN IP4 192.0.2',
      'IN IP4 010.0.0.1',
      'IN IP4 3221225985',
      'IN IP6 fe80::1%em0',
      'IN IP6 [2001:db8::1]',
      'IN IP4 $',
      'IN IP4 ',
      '',
    ]) {
      assert.deepEqual(connectionOf(line), { kind: 'none' }, line);
    }
  });

  it('two c= lines of one section that differ leave that section without an address, and no other', () => {
    const lines = ['m=audio 5004 RTP/AVP 0', 'c=IN IP4 192.0.2.7'];
    assert.deepEqual(stream(...lines, 'c=IN IP4 192.0.2.7').connection, address('192.0.2.7'));
    const { streams } = read(
      ...around(...lines, 'c=IN IP4 192.0.2.8', 'c=IN IP4 192.0.2.7', 'm=audio 5006 RTP/AVP 0'),
    );
    assert.deepEqual(
      streams.map(({ connection }) => connection),
      [{ kind: 'none' }, address('192.0.2.1')],
    );
    assert.deepEqual(stream('c=IN IP4 192.0.2.8', 'm=audio 5004 RTP/AVP 0').connection, { kind: 'none' });
  });

  it('of a=rtcp: of the family it says', () => {
    const rtcp = (text: string) => stream('m=audio 5004 RTP/AVP 0', `a=rtcp:${text}`).rtcp;
    assert.deepEqual(rtcp('53020 IN IP4 ::1'), { port: 53020, connection: { kind: 'none' } });
    assert.deepEqual(rtcp('53020 IN IP0 192.0.2.1'), { port: 53020, connection: { kind: 'none' } });
    assert.deepEqual(rtcp('53020 IN IP4 0.0.0.0'), { port: 53020, connection: { kind: 'unspecified' } });
    for (const port of ['65536', '-1', '', 'x', '4294967297', '53020x']) {
      assert.equal(rtcp(port), null, `${port}: as good as none`);
      assert.equal(stream('m=audio 5004 RTP/AVP 0', `a=rtcp:${port}`, 'a=rtcp:53020').rtcp?.port, 53020);
    }
  });
});

describe('candidates that cannot be used (RFC 8839 5.1)', () => {
  it('are counted and left out', () => {
    const { candidates, candidatesDropped } = stream(
      'm=audio 5004 RTP/AVP 0',
      'a=candidate:1 1 UDP 1 192.0.2.1 65536 typ host',
      'a=candidate:1 0 UDP 1 192.0.2.1 5004 typ host',
      'a=candidate:1 257 UDP 1 192.0.2.1 5004 typ host',
      'a=candidate:1 1 UDP 1 192.0.2.1 typ host',
      'a=candidate:1 1 UDP 1 192.0.2.1  typ host',
      `a=candidate:1 1 UDP 1 192.0.2.1 5004 typ host ${'x'.repeat(1100)}`,
      'a=candidate:',
      'a=candidate:1 1 UDP 1 192.0.2.1 5004 typ host',
    );
    assert.equal(candidates.length, 1);
    assert.equal(candidatesDropped, 7);
  });
});

describe('exactly one description (RFC 3264 section 5)', () => {
  it('begins with v=0', () => {
    assert.equal(refusal(''), 'malformed-sdp');
    assert.equal(refusal('o=- 1 1 IN IP4 192.0.2.1', 'v=0'), 'malformed-sdp');
    assert.equal(refusal('hello', 'v=0', 'o=- 1 1 IN IP4 192.0.2.1'), 'malformed-sdp');
    assert.equal(refusal('v=1', 'o=- 1 1 IN IP4 192.0.2.1'), 'malformed-sdp');
    assert.equal(refusal('v=', 'o=- 1 1 IN IP4 192.0.2.1'), 'malformed-sdp');
  });

  it('has one o=', () => {
    assert.equal(refusal('v=0', 's=-'), 'malformed-sdp');
    assert.equal(refusal('v=0', 'o=- 1 1 IN IP4 192.0.2.1', 'o=- 1 2 IN IP4 192.0.2.1'), 'malformed-sdp');
  });

  it('a second v= begins a second one', () => {
    assert.equal(refusal(...around('m=audio 5004 RTP/AVP 0'), ...around()), 'several-sdp');
    assert.equal(refusal('v=0', 'v=0'), 'several-sdp');
  });
});

describe('line ends and odd bytes', () => {
  const lines = around('m=audio 5004 RTP/AVP 0', 'a=sendonly', 'a=rtcp:5009');

  it('CR, LF and CRLF end a line, the last one may lack its end', () => {
    const expected = read(...lines);
    for (const end of ['\r', '\n', '\r\n', '\r\n\r\n', ' \r\n', '\n\r']) {
      assert.deepEqual(readSdp(Buffer.from(lines.join(end))), expected, JSON.stringify(end));
    }
  });

  it('lines that are no SDP, NUL and control bytes change nothing', () => {
    const noise = [
      '',
      ' m=audio 1 x',
      'hello',
      '=',
      'M=audio 1 RTP/AVP 0',
      '\x00\x01',
      'a=',
      'a',
      'a=\xff\x00=',
      'i=\x07m=audio',
    ];
    assert.deepEqual(read(...lines.slice(0, 3), ...noise, ...lines.slice(3), ...noise), read(...lines));
  });

  it('keys and passwords are nowhere in the answer', () => {
    const secret = read(
      ...around(
        'a=ice-pwd:SECRET',
        'a=key-mgmt:mikey SECRET',
        'm=audio 5004 RTP/SAVP 0',
        'k=clear:SECRET',
        'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET|2^20|1:4',
        'a=ice-ufrag:SECRET',
        'a=fingerprint:sha-256 SECRET',
      ),
    );
    assert.doesNotMatch(JSON.stringify(secret), /SECRET/);
  });
});

describe('caps', () => {
  it('32 streams, the others counted', () => {
    const many = read(
      ...around(...Array.from({ length: 40 }, (_, index) => `m=audio ${5000 + index} RTP/AVP 0`)),
    );
    assert.equal(many.streams.length, 32);
    assert.equal(many.streamsDropped, 8);
    assert.equal(many.streams[31]!.port, 5031);
  });

  it('attributes of a stream that was dropped go nowhere', () => {
    const answer = readSdp(
      Buffer.from(
        around('m=audio 1 RTP/AVP 0', 'm=audio 2 RTP/AVP 0', 'a=inactive', 'c=IN IP4 192.0.2.9').join('\n'),
      ),
      { streams: 1, candidates: 8 },
    );
    assert.ok(!('error' in answer));
    assert.equal(answer.streams.length, 1);
    assert.equal(answer.streams[0]!.direction, 'sendrecv');
    assert.deepEqual(answer.streams[0]!.connection, address('192.0.2.1'));
  });

  it('24 candidates of a stream, or as many as asked for, the others counted', () => {
    const candidates = Array.from(
      { length: 26 },
      (_, index) => `a=candidate:${index} 1 UDP 1 192.0.2.1 ${6000 + index} typ host`,
    );
    const lines = around('m=audio 5004 RTP/AVP 0', ...candidates, 'm=audio 5006 RTP/AVP 0', ...candidates);
    for (const { candidates, candidatesDropped } of read(...lines).streams) {
      assert.equal(candidates.length, 24);
      assert.equal(candidatesDropped, 2);
    }
    const two = readSdp(Buffer.from(lines.join('\n')), { streams: 32, candidates: 2 });
    assert.ok(!('error' in two));
    assert.equal(two.streams[1]!.candidates.length, 2);
    assert.equal(two.streams[1]!.candidatesDropped, 24);
  });

  it('1024 bytes of a line that decides, 64 KiB of all', () => {
    assert.equal(refusal('v=0', `o=${'x'.repeat(1100)} 1 1 IN IP4 192.0.2.1`), 'sdp-too-large');
    assert.equal(refusal('v=0', 'o=- 1 1 IN IP4 a', `c=IN IP4 ${'x'.repeat(1100)}`), 'sdp-too-large');
    assert.equal(refusal(...around('m=audio 1 RTP/AVP 0', `a=mid:${'x'.repeat(1100)}`)), 'sdp-too-large');
    assert.equal(refusal(...around(`i=${'x'.repeat(70_000)}`)), 'sdp-too-large');
    assert.equal(read(...around(`i=${'x'.repeat(60_000)}`)).streams.length, 0);
  });
});

describe('fragments of trickle ICE (RFC 8840 section 9)', () => {
  it('section 9.2: candidates by mid', () => {
    const fragment = readSdpFragment(
      Buffer.from(
        [
          'a=ice-ufrag:8hhY',
          'a=ice-pwd:asd88fgpdd777uzjYhagZg',
          'm=audio 9 RTP/AVP 0',
          'a=mid:1',
          'a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host',
          'a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 5001 typ host',
          'a=end-of-candidates',
          'm=audio 9 RTP/AVP 0',
          'a=mid:2',
          'a=candidate:2 1 UDP 1694498815 192.0.2.3 5000 typ srflx raddr 203.0.113.141 rport 8998',
        ].join('\r\n'),
      ),
    );
    assert.ok(!('error' in fragment));
    assert.deepEqual(
      fragment.map(({ mid, candidates, isLast }) => [mid, candidates.map(({ port }) => port), isLast]),
      [
        ['1', [5000, 5001], true],
        ['2', [5000], false],
      ],
    );
    assert.doesNotMatch(JSON.stringify(fragment), /asd88/);
  });

  it('end-of-candidates is the whole attribute, not one that begins with the same letter', () => {
    const lines = ['m=audio 9 RTP/AVP 0', 'a=mid:1', 'a=extmap:1 urn:ietf:params:rtp-hdrext:toffset'];
    const isLast = (...more: string[]) => {
      const fragment = readSdpFragment(Buffer.from([...lines, ...more].join('\r\n')));
      assert.ok(!('error' in fragment));
      return fragment.map((section) => section.isLast);
    };
    assert.deepEqual(isLast(), [false]);
    assert.deepEqual(isLast('a=end-of-candidates'), [true]);
  });

  it('without m= lines each a=mid begins a section', () => {
    const fragment = readSdpFragment(
      Buffer.from(
        'a=mid:a\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\na=mid:b\na=candidate:1 1 udp 1 192.0.2.1 5002 typ host\n',
      ),
      { streams: 2, candidates: 1 },
    );
    assert.ok(!('error' in fragment));
    assert.deepEqual(
      fragment.map(({ mid, candidates }) => [mid, candidates[0]!.port]),
      [
        ['a', 5000],
        ['b', 5002],
      ],
    );
  });

  it('a whole description is no fragment', () => {
    const answer = readSdpFragment(Buffer.from('v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n'));
    assert.ok('error' in answer);
  });

  it('an empty fragment has no sections', () => {
    assert.deepEqual(readSdpFragment(Buffer.alloc(0)), []);
  });
});
