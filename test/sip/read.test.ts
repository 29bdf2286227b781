import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { printable } from '../../src/printable.ts';
import type { SipErrorReason } from '../../src/sip/message.ts';
import { readSip } from '../../src/sip/read.ts';
import { bytesOf, invite, mustRead, mustRefuse, OFFER } from './messages.ts';

/** A BYE with these header lines in place of the usual ones of the same name, or beside them. */
function bye(...lines: string[]): Buffer {
  const usual = new Map([
    ['via', 'Via: SIP/2.0/UDP 192.0.2.4;branch=z9hG4bKnashds10'],
    ['from', 'From: Bob <sip:bob@biloxi.example.com>;tag=a6c85cf'],
    ['to', 'To: Alice <sip:alice@atlanta.example.com>;tag=1928301774'],
    ['call-id', 'Call-ID: a84b4c76e66710'],
    ['cseq', 'CSeq: 231 BYE'],
    ['content-length', 'Content-Length: 0'],
  ]);
  for (const line of lines) usual.delete(line.slice(0, line.indexOf(':')).trim().toLowerCase());
  return bytesOf(['BYE sip:alice@pc33.atlanta.example.com SIP/2.0', ...usual.values(), ...lines]);
}

function refusal(bytes: Buffer): SipErrorReason {
  const { error, detail } = mustRefuse(readSip(bytes));
  assert.match(detail, /^[ -~]{1,200}$/);
  return error;
}

describe('the messages of RFC 3261 section 24.2', () => {
  it('F1 INVITE Alice -> atlanta.com proxy', () => {
    const message = mustRead(readSip(invite(OFFER, 'Content-Type: application/sdp')));
    const { sdp, ...rest } = message;
    assert.deepEqual(rest, {
      method: 'INVITE',
      status: 0,
      subject: 'sip:bob@biloxi.example.com',
      callId: 'a84b4c76e66710',
      fromTag: '1928301774',
      toTag: '',
      cseq: 314159,
      cseqMethod: 'INVITE',
      branch: 'z9hG4bKnashds8',
      sentBy: 'pc33.atlanta.example.com',
      contact: 'pc33.atlanta.example.com',
      rseq: null,
      rack: null,
      sessionExpires: null,
      expires: null,
      from: 'Alice <sip:alice@atlanta.example.com>;tag=1928301774',
      to: 'Bob <sip:bob@biloxi.example.com>',
    });
    assert.ok(sdp.kind === 'sdp');
    assert.equal(sdp.bytes.toString('latin1'), OFFER);
  });

  it('F6 180 Ringing Bob -> biloxi.com proxy, with three Via, of which the topmost counts', () => {
    const message = mustRead(
      readSip(
        bytesOf([
          'SIP/2.0 180 Ringing',
          'Via: SIP/2.0/UDP server10.biloxi.example.com;branch=z9hG4bK4b43c2ff8.1;received=192.0.2.3',
          'Via: SIP/2.0/UDP bigbox3.site3.atlanta.example.com;branch=z9hG4bK77ef4c2312983.1;received=192.0.2.2',
          'Via: SIP/2.0/UDP pc33.atlanta.example.com;branch=z9hG4bKnashds8;received=192.0.2.1',
          'To: Bob <sip:bob@biloxi.example.com>;tag=a6c85cf',
          'From: Alice <sip:alice@atlanta.example.com>;tag=1928301774',
          'Call-ID: a84b4c76e66710',
          'Contact: <sip:bob@192.0.2.4>',
          'CSeq: 314159 INVITE',
          'Content-Length: 0',
        ]),
      ),
    );
    assert.equal(message.status, 180);
    assert.equal(message.method, '');
    assert.equal(message.subject, 'Ringing');
    assert.equal(message.branch, 'z9hG4bK4b43c2ff8.1');
    assert.equal(message.sentBy, 'server10.biloxi.example.com');
    assert.equal(message.toTag, 'a6c85cf');
    assert.deepEqual(message.sdp, { kind: 'none' });
  });
});

