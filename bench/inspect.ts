/**
 * Cost of the whole inspection (packet, SIP, SDP, call, policy, pinhole table), one core, one process, beside
 * npm parsers that do the parsing alone. All variants take turns, the median of the rounds counts.
 *
 *   node bench/run.mjs inspect
 */
import type { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { parse as parseSdp } from 'sdp-transform';
import { createInspector } from '../src/inspector.ts';
import { udpPacket } from '../test/packets.ts';
import { host, sdp, settingsWith, sip } from '../test/scene.ts';

const require = createRequire(import.meta.url);
const ROUNDS = 15;
const client = host('192.0.2.10');
const server = host('198.51.100.20');

const settings = settingsWith({ caps: { calls: 1_000_000, callsPerHost: 1_000_000 } });
const newInspector = () => createInspector(() => settings);

const REALISTIC = [
  'Max-Forwards: 70',
  'User-Agent: Example Telephone 4.12.1',
  'Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE, UPDATE',
  'Supported: replaces, timer, 100rel, norefersub',
];
const body = (address: string, port: number) =>
  sdp(address, [
    {
      port,
      attributes: [
        'rtpmap:0 PCMU/8000',
        'rtpmap:8 PCMA/8000',
        'rtpmap:101 telephone-event/8000',
        'fmtp:101 0-16',
        'ptime:20',
        'sendrecv',
      ],
    },
  ]);

/** The seven messages of a call, as packets. */
function callPackets(index: number): Buffer[] {
  const callId = `bench-${index}@example.com`;
  const from = `f${index}`;
  const to = `t${index}`;
  const port = 10_000 + ((index * 2) % 40_000);
  const make = (start: string, more: Parameters<typeof sip>[1] = {}) =>
    sip(start, { callId, from, headers: REALISTIC, ...more });
  return [
    udpPacket(client, server, make('INVITE', { body: body(client.address, port) })),
    udpPacket(server, client, make('100 INVITE')),
    udpPacket(server, client, make('180 INVITE', { to })),
    udpPacket(server, client, make('200 INVITE', { to, body: body(server.address, port) })),
    udpPacket(client, server, make('ACK', { to, branch: `z9hG4bK-ack-${index}` })),
    udpPacket(client, server, make('BYE', { to, cseq: 2 })),
    udpPacket(server, client, make('200 BYE', { to, cseq: 2 })),
  ];
}

/** The clock of the inspector under test, in ms. */
let now = 0;
function next(): number {
  now += 0.01;
  return now;
}

interface Variant {
  readonly name: string;
  /** Runs once over its messages; returns how many there were. */
  readonly run: () => number;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

/** Rounds of all variants in turn; µs per message, median of the rounds. */
function measure(variants: readonly Variant[]): Map<string, number> {
  const times = new Map(variants.map(({ name }) => [name, [] as number[]]));
  for (const { run } of variants) run();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, run } of variants) {
      const start = process.hrtime.bigint();
      const count = run();
      times.get(name)!.push(Number(process.hrtime.bigint() - start) / 1000 / count);
    }
  }
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

const CALLS = 2000;
const packets = Array.from({ length: CALLS }, (_, index) => callPackets(index));
const options = udpPacket(client, server, sip('OPTIONS', { headers: REALISTIC }));
const payload = (packet: Buffer) => packet.subarray(28).toString('latin1');
const optionsText = payload(options);
const inviteText = payload(packets[0]![0]!);
const inviteBody = inviteText.slice(inviteText.indexOf('\r\n\r\n') + 4);

const npmSip = require('sip') as { parse(text: string): unknown };
const drachtio = require('drachtio-sip') as { SipMessage: new (text: string) => unknown };

/** Only message `position` of every call is timed, the others build the state it needs. */
function stage(name: string, position: number): Variant & { spent: () => number } {
  let spent = 0;
  return {
    name,
    spent: () => spent,
    run: () => {
      const inspector = newInspector();
      for (const call of packets) for (let i = 0; i < position; i++) inspector.inspect(call[i]!, next());
      const start = process.hrtime.bigint();
      for (const call of packets) inspector.inspect(call[position]!, next());
      spent = Number(process.hrtime.bigint() - start) / 1000 / packets.length;
      return packets.length;
    },
  };
}

const loop = (count: number, action: () => void) => () => {
  for (let i = 0; i < count; i++) action();
  return count;
};
const idle = newInspector();

const parsers = measure([
  { name: 'pinholed: inspect OPTIONS', run: loop(20_000, () => void idle.inspect(options, next())) },
  { name: 'npm sip: parse OPTIONS', run: loop(20_000, () => void npmSip.parse(optionsText)) },
  {
    name: 'npm drachtio-sip: parse OPTIONS',
    run: loop(5_000, () => void new drachtio.SipMessage(optionsText)),
  },
  { name: 'npm sip: parse INVITE', run: loop(20_000, () => void npmSip.parse(inviteText)) },
  {
    name: 'npm sip + sdp-transform: parse INVITE',
    run: loop(10_000, () => {
      npmSip.parse(inviteText);
      parseSdp(inviteBody);
    }),
  },
  {
    name: 'npm drachtio-sip: parse INVITE',
    run: loop(5_000, () => void new drachtio.SipMessage(inviteText)),
  },
  {
    name: 'pinholed: whole calls of 7 messages',
    run: () => {
      const inspector = newInspector();
      for (const call of packets) for (const packet of call) inspector.inspect(packet, next());
      return packets.length * 7;
    },
  },
]);

const stages = [
  stage('pinholed: inspect INVITE + SDP (opens)', 0),
  stage('pinholed: inspect 180', 2),
  stage('pinholed: inspect 200 + SDP (opens)', 3),
  stage('pinholed: inspect ACK', 4),
  stage('pinholed: inspect BYE', 5),
  stage('pinholed: inspect 200 to BYE', 6),
];
for (const one of stages) {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    one.run();
    rounds.push(one.spent());
  }
  parsers.set(one.name, median(rounds));
}

console.log('| what | µs per message |\n|---|---|');
for (const [name, time] of parsers) console.log(`| ${name} | ${time.toFixed(2)} |`);
const calls = 1e6 / (parsers.get('pinholed: whole calls of 7 messages')! * 7);
console.log(`\nOPTIONS: ${Math.round(1e6 / parsers.get('pinholed: inspect OPTIONS')!)} messages/s`);
console.log(`complete calls: ${Math.round(calls)} a second`);
