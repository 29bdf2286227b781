/**
 * Processor time for reading SIP and SDP alone, garbage collection included, beside the parsers of npm, on one core in one process. All variants take
 * turns, the median of the rounds counts. The npm parsers get a string, the readers here get bytes and decode them.
 * After that: hostile messages of 16 and 64 kB, and how the cost grows from one to the other (4 is linear).
 *
 *   node bench/run.mjs parse [rounds]
 */
import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { parse as parseSdp } from 'sdp-transform';
import { readSdp } from '../src/sdp/read.ts';
import { readSip } from '../src/sip/read.ts';
import { createSipFramer } from '../src/sip/stream.ts';
import { median } from './quantile.ts';

const require = createRequire(import.meta.url);
const npmSip = require('sip') as { parse(text: string): unknown };
const drachtio = require('drachtio-sip') as { SipMessage: new (text: string) => unknown };
const jssip = require('jssip/lib/Parser.js') as { parseMessage(text: string, ua: unknown): unknown };

const ROUNDS = Number(process.argv[2] ?? 31);
const ROUND_MS = 20;

const sdp = [
  'v=0',
  'o=- 1545997027 1545997028 IN IP4 198.51.100.1',
  's=Example',
  'c=IN IP4 198.51.100.1',
  't=0 0',
  'm=audio 10000 RTP/AVP 8 0 18 101',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:18 G729/8000',
  'a=fmtp:18 annexb=no',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-15',
  'a=ptime:20',
  'a=sendrecv',
  'a=rtcp:10001',
  '',
].join('\r\n');

const webrtcSdp = [
  ...['v=0', 'o=- 4611731400430051336 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1'],
  ...['0', '1'].flatMap((mid) => [
    'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126',
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    ...Array.from(
      { length: 4 },
      (_, index) =>
        `a=candidate:${index} 1 udp 2122260223 192.0.2.${index} 5000${index} typ host generation 0`,
    ),
    'a=ice-ufrag:ETEn',
    'a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl',
    'a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2',
    'a=setup:actpass',
    `a=mid:${mid}`,
    'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
    'a=sendrecv',
    'a=rtcp-mux',
    'a=rtpmap:111 opus/48000/2',
    'a=rtcp-fb:111 transport-cc',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6',
  ]),
  '',
].join('\r\n');

function message(start: string, cseq: string, body: string): string {
  return [
    start,
    'Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK776asdhds;rport',
    'Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bKnashds10;received=192.0.2.4',
    'Max-Forwards: 69',
    'Record-Route: <sip:198.51.100.7;lr>',
    'From: "Alice Example" <sip:alice@atlanta.example.com>;tag=1928301774',
    'To: "Bob Example" <sip:bob@biloxi.example.com>;tag=a6c85cf',
    'Call-ID: a84b4c76e66710@pc33.atlanta.example.com',
    `CSeq: ${cseq}`,
    'Contact: <sip:alice@192.0.2.4:5060;transport=udp>',
    'User-Agent: Example Telephone 4.12.1',
    'Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, UPDATE',
    'Supported: replaces, timer, 100rel',
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

const messages: readonly (readonly [string, string])[] = [
  ['OPTIONS', message('OPTIONS sip:bob@biloxi.example.com SIP/2.0', '63104 OPTIONS', '')],
  ['BYE', message('BYE sip:bob@192.0.2.4:5060;transport=udp SIP/2.0', '231 BYE', '')],
  ['200 to BYE', message('SIP/2.0 200 OK', '231 BYE', '')],
  ['INVITE + SDP', message('INVITE sip:bob@biloxi.example.com SIP/2.0', '314159 INVITE', sdp)],
  ['200 + SDP', message('SIP/2.0 200 OK', '314159 INVITE', sdp)],
  ['INVITE + WebRTC SDP', message('INVITE sip:bob@biloxi.example.com SIP/2.0', '314159 INVITE', webrtcSdp)],
];

function readAll(bytes: Buffer): void {
  const answer = readSip(bytes);
  if ('error' in answer) throw new Error(answer.detail);
  if (answer.sdp.kind === 'sdp') readSdp(answer.sdp.bytes);
}

interface Variant {
  readonly name: string;
  readonly work: () => void;
}

/** µs of one `work` of each variant: rounds of all in turn, the median of each. */
function measure(variants: readonly Variant[], rounds: number): number[] {
  const counts = variants.map(({ work }) => countFor(work));
  const times = variants.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { work }] of variants.entries()) times[index]!.push(timeOf(work, counts[index]!));
  }
  return times.map(median);
}

/** Processor time, which other work on the machine disturbs least. */
function timeOf(work: () => void, count: number): number {
  const start = process.cpuUsage();
  for (let i = 0; i < count; i++) work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / count;
}

/** How often `work` fits into a round, once it has been compiled. */
function countFor(work: () => void): number {
  let count = 1;
  while (timeOf(work, count) * count < ROUND_MS * 1000) count *= 2;
  return count;
}

