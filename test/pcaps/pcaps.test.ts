import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withoutTshark } from '../tshark.ts';

const directory = fileURLToPath(new URL('../../pcaps/', import.meta.url));

/** What tshark says of one frame; lists are in the frame's order. */
type Frame = {
  readonly number: number;
  readonly protocols: readonly string[];
  readonly src: string;
  readonly dst: string;
  readonly udp: boolean;
  readonly ports: readonly string[];
  readonly sip: readonly string[];
  readonly sdpAddresses: readonly string[];
  readonly sdpPorts: readonly string[];
  readonly payloadTypes: readonly string[];
  readonly payload: string;
  readonly faults: string;
  readonly checksums: string;
};

const fields = [
  'frame.number',
  'frame.protocols',
  'ip.src',
  'ipv6.src',
  'ip.dst',
  'ipv6.dst',
  'udp.srcport',
  'udp.dstport',
  'tcp.srcport',
  'tcp.dstport',
  'sip.Method',
  'sip.Status-Code',
  'sdp.connection_info.address',
  'sdp.media.port',
  'rtp.p_type',
  'tcp.payload',
  '_ws.malformed',
  'ip.checksum.status',
  'udp.checksum.status',
  'tcp.checksum.status',
];

async function framesOf(name: string): Promise<Frame[]> {
  const args = [
    '-n',
    '-r',
    `${directory}${name}.pcap`,
    '-T',
    'fields',
    '-E',
    'separator=/t',
    '-E',
    'aggregator=,',
  ];
  for (const option of [
    'ip.check_checksum',
    'udp.check_checksum',
    'tcp.check_checksum',
    'tcp.reassemble_out_of_order',
  ])
    args.push('-o', `${option}:TRUE`);
  args.push('--enable-heuristic', 'rtp_udp');
  for (const field of fields) args.push('-e', field);
  const { stdout } = await promisify(execFile)('tshark', args, { maxBuffer: 1 << 26 });
  const list = (text: string | undefined): string[] =>
    text === undefined || text === '' ? [] : text.split(',');
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const f = line.split('\t');
      return {
        number: Number(f[0]),
        protocols: (f[1] ?? '').split(':'),
        src: f[2] || f[3] || '',
        dst: f[4] || f[5] || '',
        udp: f[6] !== '',
        ports: f[6] !== '' ? [f[6] ?? '', f[7] ?? ''] : [f[8] ?? '', f[9] ?? ''],
        sip: [...list(f[10]), ...list(f[11])],
        sdpAddresses: list(f[12]),
        sdpPorts: list(f[13]),
        payloadTypes: list(f[14]),
        payload: Buffer.from(f[15] ?? '', 'hex').toString('latin1'),
        faults: f[16] ?? '',
        checksums: f.slice(17).join(','),
      };
    });
}

/** `192.0.2.10:49170 > 198.51.100.20:40000` to number of datagrams, of all UDP that is not on a SIP port. */
function mediaFlows(frames: readonly Frame[]): Record<string, number> {
  const flows: Record<string, number> = {};
  for (const { src, dst, udp, ports } of frames) {
    if (!udp || ports.includes('5060')) continue;
    const flow = `${src}:${ports[0]} > ${dst}:${ports[1]}`;
    flows[flow] = (flows[flow] ?? 0) + 1;
  }
  return flows;
}

const numbersOf = (frames: readonly Frame[], test: (frame: Frame) => boolean): number[] =>
  frames.filter(test).map((frame) => frame.number);
const first = (frames: readonly Frame[], test: (frame: Frame) => boolean): number =>
  numbersOf(frames, test)[0] ?? Number.NaN;
const media =
  (src: string, port: number) =>
  (frame: Frame): boolean =>
    frame.udp && frame.src === src && frame.ports[0] === String(port);
const says =
  (word: string) =>
  (frame: Frame): boolean =>
    frame.sip.includes(word);

type Claim = {
  /** Methods and status codes in order, as tshark finds them. */
  readonly sip: string;
  /** Every address and port that SDP names, in order. */
  readonly sdp: string;
  /** Both directions are listed; nothing else is sent. */
  readonly media: Record<string, number>;
  readonly also?: (frames: readonly Frame[]) => void;
};

