import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../src/address/address.ts';
import { readSdp, readSdpFragment } from '../../src/sdp/read.ts';
import type { Connection, Session } from '../../src/sdp/session.ts';

const line = fc.oneof(
  fc.constantFrom(
    ...[
      'v=0',
      'o=- 1 1 IN IP4 192.0.2.1',
      'c=IN IP4 192.0.2.1',
      'c=IN IP6 ::1',
      'c=IN IP4 ',
      'm=audio 1 RTP/AVP 0',
    ],
    ...[
      'm=audio 70000 RTP/AVP 0',
      'm=',
      'a=rtcp:5',
      'a=rtcp:',
      'a=rtcp:5 IN IP4',
      'a=rtcp-mux',
      'a=mid:',
      'a=mid:1',
    ],
    ...[
      'a=group:BUNDLE ',
      'a=group:BUNDLE 1 2',
      'a=candidate:',
      'a=candidate:1 1 udp 1 192.0.2.1 5 typ host',
    ],
    ...[
      'a=candidate:1 1 udp 1 x.local 99999 typ host',
      'a=setup:',
      'a=sendonly',
      'a=bundle-only',
      'a=imageattr:*',
    ],
  ),
  fc.string({ maxLength: 12 }),
);
const text = fc
  .tuple(fc.boolean(), fc.array(line, { maxLength: 30 }), fc.constantFrom('\r\n', '\n', '\r', ''))
  .map(([isWhole, lines, end]) => (isWhole ? ['v=0', 'o=- 1 1 IN IP4 a', ...lines] : lines).join(end));

function connectionsOf({ streams }: Session): Connection[] {
  return streams.flatMap(({ connection, rtcp, candidates }) => [
    connection,
    rtcp?.connection ?? connection,
    ...candidates.map((candidate) => candidate.connection),
  ]);
}

describe('any text', () => {
  it('never throws, and what is read is in range', () => {
    fc.assert(
      fc.property(text, (input) => {
        const session = readSdp(Buffer.from(input, 'latin1'));
        readSdpFragment(Buffer.from(input, 'latin1'));
        if ('error' in session) return assert.match(session.detail, /^[ -~]{1,200}$/);
        assert.ok(session.streams.length <= 32);
        for (const { port, portCount, candidates } of session.streams) {
          assert.ok(Number.isInteger(port) && port >= 0 && port + 2 * (portCount - 1) <= 65_535);
          assert.ok(portCount >= 1 && candidates.length <= 2 * 24);
          for (const candidate of candidates) {
            assert.ok(Number.isInteger(candidate.port) && candidate.port >= 0 && candidate.port <= 65_535);
          }
        }
        for (const connection of connectionsOf(session)) {
          if (connection.kind === 'address')
            assert.equal(parseAddress(connection.address), connection.address);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('any bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        readSdp(Buffer.from(bytes));
        readSdpFragment(Buffer.from(bytes));
        readSdp(Buffer.concat([Buffer.from('v=0\no=- 1 1 IN IP4 a\n'), bytes]));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('lines that do not decide about transport', () => {
  const other = fc.constantFrom(
    ...[
      'a=rtpmap:0 PCMU/8000',
      'a=fmtp:101 0-15',
      'a=ptime:20',
      'b=AS:64',
      'i=m=audio 1 RTP/AVP 0',
      'a=rtcp-fb:* nack',
    ],
    ...[
      'a=ssrc:1 cname:x',
      'k=prompt',
      'a=crypto:1 X inline:y',
      '',
      'a=sendrecv-not',
      't=0 0',
      's=-',
      'x=c=IN IP4 1.2.3.4',
    ],
  );
  const deciding = [
    ...[
      'c=IN IP4 192.0.2.1',
      'a=group:BUNDLE a b',
      'm=audio 5004 RTP/AVP 0',
      'a=mid:a',
      'a=rtcp-mux',
      'a=sendonly',
    ],
    ...[
      'a=candidate:1 1 udp 1 192.0.2.1 5004 typ host',
      'm=video 5006/2 RTP/AVP 31',
      'c=IN IP6 2001:db8::1',
      'a=mid:b',
    ],
  ];

  it('change nothing, wherever they stand', () => {
    const begin = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1'];
    const expected = readSdp(Buffer.from([...begin, ...deciding].join('\n')));
    const noise = fc.array(fc.array(other, { maxLength: 4 }), { minLength: 11, maxLength: 11 });
    fc.assert(
      fc.property(noise, (between) => {
        const lines = [
          ...begin,
          ...deciding.flatMap((decides, index) => [...between[index]!, decides]),
          ...between[10]!,
        ];
        assert.deepEqual(readSdp(Buffer.from(lines.join('\r\n'))), expected);
      }),
    );
  });
});
