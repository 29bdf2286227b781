import { portsText, transportText } from '../../call/description.ts';
import { partyName } from '../../control/party.ts';
import type { CallResult, PinholeResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { printable } from '../../printable.ts';
import type { Style } from '../style.ts';
import { dateText } from '../time.ts';
import { type Column, listLines, tableLines } from './table.ts';
import { ageText, bytesText } from './words.ts';

/** Columns of a list of calls. */
export const CALL_COLUMNS: readonly Column[] = [
  { head: 'CALL' },
  { head: 'STATE' },
  { head: 'AGE', right: true },
  { head: 'IDLE', right: true },
  { head: 'PINHOLES', right: true },
  { head: 'PACKETS', right: true },
  { head: 'NEXT TIMER' },
  { head: 'WHO' },
  { head: 'PARTIES' },
  { head: 'CALL-ID' },
];

const LONGEST_CALL_ID = 48;
const LONGEST_NAME = 24;

/** The cells of one call under `CALL_COLUMNS`. */
export function callCells(call: CallResult): string[] {
  const { state, endReason, age, idle, pinholes, packets, parties } = call;
  return [
    call.legId,
    endReason === null ? `${state}${missingAudio(call)}` : `${state} (${endReason})`,
    ageText(age),
    ageText(idle),
    String(pinholes.length),
    countText(packets),
    timerText(call),
    whoText(call),
    `${parties[0]} > ${parties[1]}`,
    printable(call.callId, LONGEST_CALL_ID),
  ];
}

/** `, no audio`, `, one-way (caller hears nothing)`; empty where nothing is missed. */
function missingAudio({ noAudio }: Pick<CallResult, 'noAudio'>): string {
  if (!noAudio) return '';
  return noAudio.to.length > 1 ? ', no audio' : `, one-way (${noAudio.to[0]} hears nothing)`;
}

/** Why audio is missed, and what can be done. */
function audioLines({ noAudio, startedAt, age }: CallResult): string[] {
  if (!noAudio) return [];
  const span = ageText(Math.max(0, startedAt + age - noAudio.since));
  const head = `  no audio for the ${noAudio.to.join(' and the ')}, since ${span}`;
  return [head, ...noAudio.causes.map(({ text, advice }) => `    ${printable(`${text} ${advice}`, 1024)}`)];
}

/** `alice > bob`. */
function whoText({ from, to }: Pick<CallResult, 'from' | 'to'>): string {
  return `${printable(partyName(from), LONGEST_NAME)} > ${printable(partyName(to), LONGEST_NAME)}`;
}

function timerText({ nextTimer }: CallResult): string {
  return nextTimer === null ? '-' : `${nextTimer.name} ${ageText(nextTimer.in)}`;
}

/** `pinholed calls` for people. */
export function callsText(calls: readonly CallResult[], style: Style): string {
  if (calls.length === 0) return 'No calls.\n';
  return `${tableLines(CALL_COLUMNS, calls.map(callCells), style.strong).join('\n')}\n`;
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
    ['started', `${date(call.startedAt)}, ${ageText(call.age)} long`],
    ['answered', date(call.answeredAt)],
    ...(call.endedAt === null ? [] : [['ended', date(call.endedAt)] as [string, string]]),
    ['idle', ageText(call.idle)],
    ['media', `${plural(call.packets, 'packet')}, ${bytesText(call.bytes)}`],
    ['next timer', call.nextTimer === null ? '-' : `${call.nextTimer.name} in ${ageText(call.nextTimer.in)}`],
  ];
  const pinholes = call.pinholes.map((pinhole) => `  ${pinholeText(pinhole)}`);
  return [
    `${style.strong(call.legId)}`,
    ...listLines(pairs, '  '),
    ...audioLines(call),
    ...pinholes,
    '',
  ].join('\n');
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