const [A, B, GW, X, W] = ['192.0.2.10', '198.51.100.20', '198.51.100.30', '203.0.113.66', '198.51.100.40'];
const [A6, B6] = ['2001:db8:1::10', '2001:db8:2::20'];
const a = `${A}:49170`;
const b = `${B}:40000`;
const both = (sent: number, received: number): Record<string, number> => ({
  [`${a} > ${b}`]: sent,
  [`${b} > ${a}`]: received,
});
const simple = 'INVITE 100 200 ACK BYE 200';
const ringing = 'INVITE 100 180 200 ACK BYE 200';
const withRtcp = { [`${A}:49171 > ${B}:40001`]: 1, [`${B}:40001 > ${A}:49171`]: 1 };
const threeFragments = (frames: readonly Frame[]): void => {
  assert.deepEqual(numbersOf(frames, says('INVITE')), [3]);
};

const claims: Record<string, Claim> = {
  'basic-call': {
    sip: ringing,
    sdp: `${a} ${b}`,
    media: { ...both(100, 105), ...withRtcp },
    also: (frames) => assert.equal(numbersOf(frames, (f) => f.protocols.includes('rtcp')).length, 2),
  },
  'early-media': {
    sip: 'INVITE 100 183 200 ACK BYE 200',
    sdp: `${a} ${b} ${b}`,
    media: both(60, 110),
    also: (frames) => {
      const answered = first(frames, says('200'));
      assert.ok(first(frames, media(B, 40000)) < answered);
      assert.ok(first(frames, media(A, 49170)) > answered);
    },
  },
  'delayed-offer': { sip: ringing, sdp: `${b} ${a}`, media: both(50, 50) },
  prack: {
    sip: 'INVITE 100 183 PRACK 200 200 ACK BYE 200',
    sdp: `${a} ${b}`,
    media: both(50, 95),
    also: (frames) => assert.ok(first(frames, media(B, 40000)) < first(frames, says('ACK'))),
  },
  'prack-offer-in-183': {
    sip: 'INVITE 100 183 PRACK 200 200 ACK BYE 200',
    sdp: `${b} ${a}`,
    media: both(50, 80),
    also: (frames) => assert.ok(first(frames, media(B, 40000)) < first(frames, says('ACK'))),
  },
  'update-early': {
    sip: 'INVITE 100 183 PRACK 200 UPDATE 200 180 200 ACK BYE 200',
    sdp: `${a} ${b} ${A}:49180 ${b}`,
    media: { [`${b} > ${a}`]: 20, [`${b} > ${A}:49180`]: 80, [`${A}:49180 > ${b}`]: 50 },
  },
  'reinvite-moves-port': {
    sip: 'INVITE 100 200 ACK INVITE 100 200 ACK BYE 200',
    sdp: `${a} ${b} ${A}:49180 ${B}:40010`,
    media: { ...both(50, 52), [`${A}:49180 > ${B}:40010`]: 50, [`${B}:40010 > ${A}:49180`]: 50 },
    also: (frames) => {
      const second = numbersOf(frames, says('INVITE'))[1] ?? Number.NaN;
      assert.ok((numbersOf(frames, media(B, 40000)).at(-1) ?? 0) > second, 'old media after the new offer');
    },
  },
  'reinvite-refused': {
    sip: 'INVITE 100 200 ACK INVITE 100 488 ACK BYE 200',
    sdp: `${a} ${b} ${A}:49180`,
    media: both(80, 80),
    also: (frames) => {
      const refused = first(frames, says('488'));
      for (const side of [media(A, 49170), media(B, 40000)])
        assert.ok(numbersOf(frames, side).filter((n) => n > refused).length > 20);
    },
  },
  'direct-media-gateway': {
    sip: ringing,
    sdp: `${a} ${GW}:42000`,
    media: {
      [`${a} > ${GW}:42000`]: 60,
      [`${GW}:42000 > ${a}`]: 65,
      [`${A}:49171 > ${GW}:42001`]: 1,
      [`${GW}:42001 > ${A}:49171`]: 1,
    },
  },
  'hold-resume': {
    sip: 'INVITE 100 200 ACK INVITE 200 ACK INVITE 200 ACK BYE 200',
    sdp: `${a} ${b} ${a} ${b} ${a} ${b}`,
    media: both(115, 75),
    also: (frames) => {
      const [, held = 0, resumed = 0] = numbersOf(frames, says('ACK'));
      const during = (side: (f: Frame) => boolean) =>
        numbersOf(frames, side).filter((n) => n > held && n < resumed);
      assert.deepEqual(during(media(B, 40000)), []);
      assert.equal(during(media(A, 49170)).length, 40);
    },
  },
  'hold-zero-address': {
    sip: 'INVITE 100 200 ACK INVITE 200 ACK INVITE 200 ACK BYE 200',
    sdp: `${a} ${b} 0.0.0.0:49170 ${b} ${a} ${b}`,
    media: both(75, 75),
    also: (frames) => {
      const [, held = 0, resumed = 0] = numbersOf(frames, says('ACK'));
      assert.deepEqual(
        numbersOf(frames, (f) => f.number > held && f.number < resumed && f.sip.length === 0),
        [],
      );
    },
  },
  cancel: {
    sip: 'INVITE 100 180 CANCEL 200 487 ACK',
    sdp: `${a} ${b}`,
    media: { [`${b} > ${a}`]: 28 },
  },
  busy: { sip: 'INVITE 100 486 ACK', sdp: a, media: {} },
  'auth-407': {
    sip: 'INVITE 407 ACK INVITE 100 200 ACK BYE 200',
    sdp: `${a} ${a} ${b}`,
    media: both(50, 50),
  },
  forked: {
    sip: 'INVITE 100 183 183 200 ACK BYE 200',
    sdp: `${a} ${b} ${GW}:42000 ${GW}:42000`,
    media: { [`${b} > ${a}`]: 40, [`${GW}:42000 > ${a}`]: 75, [`${a} > ${GW}:42000`]: 50 },
  },
  'trunk-many-calls': {
    sip: '',
    sdp: '',
    media: Object.fromEntries(
      Array.from({ length: 20 }, (_, n): [string, number][] => [
        [`${A}:${49200 + 2 * n} > ${B}:${41000 + 2 * n}`, 10],
        [`${B}:${41000 + 2 * n} > ${A}:${49200 + 2 * n}`, 10],
      ]).flat(),
    ),
    also: (frames) => {
      for (const [word, times] of Object.entries({ INVITE: 20, 180: 20, ACK: 20, BYE: 20, 200: 40 }))
        assert.equal(numbersOf(frames, says(word)).length, times, word);
      assert.ok(
        (numbersOf(frames, says('INVITE')).at(-1) ?? 0) < first(frames, says('BYE')),
        'all calls at once',
      );
    },
  },
  'lost-bye': {
    sip: 'INVITE 100 200 ACK',
    sdp: `${a} ${b}`,
    media: both(50, 100),
  },
  retransmissions: {
    sip: 'INVITE INVITE 200 200 ACK BYE 200 BYE 200',
    sdp: `${a} ${a} ${b} ${b}`,
    media: both(75, 75),
  },
  'tcp-split': {
    // tshark 4.0 reads nothing of a segment behind a keep-alive, so the second INVITE is looked for below.
    sip: 'INVITE 100 180 200 ACK 200 ACK BYE 200',
    sdp: `${a} ${b} ${b}`,
    media: { ...both(3, 3), [`${A}:49180 > ${b}`]: 25, [`${b} > ${A}:49180`]: 25 },
    also: (frames) => {
      const invite = first(frames, says('INVITE'));
      const pieces = frames.filter((f) => f.src === A && f.payload !== '' && f.number <= invite);
      assert.equal(pieces.length, 8);
      assert.ok(pieces.some((f) => f.payload.endsWith('\r')));
      assert.ok(frames.some((f) => f.sip.join(' ') === '100 180'));
      assert.ok(
        frames.some((f) => f.payload.startsWith('ACK ') && f.payload.includes('\r\n\r\n\r\n\r\nINVITE sip:')),
      );
    },
  },
  'tcp-reordered': {
    sip: simple,
    sdp: `${a} ${b}`,
    media: both(50, 50),
    also: (frames) => {
      const starts = frames.filter((f) => f.src === A && f.payload !== '').map((f) => f.payload);
      assert.ok(starts[0]?.startsWith('INVITE'));
      assert.equal(starts.filter((payload) => payload.startsWith('BYE')).length, 2);
      assert.match(starts[2] ?? '', /m=audio 49170/);
      assert.doesNotMatch(starts[3] ?? 'm=', /m=/);
    },
  },
  'fragmented-invite': { sip: simple, sdp: `${a} ${b}`, media: both(50, 50), also: threeFragments },
  'fragmented-invite-ipv6': {
    sip: simple,
    sdp: `${A6}:49170 ${B6}:40000`,
    media: { [`${A6}:49170 > ${B6}:40000`]: 50, [`${B6}:40000 > ${A6}:49170`]: 50 },
    also: threeFragments,
  },
  'ipv6-call': {
    sip: ringing,
    sdp: `${A6}:49170 ${B6}:40000`,
    media: {
      [`${A6}:49170 > ${B6}:40000`]: 50,
      [`${B6}:40000 > ${A6}:49170`]: 50,
      [`${A6}:49171 > ${B6}:40001`]: 1,
      [`${B6}:40001 > ${A6}:49171`]: 1,
    },
  },
  'ipv6-signalling-ipv4-media': {
    sip: ringing,
    sdp: `${a} ${b}`,
    media: { ...both(50, 50), ...withRtcp },
    also: (frames) =>
      assert.ok(frames.filter((f) => f.sip.length > 0).every((f) => f.protocols.includes('ipv6'))),
  },
  't38-fax': {
    sip: 'INVITE 100 200 ACK INVITE 200 ACK BYE 200',
    sdp: `${a} ${b} ${B}:40020 ${A}:49190`,
    media: { ...both(30, 30), [`${A}:49190 > ${B}:40020`]: 46, [`${B}:40020 > ${A}:49190`]: 41 },
    also: (frames) => assert.equal(numbersOf(frames, (f) => f.protocols.includes('t38')).length, 87),
  },
  'rtcp-mux': {
    sip: simple,
    sdp: `${a} ${b}`,
    media: both(52, 52),
    also: (frames) => assert.equal(numbersOf(frames, (f) => f.protocols.includes('rtcp')).length, 4),
  },
  'rtcp-attribute': {
    sip: simple,
    sdp: `${a} ${b}`,
    media: { ...both(50, 50), [`${A}:49185 > ${B}:40105`]: 2, [`${B}:40105 > ${A}:49185`]: 2 },
    also: (frames) => assert.equal(numbersOf(frames, (f) => f.protocols.includes('rtcp')).length, 4),
  },
  'ice-bundle': {
    sip: simple,
    sdp: `${a} ${A}:49172 ${b} ${b}`,
    media: {
      ...both(104, 104),
      [`${a} > ${GW}:42000`]: 1,
      [`${GW}:42000 > ${a}`]: 1,
      [`${b} > 203.0.113.200:61170`]: 1,
    },
    also: (frames) => {
      assert.equal(numbersOf(frames, (f) => f.protocols.includes('stun')).length, 9);
      assert.equal(numbersOf(frames, (f) => f.payloadTypes.includes('96')).length, 100);
    },
  },
  'phone-behind-nat': {
    sip: simple,
    sdp: `10.1.1.10:49170 ${b}`,
    media: { [`${A}:61170 > ${b}`]: 75, [`${b} > ${A}:61170`]: 70 },
  },
  'one-way-audio-private-address': {
    sip: simple,
    sdp: `${a} 10.20.0.20:40000`,
    media: { [`${a} > 10.20.0.20:40000`]: 75, [`${b} > ${a}`]: 75 },
  },
  'one-way-audio-unannounced-source': {
    sip: simple,
    sdp: `${a} ${b}`,
    media: { [`${a} > ${b}`]: 75, [`${GW}:42000 > ${a}`]: 75 },
  },
  'attack-spoofed-bye': {
    sip: 'INVITE 100 200 ACK BYE 481 BYE 200',
    sdp: `${a} ${b}`,
    media: both(75, 75),
    also: (frames) => {
      const spoofed = frames.find(says('BYE'));
      assert.equal(spoofed?.src, X);
      const refused = first(frames, says('481'));
      assert.ok(numbersOf(frames, media(A, 49170)).filter((n) => n > refused).length > 20);
    },
  },
  'attack-sdp-third-host': {
    sip: simple,
    sdp: `${GW}:161 ${b}`,
    media: { [`${X}:49170 > ${GW}:161`]: 25, [`${X}:49172 > ${b}`]: 20 },
  },
  'attack-rtp-spray': {
    sip: simple,
    sdp: `${a} ${b}`,
    media: {
      ...both(75, 75),
      ...Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`${X}:6000 > ${B}:${39990 + n}`, 1])),
      [`${X}:49170 > ${b}`]: 25,
    },
  },
  'attack-answer-without-invite': {
    sip: '200',
    sdp: b,
    media: { [`${X}:49170 > ${b}`]: 25 },
  },
  'attack-register-slipstream': {
    sip: '',
    sdp: '',
    media: {},
    also: (frames) => {
      assert.ok(frames.some((f) => f.src === W && f.payload.startsWith('POST / HTTP/1.1')));
      assert.ok(frames.some((f) => f.src === W && f.payload.startsWith('REGISTER sip:')));
      assert.ok(frames.some((f) => f.src === X && f.ports[1] === '3306' && f.payload === 'hello\r\n'));
    },
  },
  'attack-invite-slipstream': {
    sip: '',
    sdp: '',
    media: { [`${X}:49170 > ${W}:1194`]: 25 },
    also: (frames) => {
      assert.ok(frames.some((f) => f.src === W && f.payload.startsWith('POST / HTTP/1.1')));
      assert.ok(frames.some((f) => f.src === W && f.payload.startsWith('INVITE sip:')));
      assert.ok(frames.some((f) => f.src === X && f.payload.startsWith('SIP/2.0 200 OK')));
    },
  },
};

