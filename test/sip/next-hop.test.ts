import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { nextHopIn } from '../../src/sip/next-hop.ts';

const withHeaders = (...headers: string[]) =>
  Buffer.from(`SIP/2.0 200 OK\r\n${headers.join('\r\n')}\r\n\r\nContact: <sips:in.the.body>\r\n`, 'latin1');

describe('where later messages go', () => {
  /** RFC 3263 4.1 and 4.2: an address, a port or a transport leaves DNS nothing to say of it. */
  const cases: readonly (readonly [string, ReturnType<typeof nextHopIn>])[] = [
    ['Contact: <sip:a@192.0.2.1>', null],
    ['Contact: <sip:a@[2001:db8::1]:5061>', null],
    ['Contact: <sip:a@example.com:5060>', null],
    ['Contact: <sip:a@example.com;transport=udp>', null],
    ['Contact: <sip:a@example.com;maddr=192.0.2.1>', null],
    ['Contact: <tel:+15551234>', null],
    ['Contact: *', null],
    ['Contact: <sip:a@example.com', null],
    ['Contact: <sip:a@example.com>', { isEncrypted: false, name: 'example.com' }],
    ['m: sip:example.com;expires=60', { isEncrypted: false, name: 'example.com' }],
    ['Record-Route: <sip:edge.example.com;lr>', { isEncrypted: false, name: 'edge.example.com' }],
    ['Contact: <sips:a@example.com>', { isEncrypted: true, name: 'example.com' }],
    ['Contact: <sips:a@192.0.2.1:5071>', { isEncrypted: true, name: null }],
    ['Contact: <sip:a@example.com:5061;TRANSPORT=Tls?Subject=x>', { isEncrypted: true, name: null }],
    ['Contact: <sip:a;b@example.com;transport=wss>', { isEncrypted: true, name: 'example.com' }],
    ['Contact: <sip:a@example.com>, <sips:b@192.0.2.1>', { isEncrypted: true, name: null }],
    ['Via: SIP/2.0/TLS example.com', null],
    ['Route: <sips:example.com>', null],
    ['Contact: <sip:a@exa mple.com>', null],
  ];
  for (const [header, expected] of cases) {
    it(header, () => assert.deepEqual(nextHopIn(withHeaders('To: <sips:b@c>', header)), expected));
  }

  it('is looked for in the head alone, and once in each byte of it', () => {
    assert.equal(nextHopIn(withHeaders('To: <sip:b@c>')), null);
    const part = fc.constantFrom(
      'Contact:',
      'm :',
      '<',
      '>',
      'sip:',
      'sips:',
      '@',
      ';',
      'transport=',
      '\r\n',
      'a',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), (parts) => {
        const hop = nextHopIn(Buffer.from(parts.join(''), 'latin1'));
        assert.ok(hop === null || hop.isEncrypted || hop.name !== null);
      }),
      { numRuns: 1000 },
    );
  });
});
