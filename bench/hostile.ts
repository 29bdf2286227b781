/**
 * What an attacker's packets cost the data path, in µs of processor time for each, beside what an ordinary call's cost:
 * a call that 32 parties answer at once with long lists of candidates, and what is refused.
 *
 *   node bench/run.mjs hostile [rounds]
 */
import type { Buffer } from 'node:buffer';
import { createInspector } from '../src/inspector.ts';
import { udpPacket } from '../test/packets.ts';
import { host, networks, sdp, settingsWith, sip } from '../test/scene.ts';
import { median } from './quantile.ts';

const ROUNDS = Number(process.argv[2] ?? 30);
const phone = host('192.0.2.10');
const outside = host('198.51.100.20');
/** As they are by default, but for who is inside. */
const settings = settingsWith({ inside: networks('192.0.2.0/24'), caps: { offersPerSecond: 500 } });

/** Streams of one description, each with so many candidates. */
function described(
  address: (candidate: number) => string,
  own: string,
  streams: number,
  candidates: number,
): string {
  const lines = Array.from({ length: streams }, (_, line) => ({
    port: 20_000 + 20 * line,
    attributes: Array.from(
      { length: candidates },
      (_, i) => `candidate:${i} 1 udp 1 ${address(i)} ${30_000 + 20 * line + i} typ host`,
    ),
  }));
  return sdp(own, lines);
}

let calls = 0;

/** The INVITE of a call, and one 183 of each of its forks. */
function forking(forks: number, streams: number, candidates: number): { invite: Buffer; answers: Buffer[] } {
  const callId = `hostile-${++calls}@example.com`;
  const offer = described(() => phone.address, phone.address, streams, candidates);
  return {
    invite: udpPacket(phone, outside, sip('INVITE', { callId, body: offer })),
    answers: Array.from({ length: forks }, (_, fork) => {
      const body = described((i) => `198.18.${fork}.${i}`, `203.0.113.${fork}`, streams, candidates);
      return udpPacket(outside, phone, sip('183 INVITE', { callId, to: `fork-${fork}`, body }));
    }),
  };
}

/** Median µs for each answer of a call, the first and the last of them. */
function measure(
  forks: number,
  streams: number,
  candidates: number,
): { first: number; last: number; worst: number } {
  const first: number[] = [];
  const last: number[] = [];
  const worst: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const inspector = createInspector(() => settings);
    const { invite, answers } = forking(forks, streams, candidates);
    let now = 1_000_000;
    inspector.inspect(invite, now);
    const costs = answers.map((answer) => {
      now += 1000;
      inspector.tick(now);
      const before = process.hrtime.bigint();
      inspector.inspect(answer, now);
      return Number(process.hrtime.bigint() - before) / 1000;
    });
    first.push(costs[0]!);
    last.push(costs.at(-1)!);
    worst.push(Math.max(...costs));
  }
  return { first: median(first), last: median(last), worst: median(worst) };
}

const round = (value: number) => value.toFixed(0).padStart(7);
console.log('µs for each 183 of a call          first    last   worst');
for (const [name, forks, streams, candidates] of [
  ['1 fork, 1 stream', 1, 1, 0],
  ['32 forks, 1 stream', 32, 1, 0],
  ['32 forks, 1 stream, 8 candidates', 32, 1, 8],
  ['1 fork, 32 streams, 8 candidates', 1, 32, 8],
  ['32 forks, 32 streams, 8 candidates', 32, 32, 8],
] as const) {
  measure(forks, streams, candidates);
  const { first, last, worst } = measure(forks, streams, candidates);
  console.log(`${name.padEnd(33)}${round(first)} ${round(last)} ${round(worst)}`);
}
