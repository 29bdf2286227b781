import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { classifyMedia, createMediaRecognizer, isUdptl, readRtp } from '../../src/packet/media.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

const RTP = '8000 0001 000000a0 12345678 d5d5d5d5';

describe('classifyMedia', () => {
  test('RTP', () => {
    assert.equal(classifyMedia(hex(RTP)), 'rtp');
    assert.equal(classifyMedia(hex('80e0 0001 000000a0 12345678')), 'rtp');
    assert.equal(classifyMedia(hex('90 60 0001 000000a0 12345678 bede 0001 10ff0000 01')), 'rtp');
    assert.equal(classifyMedia(hex('82 08 0001 000000a0 12345678 00000001 00000002')), 'rtp');
    assert.deepEqual(readRtp(hex('80e0 fffe 000000a0 f2345678')), {
      payloadType: 96,
      sequence: 0xfffe,
      ssrc: 0xf2345678,
    });
  });

  test('STUN of RFC 3489, without a cookie', () => {
    const id = '000102030405060708090a0b0c0d0e0f';
    assert.equal(classifyMedia(hex(`0001 0000 ${id}`)), 'stun');
    assert.equal(classifyMedia(hex(`0101 000c ${id} 0001 0008 0001 1f40 c0000201`)), 'stun');
    assert.equal(
      classifyMedia(hex(`0101 000c ${id} 0001 0009 0001 1f40 c0000201`)),
      null,
      'attribute too long',
    );
    assert.equal(classifyMedia(hex(`0001 0004 ${id}`)), null, 'shorter than it says');
  });

  test('what only looks like RTP', () => {
    for (const bytes of [
      '8000 0001 000000a0 123456',
      '8f00 0001 000000a0 12345678',
      '9000 0001 000000a0 12345678 bede',
      '9000 0001 000000a0 12345678 bede 0002 00000000',
      '8048 0001 000000a0 12345678',
      '80c8 0006 000000a0 12345678',
      '40 00 0001 000000a0 12345678',
      'c0 00 0001 000000a0 12345678',
    ]) {
      assert.equal(classifyMedia(hex(bytes)), null, bytes);
      assert.equal(readRtp(hex(bytes)), null, bytes);
    }
  });

  test('RTCP: compound, reduced size, SRTCP', () => {
    const report = `80c8 0006 12345678 ${'00'.repeat(20)}`;
    assert.equal(classifyMedia(hex(`${report} 81ca 0002 12345678 01020000`)), 'rtcp');
    assert.equal(classifyMedia(hex('81c9 0001 12345678')), 'rtcp');
    assert.equal(classifyMedia(hex('81ce 0002 12345678 00000001')), 'rtcp');
    assert.equal(classifyMedia(hex(`${report} ffeeddccbbaa99887766 80000001 00112233445566778899`)), 'rtcp');
  });

  test('STUN of RFC 5769 section 2.4', () => {
    const message = hex(`000100602112a44278ad3433c6ad72c029da412e${'00'.repeat(96)}`);
    assert.equal(classifyMedia(message), 'stun');
    assert.equal(classifyMedia(message.subarray(0, 100)), null);
    assert.equal(classifyMedia(hex(`00010060 2112a443 78ad3433c6ad72c029da412e${'00'.repeat(96)}`)), null);
  });

  test('TURN channel data', () => {
    assert.equal(classifyMedia(hex('4000 0005 0102030405')), 'turn');
    assert.equal(classifyMedia(hex('4fff 0005 0102030405 000000')), 'turn');
    assert.equal(classifyMedia(hex('4000 0006 0102030405')), null);
    assert.equal(classifyMedia(hex('4000 0001 0102030405')), null);
  });

  test('DTLS', () => {
    const hello = `16 feff 0000 000000000000 0004 01000000`;
    assert.equal(classifyMedia(hex(hello)), 'dtls');
    assert.equal(classifyMedia(hex(hello.replace('feff', 'fefd'))), 'dtls');
    assert.equal(classifyMedia(hex(hello.replace('feff', '0303'))), null);
    assert.equal(classifyMedia(hex(hello.replace('0004', '0005'))), null);
  });

  test('ZRTP', () => {
    const hello = `1000 0001 5a525450 12345678 505a 0003 48656c6c6f414343 00000000`;
    assert.equal(classifyMedia(hex(hello)), 'zrtp');
    assert.equal(classifyMedia(hex(hello.replace('505a', '505b'))), null);
  });

  test('SIP, keep-alives and short payloads are nothing', () => {
    for (const text of [
      '',
      '\r\n\r\n',
      '\0',
      'INVITE sip:bob@example.com SIP/2.0\r\n',
      'SIP/2.0 200 OK\r\n',
    ]) {
      assert.equal(classifyMedia(Buffer.from(text)), null);
    }
  });
});