describe('the start-line', () => {
  function startLine(line: string): Buffer {
    return Buffer.from(
      bye()
        .toString('latin1')
        .replace(/^.*\r\n/, `${line}\r\n`),
      'latin1',
    );
  }

  it('methods are case-sensitive (RFC 3261 7.1), so another case is another method', () => {
    const message = mustRead(readSip(bye('CSeq: 1 bye').fill('bye', 0, 3)));
    assert.equal(message.method, 'bye');
    assert.equal(refusal(bye('CSeq: 1 bye')), 'malformed-header');
  });

  it('the version is not case-sensitive (RFC 3261 7.1)', () => {
    assert.equal(mustRead(readSip(startLine('BYE sip:a@b sip/2.0'))).method, 'BYE');
    assert.equal(mustRead(readSip(startLine('sip/2.0 200 OK'))).status, 200);
  });

  it('line breaks before it are ignored (RFC 3261 7.5)', () => {
    assert.equal(mustRead(readSip(Buffer.concat([Buffer.from('\r\n\r\n\n'), bye()]))).method, 'BYE');
  });

  it('a status is three digits from 100 to 699 (RFC 3261 25.1)', () => {
    for (const status of [100, 183, 200, 487, 699]) {
      assert.equal(mustRead(readSip(startLine(`SIP/2.0 ${status} x`))).status, status);
    }
    for (const status of ['099', '700', '1000', '0200', '20', '2OO', '4294967496', '']) {
      assert.equal(refusal(startLine(`SIP/2.0 ${status} x`)), 'malformed-start-line', status);
    }
  });

  it('a reason phrase may be empty or absent', () => {
    assert.equal(mustRead(readSip(startLine('SIP/2.0 200 '))).subject, '');
    assert.equal(mustRead(readSip(startLine('SIP/2.0 200'))).subject, '');
  });

  it('other versions, white space in the URI, and a URI that is missing', () => {
    assert.equal(refusal(startLine('BYE sip:a@b SIP/3.0')), 'malformed-start-line');
    assert.equal(refusal(startLine('BYE sip:a@b; lr SIP/2.0')), 'malformed-start-line');
    assert.equal(refusal(startLine('BYE SIP/2.0')), 'malformed-start-line');
    assert.equal(refusal(startLine('SIP/2.1 200 OK')), 'malformed-start-line');
  });

  it('a method and a URI stand apart, and both are there (RFC 3261 25.1)', () => {
    assert.equal(refusal(startLine('BYE:sip:a@b SIP/2.0')), 'malformed-start-line');
    assert.equal(refusal(startLine(' sip:a@b SIP/2.0')), 'malformed-start-line');
  });

  it('what is not SIP at all', () => {
    assert.equal(refusal(startLine('GET / HTTP/1.1')), 'not-sip');
    assert.equal(refusal(startLine('')), 'not-sip');
    assert.equal(refusal(Buffer.alloc(0)), 'not-sip');
    assert.equal(refusal(Buffer.from('\r\n\r\n')), 'not-sip');
    assert.equal(refusal(Buffer.from([0x80, 0, 0, 1, 0x0a, 0xff])), 'not-sip');
  });
});

