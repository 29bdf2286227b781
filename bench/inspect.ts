/**
 * Cost of the whole inspection (packet, SIP, SDP, call, policy, pinhole table) on one core, beside npm parsers that
 * do the parsing alone. Every message is timed on its own; variants take turns within a round, so that a machine
 * that changes its speed changes it for all of them.
 *
 *   node bench/run.mjs inspect [rounds]
 */
import type { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { parse as parseSdp } from 'sdp-transform';
import { createInspector, type Inspector } from '../src/inspector.ts';
import { udpPacket } from '../test/packets.ts';
import { sdp, settingsWith, sip } from '../test/scene.ts';
import { CLIENT, callPackets, SERVER } from './calls.ts';
import { median, quantile } from './quantile.ts';

const require = createRequire(import.meta.url);
const npmSip = require('sip') as { parse(text: string): unknown };
const drachtio = require('drachtio-sip') as { SipMessage: new (text: string) => unknown };
const jssip = require('jssip/lib/Parser.js') as { parseMessage(text: string, ua: unknown): unknown };

const ROUNDS = Number(process.argv[2] ?? 11);
const CALLS = 1000;
const settings = settingsWith({ caps: { calls: 1_000_000, callsPerHost: 1_000_000 } });

const HEADERS = [
  'Max-Forwards: 70',
  'User-Agent: Example Telephone 4.12.1',
  'Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE, UPDATE',
  'Supported: replaces, timer, 100rel, norefersub',
];
const AUDIO = [
  'rtpmap:0 PCMU/8000',
  'rtpmap:8 PCMA/8000',
  'rtpmap:101 telephone-event/8000',
  'fmtp:101 0-16',
  'ptime:20',
  'sendrecv',
];
const DRESS = { headers: HEADERS, attributes: AUDIO };

const STEPS = ['INVITE + SDP', '100', '180', '200 + SDP', 'ACK', 'BYE', '200 to BYE'] as const;

/** µs of each message, by variant. */
const samples = new Map<string, number[]>();

function timed(name: string, action: () => void, keep: boolean): void {
  const start = process.hrtime.bigint();
  action();
  const spent = Number(process.hrtime.bigint() - start) / 1000;
  if (!keep) return;
  const list = samples.get(name);
  if (list === undefined) samples.set(name, [spent]);
  else list.push(spent);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

let now = 0;
function next(): number {
  now += 0.01;
  return now;
}

const calls = Array.from({ length: CALLS }, (_, index) => callPackets(index, DRESS));
const optionsPacket = (index: number) =>
  udpPacket(CLIENT, SERVER, sip('OPTIONS', { callId: `options-${index}`, headers: HEADERS }));
const options = calls.map((_, index) => optionsPacket(index));
const textOf = (packet: Buffer) => packet.subarray(28).toString('latin1');
/** What the npm parsers get: the same messages as strings, each call's own. */
const texts = {
  OPTIONS: calls.map((_, index) => textOf(optionsPacket(index))),
  'INVITE + SDP': calls.map((call) => textOf(call[0]!)),
  BYE: calls.map((call) => textOf(call[5]!)),
};
const bodies = texts['INVITE + SDP'].map((text) => text.slice(text.indexOf('\r\n\r\n') + 4));
const agent = { log: { error() {} } };

/** 64 kB that cost a naive reader dearly: hundreds of m= lines, each with a candidate. */
const hostile = Array.from({ length: 20 }, (_, index) =>
  udpPacket(
    CLIENT,
    SERVER,
    sip('INVITE', {
      callId: `hostile-${index}`,
      body: `${sdp('192.0.2.10', [])}${'m=audio 4000 RTP/AVP 0\r\na=candidate:1 1 UDP 1 192.0.2.10 4000 typ host\r\n'.repeat(880)}`,
    }),
  ),
);

function round(keep: boolean): void {
  const inspector = createInspector(() => settings);
  for (const packet of options) timed('pinholed: OPTIONS', () => inspector.inspect(packet, next()), keep);
  const [first] = calls;
  const busy = createInspector(() => settings);
  busy.inspect(first![0]!, next());
  for (let i = 0; i < CALLS; i++)
    timed('pinholed: 180, always of one call', () => busy.inspect(first![2]!, next()), keep);
  for (const [step, name] of STEPS.entries()) {
    for (const call of calls) timed(`pinholed: ${name}`, () => inspector.inspect(call[step]!, next()), keep);
  }
  for (const packet of hostile)
    timed('pinholed: hostile 64 kB', () => inspector.inspect(packet, next()), keep);
  for (const [name, list] of Object.entries(texts)) {
    for (const text of list) timed(`npm sip: ${name}`, () => npmSip.parse(text), keep);
    for (const text of list) timed(`npm drachtio-sip: ${name}`, () => new drachtio.SipMessage(text), keep);
    for (const text of list.slice(0, 100))
      timed(`npm jssip: ${name}`, () => jssip.parseMessage(text, agent), keep);
  }
  for (const [index, text] of texts['INVITE + SDP'].entries()) {
    const both = () => {
      npmSip.parse(text);
      parseSdp(bodies[index]!);
    };
    timed('npm sip + sdp-transform: INVITE + SDP', both, keep);
  }
}

for (let i = 0; i < 4; i++) round(false);
for (let i = 0; i < ROUNDS; i++) round(true);

console.log('| message | p50 µs | p99 µs | mean µs | messages/s |\n|---|--:|--:|--:|--:|');
for (const [name, list] of samples) {
  const average = mean(list);
  const row = [median(list), quantile(list, 0.99), average].map((value) => value.toFixed(2));
  console.log(`| ${name} | ${row.join(' | ')} | ${Math.round(1e6 / average)} |`);
}

const p50 = (name: string) => median(samples.get(name)!);
const ratio = (a: string, b: string) => (p50(a) / p50(b)).toFixed(2);
console.log(`\nOPTIONS, ours / parsing by sip: ${ratio('pinholed: OPTIONS', 'npm sip: OPTIONS')}`);
console.log(`BYE, ours / parsing by sip: ${ratio('pinholed: BYE', 'npm sip: BYE')}`);
console.log(
  `INVITE, ours / parsing by sip and sdp-transform: ${ratio('pinholed: INVITE + SDP', 'npm sip + sdp-transform: INVITE + SDP')}`,
);

/** Whole calls, one after the other, as fast as it goes. */
function callsPerSecond(): number {
  const rates: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const inspector = createInspector(() => settings);
    const start = process.hrtime.bigint();
    for (const call of calls) for (const packet of call) inspector.inspect(packet, next());
    rates.push((CALLS / Number(process.hrtime.bigint() - start)) * 1e9);
  }
  return median(rates);
}
console.log(`complete calls of 7 messages, 2 with SDP: ${Math.round(callsPerSecond())} a second\n`);

/** Bytes of heap per call that is up, and what a message costs beside so many. */
function crowd(inspector: Inspector, from: number, to: number): { bytes: number; micros: number } {
  const heap = () => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed + process.memoryUsage().external;
  };
  const before = heap();
  for (let i = from; i < to; i++) {
    for (const packet of callPackets(i, DRESS).slice(0, 5)) inspector.inspect(packet, next());
  }
  const bytes = (heap() - before) / (to - from);
  const spent: number[] = [];
  for (let i = 0; i < 2000; i++) {
    const call = callPackets(1_000_000 + to + i, DRESS);
    for (const packet of call) {
      const start = process.hrtime.bigint();
      inspector.inspect(packet, next());
      spent.push(Number(process.hrtime.bigint() - start) / 1000);
    }
  }
  spent.sort((a, b) => a - b);
  return { bytes, micros: mean(spent.slice(0, Math.floor(spent.length * 0.99))) };
}

console.log('| calls up | bytes a call | µs a message of other calls |\n|--:|--:|--:|');
const crowded = createInspector(() => settings);
let reached = 0;
for (const target of [100, 10_000, 100_000]) {
  const { bytes, micros } = crowd(crowded, reached, target);
  console.log(`| ${target} | ${target === 100 ? '-' : Math.round(bytes)} | ${micros.toFixed(2)} |`);
  reached = target;
}
