import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { endpointsOf } from '../../src/call/transport.ts';
import { readSdp } from '../../src/sdp/read.ts';
import type { Stream } from '../../src/sdp/session.ts';
import type { SipError, SipMessage } from '../../src/sip/message.ts';
import { readSip } from '../../src/sip/read.ts';
import { looksLikeSip } from '../../src/sip/recognise.ts';
import { createSipFramer } from '../../src/sip/stream.ts';
import { createScene, host, sdp, sip } from '../scene.ts';
import { isError, mustRead } from './messages.ts';
import { message, type Parts } from './repeating.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/leniency.md', import.meta.url)), 'utf8');

/** The rows of the page's tables: cells without their blanks. */
const ROWS = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.split('|').map((cell) => cell.trim()));

const LINES = [
  'v=0',
  'o=- 1 1 IN IP4 192.0.2.10',
  's=-',
  'c=IN IP4 192.0.2.10',
  't=0 0',
  'm=audio 40000 RTP/AVP 0',
];
const SDP = `${LINES.join('\r\n')}\r\n`;

/** What a message with this description, and with these parts, announces. */
function announced(body: string, parts: Parts = {}): string {
  const more = [...(parts.more ?? []), 'Content-Type: application/sdp', `Content-Length: ${body.length}`];
  return streamsOf(readSip(message({ ...parts, more, body })));
}

/** `audio 192.0.2.10:40000`, or what stands in its place. */
function streamsOf(answer: SipMessage | SipError | undefined): string {
  if (answer === undefined) return 'undecided';
  if (isError(answer)) return answer.error;
  if (answer.sdp.kind === 'unusable') return answer.sdp.reason;
  if (answer.sdp.kind !== 'sdp') return answer.sdp.kind;
  const session = readSdp(answer.sdp.bytes);
  return 'error' in session ? session.error : session.streams.map(streamOf).join(', ');
}

function streamOf({ media, port, connection }: Stream): string {
  switch (connection.kind) {
    case 'address':
      return `${media} ${connection.address}:${port}`;
    case 'hostname':
      return 'a host name';
    case 'none':
      return 'no address';
    default:
      return `${media} ${connection.kind}`;
  }
}

function replaced(from: string, to: string): string {
  assert.ok(SDP.includes(from));
  return SDP.replace(from, to);
}

const USUAL = 'audio 192.0.2.10:40000';
const PLAIN = { more: ['Content-Type: application/sdp'], body: SDP };

function streamOfSdp(body: string): Stream {
  const session = readSdp(Buffer.from(body, 'latin1'));
  assert.ok(!('error' in session), JSON.stringify(session));
  return session.streams[0]!;
}

function withLength(length: string): Buffer {
  return message({ ...PLAIN, more: [...PLAIN.more, `Content-Length: ${length}`] });
}