describe('header names', () => {
  it('in any case, with white space before the colon (RFC 3261 7.3.1)', () => {
    const message = mustRead(
      readSip(
        bye(
          'CALL-id \t : x@y',
          'fRoM: <sip:a@b>;TAG=f',
          'TO: <sip:a@b>;Tag=t',
          'VIA : SIP/2.0/UDP h;BRANCH=z',
        ),
      ),
    );
    assert.equal(message.callId, 'x@y');
    assert.equal(message.fromTag, 'f');
    assert.equal(message.toTag, 't');
    assert.equal(message.branch, 'z');
  });

  it('in compact form (RFC 3261 7.3.3, RFC 4028 section 10)', () => {
    const message = mustRead(
      readSip(
        bytesOf(
          [
            'INVITE sip:bob@biloxi.example.com SIP/2.0',
            'v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1',
            'f: <sip:a@b>;tag=1',
            't: <sip:c@d>',
            'i: call',
            'CSeq: 1 INVITE',
            'x: 1800;refresher=uac',
            's: Session-Expires: 5',
            'm: <sip:a@b>',
            'k: timer',
            'r: 7',
            'e: identity',
            'c: application/sdp',
            `l: ${OFFER.length}`,
          ],
          OFFER,
        ),
      ),
    );
    assert.equal(message.callId, 'call');
    assert.equal(message.sessionExpires, 1800);
    assert.equal(message.rseq, null);
    assert.equal(message.sdp.kind, 'sdp');
  });

  it('that only begin like ours are others', () => {
    const message = mustRead(
      readSip(bye('Call-ID-Old: x', 'ToX: y', 'Viaduct: z', 'Content-Lengthy: 5', 'CSeqs: 9 X', 'xyz: 7')),
    );
    assert.equal(message.callId, 'a84b4c76e66710');
    assert.equal(message.sessionExpires, null);
  });

  it('lines that are no header at all are stepped over (RFC 3261 8.2.2)', () => {
    assert.equal(mustRead(readSip(bye('no colon here', ': no name', '\x00\x01\x7f\xff'))).cseq, 231);
  });
});

