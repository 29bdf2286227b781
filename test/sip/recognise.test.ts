import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isKeepalive, looksLikeSip, recogniseStart } from '../../src/sip/recognise.ts';

const SIP = [
  'INVITE sip:bob@biloxi.example.com SIP/2.0\r\n',
  'OPTIONS sips:bob@192.0.2.1:5061;lr SIP/2.0\n',
  'INVITE tel:+1-201-555-0123 SIP/2.0\r\n',
  'INVITE  <sip:a@b>  SIP/2.0 \r\n',
  '\r\n\r\nREGISTER sip:a SIP/2.0\r\n',
  "!interesting-Method0123456789_*+`.%indeed'~ sip:a SIP/2.0\r\n",
  'OPTIONS sip:a@b SIP/7.0\r\n',
  'SIP/2.0 200 OK\r\n',
  'SIP/2.0 100',
  'sip/2.0 100 Trying\r\n',
];
const OTHER = [
  'POST / HTTP/1.1\r\n',
  'POST sip:a@b HTTP/1.1\r\n',
  'GET http://192.0.2.1/ HTTP/1.1\r\nX: SIP/2.0\r\n',
  'CONNECT host:443 HTTP/1.1\r\n',
  'OPTIONS * RTSP/1.0\r\n',
  'SETUP rtsp://192.0.2.1/a RTSP/1.0\r\n',
  'NOTIFY * HTTP/1.1\r\n',
  'HTTP/1.1 200 OK\r\n',
  'SIPS/2.0 200 OK\r\n',
  ' INVITE sip:a SIP/2.0\r\n',
  'INVITE sip:aSIP/2.0\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc',
  '\x80\x00\x12\x34',
  'v=0\r\n',
  `${'X'.repeat(100)} sip:a SIP/2.0\r\n`,
  `INVITE sip:${'a'.repeat(9000)} SIP/2.0\r\n`,
];

describe('SIP by its first bytes', () => {
  it('requests and responses of any version (RFC 3261 section 7)', () => {
    for (const text of SIP) assert.equal(looksLikeSip(Buffer.from(text, 'latin1')), true, text);
  });

  it('not HTTP, RTSP, TLS, RTP', () => {
    for (const text of OTHER)
      assert.equal(looksLikeSip(Buffer.from(text, 'latin1')), false, text.slice(0, 80));
  });

  it('each beginning of a stream is undecided, or as the whole is: segments end anywhere', () => {
    for (const text of [...SIP, ...OTHER]) {
      const bytes = Buffer.from(text, 'latin1');
      const whole = recogniseStart(bytes);
      for (let cut = 0; cut < bytes.length; cut++) {
        const part = recogniseStart(bytes.subarray(0, cut));
        assert.ok(part === 'undecided' || part === whole, `${cut} bytes of ${text.slice(0, 40)}: ${part}`);
      }
    }
  });

  it('the first bytes of a stream never say what more bytes take back', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.constantFrom(...SIP, ...OTHER).map((text) => Buffer.from(text, 'latin1')),
          fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
        ),
        fc.nat(),
        (bytes, cut) => {
          const whole = recogniseStart(bytes);
          const part = recogniseStart(bytes.subarray(0, cut % (bytes.length + 1)));
          assert.ok(part === 'undecided' || part === whole, `${part}, then ${whole}`);
        },
      ),
    );
  });
});

describe('keepalives', () => {
  it('line breaks (RFC 5626 3.5.1), zero bytes, an empty datagram', () => {
    for (const text of ['', '\r\n', '\r\n\r\n', '\n', '\0', '\0\0\0\0', '\0\r\n']) {
      assert.equal(isKeepalive(Buffer.from(text)), true, JSON.stringify(text));
    }
  });

  it('STUN with the magic cookie (RFC 5626 3.5.2, RFC 8489 section 5)', () => {
    const binding = Buffer.from('000100002112a442b7e7a701bc34d686fa87dfae', 'hex');
    assert.equal(isKeepalive(binding), true);
    assert.equal(isKeepalive(binding.subarray(0, 19)), false);
    assert.equal(isKeepalive(Buffer.from(binding).fill(0, 4, 8)), false);
    assert.equal(isKeepalive(Buffer.from(binding).fill(0x41, 0, 1)), false);
  });

  it('not SIP, not SIP after line breaks, not RTP', () => {
    for (const text of [...SIP, '\r\nx', '\x80\x00', 'hello']) {
      assert.equal(isKeepalive(Buffer.from(text, 'latin1')), false, text);
    }
  });
});