console.log(
  `Node ${process.version}, ${process.arch}, median of ${ROUNDS} rounds, µs of processor time per message\n`,
);
console.log(
  '| message | bytes | readSip (+ readSdp) | sip (+ sdp-transform) | drachtio-sip | jssip | ours / sip |',
);
console.log('|---|---|---|---|---|---|---|');
for (const [name, text] of messages) {
  const bytes = Buffer.from(text, 'latin1');
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  const times = measure(
    [
      { name: 'pinholed', work: () => readAll(bytes) },
      {
        name: 'sip',
        work: () => {
          npmSip.parse(text);
          if (body !== '') parseSdp(body);
        },
      },
      { name: 'drachtio-sip', work: () => void new drachtio.SipMessage(text) },
      { name: 'jssip', work: () => void jssip.parseMessage(text, {}) },
    ],
    ROUNDS,
  );
  const ratio = (times[0]! / times[1]!).toFixed(2);
  console.log(
    `| ${name} | ${bytes.length} | ${times.map((time) => time.toFixed(2)).join(' | ')} | ${ratio} |`,
  );
}

console.log('\n| description | bytes | readSdp | sdp-transform | ratio |\n|---|---|---|---|---|');
for (const [name, text] of [
  ['audio', sdp],
  ['WebRTC', webrtcSdp],
] as const) {
  const bytes = Buffer.from(text, 'latin1');
  const times = measure(
    [
      { name: 'readSdp', work: () => void readSdp(bytes) },
      { name: 'sdp-transform', work: () => void parseSdp(text) },
    ],
    ROUNDS,
  );
  console.log(
    `| ${name} | ${bytes.length} | ${times.map((time) => time.toFixed(2)).join(' | ')} | ${(times[0]! / times[1]!).toFixed(2)} |`,
  );
}

const START = 'INVITE sip:bob@biloxi.example.com SIP/2.0\r\n';
const NEEDED = message('INVITE sip:bob@biloxi.example.com SIP/2.0', '1 INVITE', '').slice(START.length);
const withBody = (type: string, body: string) =>
  `${START}Content-Type: ${type}\r\n${NEEDED.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`)}${body}`;
const fill = (unit: string, size: number) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
const session = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n';
const described = (unit: string, size: number) => withBody('application/sdp', session + fill(unit, size));
const multipart = (unit: string, size: number) => withBody('multipart/mixed;boundary=b', fill(unit, size));

/** What a hostile sender can put into a message of `size` bytes. */
const hostile: readonly (readonly [string, (size: number) => string])[] = [
  ['one long Call-ID', (size) => `${START}i: ${fill('x', size)}\r\n${NEEDED.replace(/Call-ID.*\r\n/, '')}`],
  ['quotes and backslashes in From', (size) => `${START}f: "${fill('\\"', size)}\r\n${NEEDED}`],
  ['parameters of Via', (size) => `${START}v: SIP/2.0/UDP h${fill(';a="\\""', size)}\r\n${NEEDED}`],
  ['folded To', (size) => `${START}t: ${fill('x\r\n ', size)}\r\n${NEEDED.replace(/To:.*\r\n/, '')}`],
  [
    'the same To again and again',
    (size) => START + NEEDED.replace('To:', `${fill('t: x\r\n', size)}\r\nTo:`),
  ],
  ['empty headers', (size) => START + fill('a:\r\n', size) + NEEDED],
  ['spaces', (size) => `${START}Call-ID${fill(' ', size)}: x\r\n${NEEDED}`],
  ['delimiters of a multipart body', (size) => multipart('--b\r\n', size)],
  ['almost delimiters', (size) => multipart('\r\n--b-', size)],
  ['m= lines', (size) => described('m=audio 5004 RTP/AVP 0\r\n', size)],
  ['candidates', (size) => described('a=candidate:1 1 udp 1 192.0.2.1 5004 typ host\r\n', size)],
  ['c= lines', (size) => described('c=\r\n', size)],
  ['lines of one byte', (size) => described('a\r', size)],
];

function framed(bytes: Buffer): void {
  const framer = createSipFramer();
  for (let i = 0; i < bytes.length; i++) framer.push(bytes.subarray(i, i + 1));
}

console.log('\n| hostile message | 16 kB, µs | 64 kB, µs | growth |\n|---|---|---|---|');
const kinds: readonly (readonly [string, (size: number) => () => void])[] = [
  ...hostile.map(([name, write]) => [name, (size: number) => reading(write(size))] as const),
  ['endless header, a push for each byte', (size) => framing(`${START}X: ${fill('x', size)}`)],
  ['endless start-line, a push for each byte', (size) => framing(`INVITE sip:${fill('x', size)}`)],
];

function reading(text: string): () => void {
  const bytes = Buffer.from(text, 'latin1');
  return () => {
    const answer = readSip(bytes, { maxBytes: 100_000 });
    if (!('error' in answer) && answer.sdp.kind === 'sdp') readSdp(answer.sdp.bytes);
  };
}

function framing(text: string): () => void {
  const bytes = Buffer.from(text, 'latin1');
  return () => framed(bytes);
}

for (const [name, make] of kinds) {
  const [small, large] = measure(
    [
      { name: '16 kB', work: make(16_000) },
      { name: '64 kB', work: make(64_000) },
    ],
    Math.ceil(ROUNDS / 4),
  );
  console.log(`| ${name} | ${small!.toFixed(1)} | ${large!.toFixed(1)} | ${(large! / small!).toFixed(1)} |`);
}
