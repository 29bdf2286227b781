import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FINGERPRINT, fingerprintOf } from '../../src/packet/fingerprint.ts';
import { ipv4, ipv6, udp } from './build.ts';

const text = Buffer.from('INVITE sip:b@example.com SIP/2.0\r\n\r\n');

describe('packet/fingerprint', () => {
  it('is that of a retransmission: another identification and hop limit (RFC 791, RFC 6864)', () => {
    const first = ipv4(udp(text), { id: 1 });
    const again = ipv4(udp(text), { id: 2 });
    again[8] = 3;
    again.writeUInt16BE(0xabcd, 10);
    assert.equal(fingerprintOf(first), fingerprintOf(again));
    assert.match(fingerprintOf(first), new RegExp(`^[0-9a-f]{${2 * FINGERPRINT}}$`));
  });

  it('is another for other bytes, another sender, another version', () => {
    const other = Buffer.from(text);
    other[0] = 0x4a;
    const prints = [
      ipv4(udp(text)),
      ipv4(udp(other)),
      ipv4(udp(text), { source: '192.0.2.9' }),
      ipv6(udp(text)),
      ipv4(udp(text), { more: true }),
      ipv4(udp(text), { more: true, offset: 8 }),
    ].map(fingerprintOf);
    assert.equal(new Set(prints).size, prints.length);
  });

  it('is there for what is no packet', () => {
    assert.notEqual(fingerprintOf(Buffer.from('x')), fingerprintOf(Buffer.alloc(0)));
  });
});