describe('UDPTL', () => {
  test('an indicator without and with redundancy, a data message, parity', () => {
    for (const bytes of [
      '0000 01 00 00 00',
      '0001 01 06 00 01 01 00',
      '0102 06 c00180000 0ff 00 01 01 06',
      '0003 01 00 80 01 03 02 01 00 01 06',
    ]) {
      assert.equal(isUdptl(hex(bytes)), true, bytes);
      assert.equal(classifyMedia(hex(bytes)), 't38', bytes);
    }
  });

  test('every byte counts: neither one less nor one more', () => {
    const message = hex('0102 06 c001800000ff 00 01 01 06');
    for (let length = 0; length < message.length; length++) {
      assert.equal(isUdptl(message.subarray(0, length)), false);
    }
    assert.equal(isUdptl(Buffer.concat([message, Buffer.alloc(1)])), false);
  });

  test('in a flow known to be fax, a sequence number may look like RTP', () => {
    assert.equal(isUdptl(hex('8000 01 00 00 00')), true);
  });
});

describe('a flow', () => {
  const rtp = (sequence: number, ssrc = 7) => {
    const bytes = hex(RTP);
    bytes.writeUInt16BE(sequence, 2);
    bytes.writeUInt32BE(ssrc, 8);
    return bytes;
  };

  test('is RTP from the second packet of an SSRC on, also across the wrap', () => {
    const recognize = createMediaRecognizer();
    assert.deepEqual(
      [recognize(rtp(65_535)), recognize(rtp(0)), recognize(rtp(500, 8))],
      [null, 'rtp', 'rtp'],
    );
  });

  test('is not RTP when nothing moves on: a query repeated', () => {
    const recognize = createMediaRecognizer();
    for (let i = 0; i < 5; i++) assert.equal(recognize(rtp(0x0110, 0)), null);
    for (let i = 0; i < 5; i++) assert.equal(recognize(rtp(i, i)), null);
  });

  test('is STUN at once, and RTP once media follows', () => {
    const recognize = createMediaRecognizer();
    assert.equal(recognize(hex('00010000 2112a442 78ad3433c6ad72c029da412e')), 'stun');
    assert.equal(recognize(rtp(1)), 'stun');
    assert.equal(recognize(rtp(2)), 'rtp');
  });

  test('is never fax by content alone', () => {
    const recognize = createMediaRecognizer();
    for (let i = 0; i < 5; i++) assert.equal(recognize(hex(`000${i} 01 00 00 00`)), null);
  });
});

test('property: no payload throws', () => {
  const first = fc.constantFrom(0, 1, 16, 20, 22, 64, 79, 128, 144, 191, 255);
  fc.assert(
    fc.property(first, fc.uint8Array({ maxLength: 64 }), (byte, rest) => {
      const payload = Buffer.from([byte, ...rest]);
      classifyMedia(payload);
      isUdptl(payload);
      readRtp(payload);
      createMediaRecognizer()(payload);
    }),
    { numRuns: 3000 },
  );
});
