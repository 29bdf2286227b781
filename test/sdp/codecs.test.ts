import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { agreedCodecs, codecOf, codecsIn } from '../../src/sdp/codecs.ts';
import { readSdp } from '../../src/sdp/read.ts';

/** The codecs of each m= line. */
function codecsOf(...lines: readonly string[]): (readonly string[])[] {
  const session = readSdp(
    Buffer.from(['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 'c=IN IP4 192.0.2.1', ...lines].join('\r\n')),
  );
  assert.ok(!('error' in session));
  return session.streams.map(({ codecs }) => codecs);
}

describe('codecs of a description', () => {
  it('are those of its m= lines, in their order, named by a=rtpmap (RFC 8866 6.6) or RFC 3551', () => {
    assert.deepEqual(
      codecsOf(
        'm=audio 49170 RTP/AVP 97 0 101',
        'a=rtpmap:101 telephone-event/8000',
        'a=rtpmap:97 opus/48000/2',
        'm=video 51372 RTP/AVP 31 99',
        'a=rtpmap:99 h263-1998/90000',
      ),
      [
        ['97 opus/48000', '0 PCMU/8000', '101 telephone-event/8000'],
        ['31 H261/90000', '99 h263-1998/90000'],
      ],
    );
  });

  it('are none of what is no payload type, numbers where nobody names them, and escaped', () => {
    assert.deepEqual(
      codecsOf('m=image 4000 udptl t38', 'm=application 9 UDP/DTLS/SCTP 5000', 'm=message 7 TCP/MSRP *'),
      [[], [], []],
    );
    assert.deepEqual(codecsOf('m=audio 4000 RTP/AVP 96 128 98', 'a=rtpmap:98 a\x1bb/8000'), [
      ['96', '98 a\\x1bb/8000'],
    ]);
  });

  it('of descriptions that say the same are one list', () => {
    const lines = ['m=audio 4000 RTP/AVP 0 101', 'a=rtpmap:101 telephone-event/8000'];
    const other = ['m=audio 5000 RTP/AVP 0 101', 'a=sendrecv', 'a=rtpmap:101 telephone-event/8000'];
    assert.equal(codecsOf(...lines)[0], codecsOf(...other)[0]);
  });

  it('are found by their payload type, those of RFC 3551 in any description', () => {
    const [audio = []] = codecsOf('m=audio 4000 RTP/AVP 111', 'a=rtpmap:111 opus/48000/2');
    assert.deepEqual(codecOf(codecsIn(audio), 111), { name: 'opus', rate: 48_000 });
    assert.deepEqual(codecOf(codecsIn(audio), 8), { name: 'PCMA', rate: 8000 });
    assert.equal(codecOf(codecsIn(audio), 96), null);
  });
});

describe('what offer and answer agree on', () => {
  it('is what both have, by name and clock rate, whatever its numbers (RFC 3264 5.1, 6.1)', () => {
    const offer = ['0 PCMU/8000', '96 opus/48000', '97 telephone-event/8000', '98 telephone-event/48000'];
    const answer = ['111 OPUS/48000', '8 PCMA/8000', '101 telephone-event/8000'];
    assert.deepEqual(agreedCodecs(offer, answer), ['OPUS', 'telephone-event']);
    assert.deepEqual(agreedCodecs(['0 PCMU/8000'], ['8 PCMA/8000']), []);
    assert.deepEqual(agreedCodecs(['97', '98'], ['98', '99']), ['payload type 98']);
  });
});