const READ: Readonly<Record<string, () => void>> = {
  fillers: () => {
    const usual = message(PLAIN);
    for (const filler of ['\0\0\0\0', '\r\n\r\n', '\0\r\n', '\r\n\0', '\n']) {
      const bytes = Buffer.concat([Buffer.from(filler, 'latin1'), usual]);
      assert.ok(looksLikeSip(bytes));
      assert.equal(streamsOf(readSip(bytes)), USUAL);
      const framed = withLength(String(SDP.length));
      const framer = createSipFramer();
      const stream = Buffer.concat([framed, Buffer.from(filler, 'latin1')]);
      for (let i = 0; i < 2; i++) assert.deepEqual(framer.push(stream).map(streamsOf), [USUAL]);
    }
  },
  'start-line-space': () => {
    for (const start of ['INVITE  sip:b  SIP/2.0', 'INVITE\tsip:b\tSIP/2.0', 'INVITE sip:b SIP/2.0 \t ']) {
      const bytes = message({ ...PLAIN, start });
      assert.ok(looksLikeSip(bytes), start);
      assert.equal(streamsOf(readSip(bytes)), USUAL, start);
    }
  },
  'header-space': () => {
    const text = message({ headers: { Via: null, 'v ': 'SIP/2.0/UDP a', 'CALL-ID': null } }).toString(
      'latin1',
    );
    const read = mustRead(readSip(Buffer.from(text.replace('Call-ID: ', 'cAll-iD\t:\r\n '), 'latin1')));
    assert.equal(read.callId, 'one@example.com');
    assert.equal(read.sentBy, 'a');
  },
  'lf-lines': () => {
    const text = message(PLAIN).toString('latin1').replaceAll('\r\n', '\n');
    assert.equal(streamsOf(readSip(Buffer.from(text, 'latin1'))), USUAL);
  },
  'cseq-32-bit': () => {
    for (const number of [2 ** 31, 2 ** 32 - 1]) {
      const read = mustRead(
        readSip(message({ headers: { CSeq: `${number} INVITE`, RAck: `1 ${number} INVITE` } })),
      );
      assert.deepEqual([read.cseq, read.rack?.cseq], [number, number]);
    }
    assert.equal(streamsOf(readSip(message({ headers: { CSeq: `${2 ** 32} INVITE` } }))), 'malformed-header');
  },
  'content-length-large': () => {
    for (const excess of [1, 2, 128])
      assert.equal(streamsOf(readSip(withLength(`${SDP.length + excess}`))), USUAL);
  },
  'content-length-small': () => {
    const hidden = `${SDP}${SDP.replace('40000', '50000')}`;
    const more = ['Content-Type: application/sdp', `Content-Length: ${SDP.length}`];
    assert.equal(streamsOf(readSip(message({ more, body: hidden }))), USUAL);
    assert.equal(streamsOf(readSip(withLength(`${SDP.length - 2}`))), USUAL);
  },
  'content-length-none': () => {
    const bye = (more: readonly string[]) =>
      readSip(message({ start: 'BYE sip:b SIP/2.0', headers: { CSeq: '1 BYE' }, more }));
    assert.equal(mustRead(bye(['Content-Length: 400'])).method, 'BYE');
    assert.equal(streamsOf(bye(['Content-Type: application/sdp', 'Content-Length: 4'])), 'truncated-body');
  },
  'content-length-empty': () => assert.equal(streamsOf(readSip(withLength(''))), USUAL),
  'no-content-type': () => {
    assert.equal(streamsOf(readSip(message({ body: SDP }))), USUAL);
    assert.equal(streamsOf(readSip(message({ body: `x\r\n${SDP}` }))), 'none');
  },
  'multipart-open': () => {
    const part = `--b\r\nContent-Type: application/sdp\r\n\r\n${SDP}`;
    const more = ['Content-Type: multipart/mixed;boundary=b'];
    assert.equal(streamsOf(readSip(message({ more, body: part }))), USUAL);
    assert.equal(streamsOf(readSip(message({ more, body: `${part}\r\n${part}` }))), 'several-sdp');
    assert.equal(streamsOf(readSip(message({ more, body: SDP }))), 'malformed-body');
  },
  'parameter-junk': () => {
    for (const junk of [';a b', ';;', ';x@y=1', ';?', ';a="b;tag=no" c', '; ;']) {
      const From = `<sip:a>${junk};tag=1`;
      assert.equal(mustRead(readSip(message({ headers: { From } }))).fromTag, '1', From);
    }
    const Via = 'SIP/2.0/UDP a;x@y=1;branch=1';
    assert.equal(mustRead(readSip(message({ headers: { Via } }))).branch, '1');
  },
  'name-semicolon': () => {
    const From = 'Smith; John <sip:a;tag=inner>;tag=1';
    assert.equal(mustRead(readSip(message({ headers: { From } }))).fromTag, '1');
    assert.equal(mustRead(readSip(message({ headers: { From: 'sip:a;tag=1;x=<y>' } }))).fromTag, '1');
    assert.equal(mustRead(readSip(message({ headers: { From: 'sip:a;x="<"' } }))).fromTag, '');
  },
  'address-junk': () => {
    for (const junk of [' home', '(home)', '>', ' "a;tag=2"', ' <sip:c;tag=2>']) {
      const read = mustRead(readSip(message({ headers: { From: `"A" <sip:a>${junk};tag=1` } })));
      assert.equal(read.fromTag, '1', junk);
    }
    assert.equal(streamsOf(readSip(message({ headers: { From: '<sip:a> ";tag=1' } }))), 'malformed-header');
  },
  'no-tag': () => {
    const read = mustRead(readSip(message({ headers: { From: '<sip:a>' }, start: 'SIP/2.0 200 OK' })));
    assert.deepEqual([read.fromTag, read.toTag], ['', '']);
  },
  'sdp-line-ends': () => {
    for (const end of ['\n', '\r', ' \r\n', '\t\r\n', '\r\n\r\n', '\0\r\n', '\r\n \r\n']) {
      assert.equal(announced(LINES.join(end) + end), USUAL, JSON.stringify(end));
    }
    assert.equal(announced(`\r\n${SDP}\0\0\0`), USUAL);
  },
  'sdp-before': () => {
    for (const before of ['\0', ' ', '\t\r\n']) assert.equal(announced(before + SDP), USUAL);
    assert.equal(announced(replaced('m=', ' m=1\r\nm=')), USUAL);
  },
  'sdp-white-space': () => {
    for (const space of ['  ', '\t', ' \t ']) {
      assert.equal(announced(SDP.replaceAll(' ', space)), USUAL, JSON.stringify(space));
    }
    assert.equal(announced(SDP.replaceAll('=', '= ')), USUAL);
    const attributes = [
      'a=rtcp: 40009  IN\tIP4  192.0.2.11',
      'a=candidate: 1  1\tUDP 1  192.0.2.12 40010  typ host',
      'a= sendonly',
      'a=mid: x',
    ];
    const { rtcp, candidates, direction, mid } = streamOfSdp(`${SDP}${attributes.join('\r\n')}\r\n`);
    assert.deepEqual(rtcp, { port: 40009, connection: { kind: 'address', address: '192.0.2.11' } });
    assert.deepEqual([candidates[0]?.port, direction, mid], [40010, 'sendonly', 'x']);
  },
  'sdp-no-s-t': () => assert.equal(announced(replaced('s=-\r\n', '').replace('t=0 0\r\n', '')), USUAL),
  'o-repeated': () => {
    const origin = `${LINES[1]}\r\n`;
    assert.equal(announced(replaced(origin, origin + origin)), USUAL);
    assert.equal(announced(replaced(origin, `${origin}o=b${origin.slice(3)}`)), 'malformed-sdp');
  },
  'c-case': () => assert.equal(announced(replaced('c=IN IP4', 'c=in Ip4')), USUAL),
  'media-case': () => {
    assert.equal(announced(replaced('m=audio', 'm=AUDIO')), USUAL);
    assert.equal(announced(replaced('RTP/AVP', 'rtp/avp')), USUAL);
  },
  'm-off': () => {
    assert.equal(announced(`${SDP}m=video 0\r\n`), `${USUAL}, video 192.0.2.10:0`);
    assert.equal(announced(`${SDP}m=video 1\r\n`), 'malformed-sdp');
  },
  'm-count': () => {
    assert.equal(announced(replaced('40000', '40000/0')), USUAL);
    assert.equal(streamOfSdp(replaced('40000', '40000/0')).portCount, 1);
  },
  'm-order': () => {
    const scene = createScene();
    const [caller, callee] = [host('192.0.2.10'), host('192.0.2.20')];
    const lines = (...ports: number[]) => [ports[0]!, { media: 'video', port: ports[1]! }];
    scene.send(caller, callee, sip('INVITE', { body: sdp(caller.address, lines(40000, 40010)) }));
    const answer = sdp(callee.address, lines(50000, 50010).reverse());
    scene.send(callee, caller, sip('200 INVITE', { to: 'b', body: answer }));
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 192.0.2.20',
      'udp 192.0.2.10:40010-40011 < 192.0.2.20',
      'udp 192.0.2.20:50000-50001 < 192.0.2.10',
      'udp 192.0.2.20:50010-50011 < 192.0.2.10',
    ]);
  },
  'rtcp-broken': () => {
    for (const value of ['', 'x', '70000', '-1 IN IP4 192.0.2.11']) {
      assert.equal(streamOfSdp(`${SDP}a=rtcp:${value}\r\n`).rtcp, null, value);
    }
  },
  'rtcp-placeholder': () => {
    const ports = (rtcp: string) =>
      endpointsOf(streamOfSdp(`${SDP}a=rtcp:${rtcp}\r\n`), null, true).map((one) => [
        ...one.ports,
        one.connection.kind,
      ]);
    const audio = [40000, 40000, 'address'];
    assert.deepEqual(ports('9 IN IP4 0.0.0.0'), [audio, [40001, 40001, 'address']]);
    assert.deepEqual(ports('41000 IN IP4 0.0.0.0'), [audio, [41000, 41000, 'address']]);
  },
  'c-repeated': () => assert.equal(announced(`${SDP}c=IN IP4 192.0.2.10\r\nc=IN  IP4 192.0.2.10\r\n`), USUAL),
  placeholder: () => {
    const { connection, port, candidates } = streamOfSdp(
      `${replaced('192.0.2.10\r\nt', '0.0.0.0\r\nt').replace('40000', '9')}a=candidate:1 1 udp 1 192.0.2.12 40010 typ host\r\n`,
    );
    assert.deepEqual([connection.kind, port, candidates.length], ['unspecified', 9, 1]);
  },
  candidates: () => {
    const many = (text: (index: number) => string) =>
      Array.from({ length: 30 }, (_, index) => `a=candidate:${text(index)} typ host\r\n`).join('');
    const others =
      many((index) => `${index} 1 tcp 1 192.0.2.${index} 9`) +
      many((index) => `${index} 1 udp 1 x${index}.local 9`);
    const own = many((index) => `${index} 1 UDP 1 192.0.2.${index} ${50000 + index}`);
    const { candidates, candidatesDropped } = streamOfSdp(SDP + others + own);
    const openable = candidates.filter(({ port }) => port !== 9);
    assert.deepEqual([openable.length, candidates.length, candidatesDropped], [24, 48, 6]);
  },
};