describe('folded values and line ends', () => {
  it('a line that begins with white space continues the one before (RFC 3261 7.3.1)', () => {
    const message = mustRead(
      readSip(
        bye(
          'Call-ID:\r\n  folded',
          'CSeq: 0009\r\n  BYE',
          'From: "A \\\r\n B"\r\n\t<sip:a@b>\r\n ;\r\n tag\r\n =\r\n f1',
          'Via: SIP  / 2.0\r\n /UDP\r\n    192.0.2.2:5060 ;branch=\r\n z9hG4bK1',
        ),
      ),
    );
    assert.equal(message.callId, 'folded');
    assert.equal(message.cseq, 9);
    assert.equal(message.fromTag, 'f1');
    assert.equal(message.branch, 'z9hG4bK1');
    assert.equal(message.sentBy, '192.0.2.2:5060');
    assert.equal(message.from, '"A \\ B" <sip:a@b> ; tag = f1');
  });

  it('a continuation line of nothing but white space does not end the headers', () => {
    assert.equal(mustRead(readSip(bye('Subject: x\r\n  ', 'RSeq: 5'))).rseq, 5);
  });

  it('LF alone ends a line of a datagram, but not of a stream', () => {
    const bytes = Buffer.from(bye().toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    assert.equal(mustRead(readSip(bytes)).cseq, 231);
    assert.equal(mustRefuse(readSip(bytes, { stream: true })).error, 'malformed-header');
  });

  it('a datagram may end without the empty line', () => {
    const bytes = bye();
    assert.equal(mustRead(readSip(bytes.subarray(0, bytes.length - 2))).cseq, 231);
    assert.equal(mustRead(readSip(bytes.subarray(0, bytes.length - 4))).cseq, 231);
  });
});

describe('From and To', () => {
  function tagOf(value: string): string {
    return mustRead(readSip(bye(`From: ${value}`))).fromTag;
  }

  it('a parameter inside <> belongs to the URI (RFC 3261 20.10)', () => {
    assert.equal(tagOf('<sip:a@b;tag=inside>;tag=outside'), 'outside');
    assert.equal(tagOf('<sip:a@b;tag=inside>'), '');
  });

  it('without <> every parameter belongs to the header (RFC 3261 20.10)', () => {
    assert.equal(tagOf('sip:a@b;transport=udp;tag=1'), '1');
  });

  it('a quoted string hides what is in it, escaped quotes included (RFC 3261 25.1)', () => {
    assert.equal(tagOf('"x;tag=no <sip:y>" <sip:a@b>;tag=1'), '1');
    assert.equal(tagOf('"\\";tag=no" <sip:a@b>;tag=1'), '1');
    assert.equal(tagOf('"\\\\" <sip:a@b>;tag=1'), '1');
    assert.equal(tagOf('<sip:a@b>;x="a;tag=no";tag=1'), '1');
  });

  it('a display name may be bytes of any kind, %-escapes stay as they are', () => {
    assert.equal(tagOf('J\xf6rg \x00 \x1b[31m <sip:a%40b@c>;tag=%31'), '%31');
  });

  it('a quote or a < that never closes', () => {
    assert.equal(refusal(bye('From: "Mr. J. <sip:a@b>;tag=1')), 'malformed-header');
    assert.equal(refusal(bye('To: <sip:a@b;tag=1')), 'malformed-header');
  });

  it('a tag of RFC 2543 times may be absent', () => {
    assert.equal(tagOf('Alice <sip:a@b>'), '');
  });
});

describe('Via', () => {
  it('the topmost value counts, of many headers and of many values in one (RFC 3261 7.3.1)', () => {
    const message = mustRead(
      readSip(
        bye(
          'Via: SIP/2.0/UDP 192.0.2.1;branch=one,SIP/2.0/UDP 192.0.2.2;branch=two',
          'v: SIP/2.0/TCP h;branch=3',
        ),
      ),
    );
    assert.equal(message.branch, 'one');
    assert.equal(message.sentBy, '192.0.2.1');
  });

  it('a comma ends the topmost value even when that has no branch', () => {
    assert.equal(mustRead(readSip(bye('Via: SIP/2.0/UDP a, SIP/2.0/UDP b;branch=two'))).branch, '');
  });

  it('IPv6, 0.0.0.0, unknown transports, a parameter in quotes', () => {
    const message = mustRead(
      readSip(bye('Via: SIP/2.0/X-NEW [2001:db8::9:1]:5061;x="a;branch=no,";branch=z')),
    );
    assert.equal(message.sentBy, '[2001:db8::9:1]:5061');
    assert.equal(message.branch, 'z');
    assert.equal(mustRead(readSip(bye('Via: SIP/2.0/UDP 0.0.0.0:0;branch=z'))).sentBy, '0.0.0.0:0');
  });

  it('a value without sent-by, or with separators and nothing between them', () => {
    assert.equal(refusal(bye('Via: SIP/2.0/UDP')), 'malformed-header');
    assert.equal(refusal(bye('Via: SIP/2.0/UDP 192.0.2.15;;,;,,')), 'malformed-header');
  });
});

describe('numbers', () => {
  it('CSeq is below 2**32 and its method that of the request (RFC 3261 8.1.1.5)', () => {
    assert.equal(mustRead(readSip(bye('CSeq: 4294967295 BYE'))).cseq, 4294967295);
    assert.equal(mustRead(readSip(bye('CSeq: 000000000000000001 BYE'))).cseq, 1);
    for (const value of [
      '4294967296 BYE',
      '4294967297 BYE',
      '-1 BYE',
      '1',
      'BYE',
      '0x1 BYE',
      '1.0 BYE',
      '1 INVITE',
    ]) {
      assert.equal(refusal(bye(`CSeq: ${value}`)), 'malformed-header', value);
    }
  });

  it('Session-Expires and Expires are 32 bit, and null when they are not (RFC 4028 4, RFC 3261 20.19)', () => {
    const expected: [string, number | null][] = [
      ['1800', 1800],
      ['1800;refresher=uas', 1800],
      ['90 ;refresher=uac', 90],
      ['0', 0],
      ['4294967295', 4294967295],
      ['4294967296', null],
      ['9999999999999999999999', null],
      ['-5', null],
      ['soon', null],
      ['', null],
    ];
    for (const [text, value] of expected) {
      assert.equal(mustRead(readSip(bye(`Session-Expires: ${text}`))).sessionExpires, value, text);
      assert.equal(mustRead(readSip(bye(`Expires: ${text}`))).expires, value, text);
    }
  });

  it('RSeq and RAck (RFC 3262 section 7)', () => {
    assert.equal(mustRead(readSip(bye('RSeq: 988789'))).rseq, 988789);
    assert.equal(mustRead(readSip(bye('RSeq: 4294967296'))).rseq, null);
    assert.deepEqual(mustRead(readSip(bye('RAck: 776656 1 INVITE'))).rack, {
      rseq: 776656,
      cseq: 1,
      method: 'INVITE',
    });
    for (const value of ['776656 1', '776656', 'x 1 INVITE', '1 4294967297 INVITE', '']) {
      assert.equal(mustRead(readSip(bye(`RAck: ${value}`))).rack, null, value);
    }
  });
});

describe('headers that are missing or contradict each other', () => {
  it('From, To, Call-ID, CSeq and Via are needed (RFC 3261 8.1.1)', () => {
    for (const name of ['Via', 'From', 'To', 'Call-ID', 'CSeq']) {
      const text = bye().toString('latin1');
      const without = text.replace(new RegExp(`\r\n${name}:[^\r]*`), '');
      assert.equal(refusal(Buffer.from(without, 'latin1')), 'missing-header', name);
    }
    assert.equal(refusal(bye('Call-ID:')), 'malformed-header');
  });

  it('the same header twice with different values', () => {
    for (const [first, second] of [
      ['Call-ID: a', 'i: b'],
      ['CSeq: 1 BYE', 'CSeq: 2 BYE'],
      ['From: <sip:a@b>;tag=1', 'f: <sip:a@b>;tag=2'],
      ['To: <sip:a@b>;tag=1', 't: <sip:a@b>'],
      ['Content-Length: 0', 'l: 1'],
      ['Content-Type: application/sdp', 'c: text/plain'],
      ['Content-Encoding: identity', 'e: gzip'],
      ['RSeq: 1', 'RSeq: 2'],
    ] as const) {
      assert.equal(refusal(bye(first, second)), 'conflicting-header', second);
    }
  });

  it('of two Expires the first counts', () => {
    assert.equal(mustRead(readSip(bye('Expires: 5', 'Expires: 6'))).expires, 5);
  });

  it('the same header twice with the same value is the header', () => {
    assert.equal(mustRead(readSip(bye('Call-ID: a', 'i:   a  ', 'Content-Length: 0', 'l: 0'))).callId, 'a');
  });
});

describe('the body of a datagram (RFC 3261 18.3)', () => {
  function bodyOf(body: string, length: string | null): string {
    const head = bye('Content-Type: application/sdp', `Content-Length: ${length}`).toString('latin1');
    const bytes = Buffer.from(head.replace('Content-Length: null\r\n', '') + body, 'latin1');
    const message = mustRead(readSip(bytes));
    return message.sdp.kind === 'sdp' ? message.sdp.bytes.toString('latin1') : message.sdp.kind;
  }

  it('is Content-Length bytes; a second description after them is not seen', () => {
    assert.equal(bodyOf('v=0\r\nv=0\r\n', '5'), 'v=0\r\n');
    assert.equal(bodyOf('v=0\r\n', '0'), 'unusable');
    assert.equal(bodyOf('x=0\r\nv=0\r\n', '5'), 'x=0\r\n');
    assert.equal(bodyOf('v=0\r\n', '00005'), 'v=0\r\n');
  });

  it('goes to the end of the datagram without Content-Length', () => {
    assert.equal(bodyOf('v=0\r\n', null), 'v=0\r\n');
    assert.equal(bodyOf('', null), 'none');
  });

  it('more than 128 bytes shorter than Content-Length is an error', () => {
    const truncated = (length: number, body: string) =>
      refusal(bytesOf([bye(`Content-Length: ${length}`).toString('latin1').trimEnd()], body));
    assert.equal(bodyOf('v=0\r\n', '6'), 'v=0\r\n');
    assert.equal(bodyOf('v=0\r\n', '133'), 'v=0\r\n');
    assert.equal(truncated(134, 'v=0\r\n'), 'truncated-body');
  });

  it('not there is an error where a type was announced, else nothing was lost', () => {
    assert.equal(mustRead(readSip(bye('Content-Length: 500'))).sdp.kind, 'none');
    const typed = bye('Content-Length: 1')
      .toString('latin1')
      .replace('CSeq', 'Content-Type: text/plain\r\nCSeq');
    assert.equal(refusal(bytesOf([typed.trimEnd()], '')), 'truncated-body');
  });

  it('a Content-Length that is no number below 2**31', () => {
    for (const value of ['-1', '12abc', '99999999999999999999', '4294967328', '2147483648', '0x5', '5;x']) {
      assert.equal(refusal(bye(`Content-Length: ${value}`)), 'bad-content-length', value);
    }
    assert.equal(bodyOf('v=0\r\n', ''), 'v=0\r\n', 'none');
  });
});

describe('limits', () => {
  it('256 headers, or as many as asked for', () => {
    const filler = Array.from({ length: 250 }, (_, index) => `X-${index}: y`);
    assert.equal(mustRead(readSip(bye(...filler))).cseq, 231);
    assert.equal(refusal(bye(...filler, 'X: y')), 'too-many-headers');
    assert.equal(mustRefuse(readSip(bye(), { maxHeaders: 5 })).error, 'too-many-headers');
  });

  it('65,535 bytes, or as many as asked for', () => {
    const text = bye('Content-Length: 60000').toString('latin1');
    assert.equal(mustRead(readSip(Buffer.from(text.padEnd(65_535, 'x')))).cseq, 231);
    assert.equal(refusal(Buffer.from(text.padEnd(65_536, 'x'))), 'message-too-large');
    assert.equal(mustRefuse(readSip(bye(), { maxBytes: 100 })).error, 'message-too-large');
  });

  it('a stream needs Content-Length, and exactly that many bytes', () => {
    const text = bye().toString('latin1');
    const without = Buffer.from(text.replace('Content-Length: 0\r\n', ''), 'latin1');
    assert.equal(mustRefuse(readSip(without, { stream: true })).error, 'bad-content-length');
    assert.equal(
      mustRefuse(readSip(Buffer.from(`${text}v=0`), { stream: true })).error,
      'bad-content-length',
    );
    assert.equal(mustRead(readSip(bye(), { stream: true })).cseq, 231);
  });
});

describe('the host of a Contact (RFC 3261 20.10)', () => {
  for (const [value, expected] of [
    ['<sip:x@192.0.2.1:5060;transport=tcp>;expires=60', '192.0.2.1'],
    ['<sip:192.0.2.1>', '192.0.2.1'],
    ['"a <b@c>, d" <sips:+1;phone-context=x@[2001:db8::1]:5061;ob>', '2001:db8::1'],
    ['sip:x@example.com;q=0.5, <sip:y@192.0.2.1>', 'example.com'],
    ['<sip:a@192.0.2.1>, <sip:b@192.0.2.2>', '192.0.2.1'],
    ['Bob <sip:x@192.0.2.1?a=b>', '192.0.2.1'],
    ['*', ''],
    ['"x', ''],
    ['<sip:x@[2001:db8::1', '2001:db8::1'],
    [`<sip:x@${'a'.repeat(300)}>`, ''],
  ] as const) {
    it(printable(value, 60), () => {
      for (const name of ['Contact', 'm', 'CONTACT ']) {
        assert.equal(mustRead(readSip(bye(`${name}: ${value}`))).contact, expected);
      }
    });
  }

  it('of the first of several headers', () => {
    assert.equal(
      mustRead(readSip(bye('m: <sip:a@192.0.2.1>', 'Contact: <sip:b@192.0.2.2>'))).contact,
      '192.0.2.1',
    );
  });
});