const readme = readFileSync(`${directory}README.md`, 'utf8');
const listed = new Map(
  [...readme.matchAll(/^\| `([^`]+)\.pcap` +\| (\d+) +\|/gm)].map((row) => [row[1] ?? '', Number(row[2])]),
);

describe('captures of our own', () => {
  it('are listed in the README, and claimed here, one by one', () => {
    const files = readdirSync(directory)
      .filter((file) => file.endsWith('.pcap'))
      .map((file) => file.slice(0, -'.pcap'.length))
      .sort();
    assert.deepEqual([...listed.keys()].sort(), files);
    assert.deepEqual(Object.keys(claims).sort(), files);
  });

  it('are small', () => {
    for (const name of listed.keys()) assert.ok(statSync(`${directory}${name}.pcap`).size < 200_000, name);
  });

  describe('are what they claim to be', { skip: withoutTshark, concurrency: 2 }, () => {
    for (const [name, claim] of Object.entries(claims)) {
      it(name, async () => {
        const frames = await framesOf(name);
        assert.equal(frames.length, listed.get(name), 'the number of frames in the README');
        assert.deepEqual(mediaFlows(frames), claim.media);
        if (claim.sip !== '') assert.equal(frames.flatMap((f) => f.sip).join(' '), claim.sip);
        if (claim.sdp !== '') {
          const named = frames.flatMap((f) =>
            f.sdpPorts.map((port, n) => `${f.sdpAddresses[n] ?? f.sdpAddresses[0]}:${port}`),
          );
          assert.equal(named.join(' '), claim.sdp);
        }
        claim.also?.(frames);
        for (const frame of frames) {
          // What the stranger sprays reaches ports that tshark takes for RTCP or for nothing.
          if (frame.udp && !frame.ports.includes('5060') && frame.src !== X) {
            assert.match(
              frame.protocols.join(' '),
              / (?:rtp|rtcp|t38|stun)\b/,
              `frame ${frame.number} is not media`,
            );
          }
          assert.equal(frame.faults, '', `frame ${frame.number} is malformed`);
          assert.doesNotMatch(frame.checksums, /\b0\b/, `frame ${frame.number} has a bad checksum`);
          assert.match(
            `${frame.src} ${frame.dst}`,
            /^(?:(?:192\.0\.2|198\.51\.100|203\.0\.113|10\.20\.0)\.\d+|2001:db8:[0-9a-f:]+)(?: |$)/,
            `frame ${frame.number} is of another network`,
          );
        }
      });
    }
  });
});
