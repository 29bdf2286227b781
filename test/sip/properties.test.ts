import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readSip } from '../../src/sip/read.ts';
import { isKeepalive, looksLikeSip } from '../../src/sip/recognise.ts';
import { createSipFramer } from '../../src/sip/stream.ts';
import { isError, OFFER } from './messages.ts';

const token = fc.string({ unit: fc.constantFrom(...'abzAZ019-.!%*_+`~'), minLength: 1, maxLength: 20 });
const method = fc.oneof(fc.constantFrom('INVITE', 'ACK', 'BYE', 'PRACK', 'UPDATE', 'invite'), token);
const host = fc.constantFrom('192.0.2.1', '[2001:db8::1]', 'a.example.com', '0.0.0.0');
const sentBy = fc.tuple(host, fc.constantFrom('', ':5060', ':1')).map(([name, port]) => name + port);
const space = fc.constantFrom('', ' ', '\t', '  ', '\r\n ', ' \r\n\t');
const blank = fc.constantFrom(' ', '  ', '\t', '\r\n ', ' \r\n\t');
const displayName = fc.constantFrom(
  '',
  'Bob ',
  '"Bob" ',
  '"a;tag=no" ',
  '"\\"<sip:x>;tag=no\\\\" ',
  'Bob Example\r\n ',
);

