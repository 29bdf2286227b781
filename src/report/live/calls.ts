import { portsText, transportText } from '../../call/description.ts';
import type { CallResult, PinholeResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { printable } from '../../printable.ts';
import { foldLine, type Style } from '../style.ts';
import { dateText } from '../time.ts';
import { callTable, codecsOf } from './call-table.ts';
import { listLines } from './table.ts';
import { ageText, bytesText } from './words.ts';

/** Why audio is missed, and what can be done. */
function audioLines({ noAudio, startedAt, age }: CallResult): string[] {
  if (!noAudio) return [];
  const span = ageText(Math.max(0, startedAt + age - noAudio.since));
  const head = `  no audio for the ${noAudio.to.join(' and the ')}, since ${span}`;
  return [head, ...noAudio.causes.map(({ text, advice }) => `    ${printable(`${text} ${advice}`, 1024)}`)];
}

/** `pinholed calls` for people, in `columns` columns as far as that can be. */
export function callsText(
  calls: readonly CallResult[],
  style: Style,
  columns = Number.POSITIVE_INFINITY,
): string {
  if (calls.length === 0) return 'No calls.\n';
  const [heads = '', ...rows] = callTable(calls, columns);
  return `${[style.strong(heads), ...rows].join('\n')}\n`;
}

/** `pinholed calls -v`: each call with all that there is to say about it. */
export function callsInFull(calls: readonly CallResult[], style: Style): string {
  return calls.length === 0 ? 'No calls.\n' : calls.map((call) => callInFull(call, style)).join('\n');
}

function callInFull(call: CallResult, style: Style): string {
  const date = (at: number | null) => (at === null ? '-' : `${dateText(at * 1000)} UTC`);
  const pairs: [string, string][] = [
    ['Call-ID', printable(call.callId, 256)],
    ['from', printable(call.from, 256)],
    ['to', printable(call.to, 256)],
    ['parties', `${call.parties[0]} (caller), ${call.parties[1]}`],
    ['state', call.endReason === null ? call.state : `${call.state}: ${call.endReason}`],
    ...(call.owner === null ? [] : [['firewall', printable(call.owner, 256)] as [string, string]]),
    ['started', `${date(call.startedAt)}, ${ageText(call.age)} long`],
    ['answered', date(call.answeredAt)],
    ...(call.endedAt === null ? [] : [['ended', date(call.endedAt)] as [string, string]]),
    ['idle', ageText(call.idle)],
    ['codecs', codecsOf(call) || '-'],
    ['media', mediaText(call)],
    ['next timer', call.nextTimer === null ? '-' : `${call.nextTimer.name} in ${ageText(call.nextTimer.in)}`],
  ];
  const pinholes = call.pinholes.map((pinhole) => `  ${pinholeText(pinhole)}`);
  const why = audioLines(call).flatMap((line) => foldLine(line, style.width));
  return [`${style.strong(call.legId)}`, ...listLines(pairs, '  '), ...why, ...pinholes, ''].join('\n');
}

/** `1,500 packets, 258 kB; 1,499 to the caller, 1,500 to the callee`. A daemon of before does not tell who they went to. */
function mediaText({ packets, bytes, packetsTo }: CallResult): string {
  const { caller = null, callee = null } = packetsTo ?? {};
  const all = `${plural(packets, 'packet')}, ${bytesText(bytes)}`;
  if (caller === null && callee === null) return all;
  const [one, other] = [caller, callee].map((count) => (count === null ? 'not told' : countText(count)));
  return `${all}; ${one} to the caller, ${other} to the callee`;
}

/** One pinhole in a line: `audio rtp+rtcp udp 10.0.0.5:4000-4001 from 192.0.2.1, 12s, 600 packets`. */
function pinholeText(pinhole: PinholeResult): string {
  const { media, kind, protocol, closing, packets } = pinhole;
  const leaves = closing === null ? '' : `, closes in ${ageText(closing.in)} (${closing.reason})`;
  const target = `${protocol} ${targetText(pinhole)} from ${sourcesText(pinhole)}`;
  const stage = pinhole.agreed ? '' : ', not agreed yet';
  return `${printable(media, 16)} ${kind} ${target}, ${plural(packets, 'packet')}${stage}${leaves}`;
}

/** Where a pinhole leads. */
export function targetText({ address, ports }: PinholeResult): string {
  return transportText(address, portsText(ports));
}

/** From where it may be used. */
export function sourcesText({ sources, sourcePort }: PinholeResult): string {
  return `${sources.join(', ')}${sourcePort === null ? '' : ` port ${sourcePort}`}`;
}