const NOT_READ: Readonly<Record<string, () => readonly string[]>> = {
  'content-length-zero': () => [streamsOf(readSip(withLength('0')))],
  'content-length-two': () => [
    streamsOf(readSip(message({ ...PLAIN, more: [...PLAIN.more, 'Content-Length: 0', `l: ${SDP.length}`] }))),
  ],
  'content-length-far': () => [
    streamsOf(readSip(withLength(`${SDP.length + 129}`))),
    streamsOf(readSip(message({ more: ['Content-Type: application/sdp', 'Content-Length: 1'] }))),
  ],
  quotes: () => [
    announced(SDP, { headers: { From: '"A" B" <sip:a>;tag=1' } }),
    announced(SDP, { headers: { To: '"A <sip:a>;tag=1' } }),
  ],
  bracket: () => [announced(SDP, { headers: { From: '<sip:a;tag=1' } })],
  'uri-space': () => [announced(SDP, { start: 'INVITE sip:a b SIP/2.0' })],
  'cseq-method': () => [announced(SDP, { headers: { CSeq: '1 UPDATE' } })],
  'text-plain': () => [
    streamsOf(readSip(message({ more: ['Content-Type: text/plain'], body: SDP }))),
    streamsOf(readSip(message({ more: [`Subject: ${SDP.replaceAll('\r\n', '\r\n ')}x`] }))),
  ],
  'two-descriptions': () => {
    const part = `--b\r\nContent-Type: application/sdp\r\n\r\n${SDP}\r\n`;
    const more = ['Content-Type: multipart/mixed;boundary=b'];
    return [streamsOf(readSip(message({ more, body: `${part}${part}--b--` }))), announced(SDP + SDP)];
  },
  'no-boundary': () => [
    streamsOf(readSip(message({ more: ['Content-Type: multipart/mixed'], body: `--b\r\n\r\n${SDP}` }))),
    streamsOf(
      readSip(message({ more: ['Content-Type: multipart/mixed;boundary=c'], body: `--b\r\n\r\n${SDP}` })),
    ),
  ],
  gzip: () => [announced(SDP, { more: ['Content-Encoding: gzip'] })],
  'stream-lf': () => {
    const text = withLength(`${SDP.length}`).toString('latin1').replace('\r\n', '\n');
    return createSipFramer().push(Buffer.from(text, 'latin1')).map(streamsOf);
  },
  'no-version': () => [announced(`s=-\r\n${SDP}`), announced(replaced('v=0', 'v=1'))],
  'no-origin': () => [announced(replaced('o=- 1 1 IN IP4 192.0.2.10\r\n', ''))],
  'port-range': () => [announced(replaced('40000', '65536'))],
  'c-port': () => [announced(replaced('c=IN IP4 192.0.2.10', 'c=IN IP4 192.0.2.10:40000'))],
  'c-family': () =>
    ['IP4 2001:db8::1', 'IP6 [2001:db8::1]', 'IP4 192.000.002.010'].map((text) =>
      announced(replaced('c=IN IP4 192.0.2.10', `c=IN ${text}`)),
    ),
  'c-differ': () => [announced(`${SDP}c=IN IP4 192.0.2.10\r\nc=IN IP4 192.0.2.11\r\n`)],
  'host-name': () => [announced(replaced('c=IN IP4 192.0.2.10', 'c=IN IP4 media.example.com'))],
};

describe('docs/leniency.md', () => {
  it('has a row for each check here, and a check for each row', () => {
    const names = ROWS.map((cells) => cells[1]!.replaceAll('`', ''));
    assert.deepEqual(names, [...Object.keys(READ), ...Object.keys(NOT_READ)]);
  });

  for (const [name, check] of Object.entries(READ)) {
    it(`is read: ${name}`, check);
  }

  for (const [name, outcomes] of Object.entries(NOT_READ)) {
    it(`is not read: ${name}`, () => {
      const row = ROWS.find((cells) => cells[1] === `\`${name}\``)!;
      for (const outcome of outcomes()) assert.equal(outcome, row[3]!.replaceAll('`', ''));
    });
  }
});