/** What a message says, and how it is written down: two things that must not influence each other. */
const written = fc.record({
  method,
  status: fc.option(fc.integer({ min: 100, max: 699 })),
  callId: token,
  fromTag: fc.option(token),
  toTag: fc.option(token),
  branch: fc.option(token),
  sentBy,
  cseq: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  sessionExpires: fc.option(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  rseq: fc.option(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  body: fc.constantFrom('', OFFER),
  names: fc.array(fc.nat(), { minLength: 10, maxLength: 10 }),
  spaces: fc.array(space, { minLength: 24, maxLength: 24 }),
  blank,
  display: displayName,
  order: fc.array(fc.nat(), { minLength: 16, maxLength: 16 }),
  lineEnd: fc.constantFrom('\r\n', '\n'),
  others: fc.array(
    fc.constantFrom('Contact: <sip:a;tag=no>', 'X-Call-ID: no', 'Max-Forwards:70', 's: v=0', 'broken'),
  ),
});
type Written = typeof written extends fc.Arbitrary<infer Value> ? Value : never;

function nameOf(choice: number, full: string, compact: string): string {
  const names = [full, full.toLowerCase(), full.toUpperCase(), compact, compact.toUpperCase()];
  return names[choice % names.length]!;
}

function write(message: Written): Buffer {
  const { names, spaces, display } = message;
  let used = 0;
  const gap = () => spaces[used++ % spaces.length]!;
  const flat = () => gap().replaceAll(/[\r\n]/g, '');
  const header = (index: number, full: string, compact: string, value: string) =>
    `${nameOf(names[index]!, full, compact)}${flat()}:${gap()}${value}`;
  const parameter = (name: string, value: string | null) =>
    value === null
      ? ''
      : `${gap()};${gap()}x="a;${name}=no,"${gap()};${gap()}${name}${gap()}=${gap()}${value}`;
  const address = (tag: string | null) => `${display}<sip:a@b;tag=inside>${parameter('tag', tag)}`;

  const headers = [
    header(0, 'Call-ID', 'i', message.callId),
    header(1, 'From', 'f', address(message.fromTag)),
    header(2, 'To', 't', address(message.toTag)),
    header(3, 'CSeq', 'CSEQ', `${message.cseq}${message.blank}${message.method}`),
    header(4, 'Content-Length', 'l', String(message.body.length)),
    header(5, 'Content-Type', 'c', 'application/sdp'),
    ...(message.sessionExpires === null
      ? []
      : [header(6, 'Session-Expires', 'x', String(message.sessionExpires))]),
    ...(message.rseq === null ? [] : [header(7, 'RSeq', 'rseq', String(message.rseq))]),
    ...message.others,
  ];
  const sorted = headers
    .map((line, index) => ({ line, key: message.order[index % message.order.length]! }))
    .sort((a, b) => a.key - b.key)
    .map(({ line }) => line);
  const via = `SIP${gap()}/${gap()}2.0${gap()}/${gap()}UDP${message.blank}${message.sentBy}${parameter('branch', message.branch)}`;
  const first =
    message.status === null
      ? `${message.method} sip:a@b;tag=no SIP/2.0`
      : `SIP/2.0 ${message.status} No Reason`;
  const lines = [
    first,
    header(8, 'Via', 'v', `${via}${gap()},${gap()}SIP/2.0/UDP other;branch=other`),
    ...sorted,
    header(9, 'Via', 'v', 'SIP/2.0/TCP last;branch=last'),
  ];
  const head = `${lines.join('\r\n')}\r\n\r\n`.replaceAll('\r\n', message.lineEnd);
  return Buffer.from(head + message.body, 'latin1');
}

describe('any way to write a message', () => {
  it('says the same: order, case, compact names, folding, quoting, line ends', () => {
    fc.assert(
      fc.property(written, (message) => {
        const answer = readSip(write(message));
        assert.ok(!isError(answer), JSON.stringify(answer));
        assert.equal(answer.method, message.status === null ? message.method : '');
        assert.equal(answer.status, message.status ?? 0);
        assert.equal(answer.callId, message.callId);
        assert.equal(answer.fromTag, message.fromTag ?? '');
        assert.equal(answer.toTag, message.toTag ?? '');
        assert.equal(answer.branch, message.branch ?? '');
        assert.equal(answer.sentBy, message.sentBy);
        assert.equal(answer.cseq, message.cseq);
        assert.equal(answer.cseqMethod, message.method);
        assert.equal(answer.sessionExpires, message.sessionExpires);
        assert.equal(answer.rseq, message.rseq);
        assert.equal(answer.sdp.kind === 'sdp' ? answer.sdp.bytes.toString('latin1') : '', message.body);
        assert.doesNotMatch(answer.from + answer.to, /[\r\n]/);
      }),
      { numRuns: 500 },
    );
  });
});

describe('any bytes', () => {
  const fragments = [
    ...[
      'INVITE sip:a@b SIP/2.0\r\n',
      'SIP/2.0 200 OK\r\n',
      'Via: SIP/2.0/UDP h;branch=',
      'v:',
      'To: "',
      '<',
      '>',
      ';tag=',
    ],
    ...[
      'Call-ID: x\r\n',
      'CSeq: 1 INVITE\r\n',
      'From: <sip:a>\r\n',
      'To: <sip:a>\r\n',
      'Via: SIP/2.0/UDP h\r\n',
    ],
    ...[
      'Content-Length: 9999999999\r\n',
      'l: 3\r\n',
      'c: multipart/mixed;boundary=b\r\n',
      'c: application/sdp\r\n',
    ],
    ...[
      '\r\n',
      '\n',
      '\r',
      ' ',
      '\t',
      ',',
      ';',
      '"',
      '\\',
      '=',
      ':',
      '\0',
      '\xff',
      '--b\r\n',
      '--b--',
      'v=0\r\n',
      'm=',
    ],
  ];
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
    fc
      .array(fc.oneof(fc.constantFrom(...fragments), fc.string({ maxLength: 5 })), { maxLength: 40 })
      .map((parts) => Buffer.from(parts.join(''), 'latin1')),
  );

  it('never throw, are never changed, and every refusal is one printable line', () => {
    fc.assert(
      fc.property(bytes, fc.boolean(), (input, stream) => {
        const before = Buffer.from(input);
        const answer = readSip(input, { stream });
        looksLikeSip(input);
        isKeepalive(input);
        createSipFramer().push(input);
        assert.ok(input.equals(before));
        if (isError(answer)) assert.match(answer.detail, /^[ -~]{1,200}$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('that are read as a message on a stream are the same message as a datagram', () => {
    fc.assert(
      fc.property(bytes, (input) => {
        const framed = readSip(input, { stream: true });
        if (!isError(framed)) assert.deepEqual(framed, readSip(input));
      }),
      { numRuns: 2000 },
    );
  });
});
