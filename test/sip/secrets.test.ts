import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readSip } from '../../src/sip/read.ts';
import { withoutSecrets } from '../../src/sip/secrets.ts';

const SDP = [
  'v=0',
  'o=- 1 1 IN IP4 192.0.2.10',
  's=-',
  'c=IN IP4 192.0.2.10',
  't=0 0',
  'k=clear:SECRET-K',
  'a=key-mgmt:mikey SECRET-MIKEY',
  'm=audio 4000 RTP/SAVP 0',
  'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET+KEY==|2^20|1:32',
  'a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_32 inline:SECRET-CAP',
  'a=ice-ufrag:F7gI',
  'a=ice-pwd:SECRET-ICE-PASSWORD-OF-22',
  '',
].join('\r\n');

function invite(headers: readonly string[], body = '', type = 'application/sdp'): Buffer {
  const lines = [
    'INVITE sip:bob:SECRET-URI@example.com SIP/2.0',
    'Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1',
    'From: <sip:alice@example.com>;tag=a',
    'To: <sip:bob@example.com>',
    'Call-ID: one@example.com',
    'CSeq: 1 INVITE',
    ...headers,
    ...(body === '' ? [] : [`Content-Type: ${type}`]),
    `Content-Length: ${body.length}`,
    '',
    body,
  ];
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

function cleaned(message: Buffer): string {
  const text = withoutSecrets(message).toString('latin1');
  assert.doesNotMatch(text, /SECRET/);
  const read = readSip(Buffer.from(text, 'latin1'), { stream: true });
  assert.ok(!('error' in read), text);
  return text;
}

describe('a message without its secrets', () => {
  it('has no credentials, folded ones neither, and all the rest', () => {
    const text = cleaned(
      invite([
        'Authorization: Digest username="alice",',
        '  response="SECRET-1", nonce="SECRET-2"',
        'PROXY-AUTHORIZATION : Digest response="SECRET-3"',
        'Authentication-Info: rspauth="SECRET-4"',
        'Contact: <sips:alice:SECRET-5@192.0.2.1>',
        'X-Other: kept',
      ]),
    );
    assert.match(text, /^Authorization: Digest response="removed"\r$/m);
    assert.match(text, /^PROXY-AUTHORIZATION : Digest response="removed"\r$/m);
    assert.match(text, /^Contact: <sips:alice:\*\*\*@192\.0\.2\.1>\r$/m);
    assert.match(text, /^X-Other: kept\r$/m);
    assert.match(text, /^INVITE sip:bob:\*\*\*@example\.com SIP\/2\.0\r$/m);
  });

  it('has a description without keys, of the length that it says', () => {
    const text = cleaned(invite([], SDP));
    assert.match(text, /^a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAA==\|2\^20\|1:32\r$/m);
    assert.match(text, /^a=ice-ufrag:F7gI\r$/m);
    assert.match(text, /^a=ice-pwd:removed\r$/m);
    assert.match(text, /^k=removed\r$/m);
    assert.match(text, /^m=audio 4000 RTP\/SAVP 0\r$/m);
  });

  it('has the parts of a multipart body, those that are descriptions without keys, others not at all', () => {
    const body = [
      '--b1',
      'Content-Type: application/sdp',
      '',
      SDP,
      '--b1',
      'Content-Type: application/dtmf-relay',
      '',
      'Signal=SECRET',
      '--b1--',
      '',
    ].join('\r\n');
    const text = cleaned(invite([], body, 'multipart/mixed; boundary="b1"'));
    assert.match(text, /inline:AAAAAAAAAA==/);
    assert.match(text, /^removed: \d+ bytes\r$/m);
    assert.match(text, /^--b1--\r$/m);
  });

  it('has no body that may hold what was typed or said', () => {
    for (const type of ['application/dtmf-relay', 'text/plain', 'application/vnd.x']) {
      assert.match(cleaned(invite([], 'Signal=SECRET\r\n', type)), /removed: 15 bytes/);
    }
    assert.match(cleaned(invite(['Content-Encoding: gzip'], 'SECRET\r\n')), /removed: 8 bytes/);
  });

  it('is the same where there is nothing secret', () => {
    const plain = invite(['X-Other: a:b@c'], SDP.replace(/(k=|a=).*SECRET.*\r\n/g, '')).toString('latin1');
    const message = Buffer.from(plain.replace(':SECRET-URI', ''), 'latin1');
    assert.equal(withoutSecrets(message).toString('latin1'), message.toString('latin1'));
  });

  it('comes of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        withoutSecrets(Buffer.from(bytes));
      }),
    );
  });
});
