import type { CallResult } from '../../control/protocol.ts';
import { countText } from '../../counted.ts';
import { partyName } from '../../inspector/party.ts';
import { printable } from '../../printable.ts';
import { type Column, fittedTable, tableLines } from './table.ts';
import { ageText } from './words.ts';

/** Columns of a list of calls. */
const COLUMNS: readonly Column[] = [
  { head: 'CALL' },
  { head: 'STATE' },
  { head: 'AGE', right: true },
  { head: 'IDLE', right: true },
  { head: 'PINHOLES', right: true },
  { head: 'PACKETS', right: true },
  { head: 'NEXT TIMER' },
  { head: 'CODECS' },
  { head: 'WHO' },
  { head: 'PARTIES' },
  // Of a group: which had to do with the call last.
  { head: 'FIREWALL' },
  { head: 'CALL-ID' },
];
const [CALL_ID] = COLUMNS.slice(-1);
/** Columns that a narrow screen goes without, the first first. */
const LEAST_WANTED = ['NEXT TIMER', 'PINHOLES', 'CODECS', 'IDLE', 'FIREWALL', 'PARTIES'];

const LONGEST_CALL_ID = 48;
const LONGEST_NAME = 24;
const LONGEST_CODECS = 32;
/** Digits of the name of a leg that tell it from the others, at least. */
const SHORTEST_CALL = 8;
const GAP = 2;

/** Heads and a line for each call, in `width` columns as far as they fit; the Call-ID at the end may be cut. */
export function callTable(calls: readonly CallResult[], width: number): string[] {
  const rows = calls.map(cellsOf);
  const isShared = calls.some(({ owner }) => owner !== null);
  const before = COLUMNS.slice(0, isShared ? -1 : -2);
  const fitted = fittedTable(before, rows, width, LEAST_WANTED);
  if (fitted === null) return narrowTable(calls, width);
  const ids = [CALL_ID!.head, ...rows.map((row) => row.at(-1)!)];
  const widest = Math.max(...fitted.map((line) => line.length)) + GAP;
  return fitted.map((line, index) => `${line.padEnd(widest)}${ids[index]}`.slice(0, width));
}

function cellsOf(call: CallResult): string[] {
  const { state, endReason, age, idle, pinholes, packets, parties } = call;
  return [
    call.legId,
    endReason === null ? `${state}${missingAudio(call)}` : `${state} (${endReason})`,
    ageText(age),
    ageText(idle),
    String(pinholes.length),
    countText(packets),
    timerText(call),
    printable(codecsOf(call), LONGEST_CODECS) || '-',
    whoText(call),
    `${parties[0]} > ${parties[1]}`,
    call.owner === null ? '-' : printable(call.owner, LONGEST_NAME),
    printable(call.callId, LONGEST_CALL_ID),
  ];
}

const NARROW: readonly Column[] = [
  { head: 'CALL' },
  { head: 'STATE' },
  { head: 'AGE', right: true },
  { head: 'PACKETS', right: true },
  { head: 'HEARS NOTHING' },
];

/** What matters most: of the name as many digits as it takes, who misses audio, and who calls whom in what is left. */
function narrowTable(calls: readonly CallResult[], width: number): string[] {
  const digits = digitsThatDiffer(calls.map(({ legId }) => legId));
  const lines = tableLines(
    NARROW,
    calls.map((call) => [
      call.legId.slice(0, digits),
      call.endReason ?? call.state,
      ageText(call.age),
      countText(call.packets),
      call.noAudio === null ? '-' : call.noAudio.to.length > 1 ? 'both' : call.noAudio.to[0]!,
    ]),
  );
  const widest = Math.max(...lines.map((line) => line.length)) + GAP;
  const who = ['WHO', ...calls.map((call) => whoText(call, width - widest))];
  return lines.map((line, index) => `${line.padEnd(widest)}${who[index]}`.slice(0, width).trimEnd());
}

function digitsThatDiffer(names: readonly string[]): number {
  const longest = Math.max(SHORTEST_CALL, ...names.map(({ length }) => length));
  let digits = SHORTEST_CALL;
  const all = new Set(names).size;
  while (digits < longest && new Set(names.map((name) => name.slice(0, digits))).size < all) digits++;
  return digits;
}

/** `, no audio`, `, one-way (caller hears nothing)`; empty where nothing is missed. */
function missingAudio({ noAudio }: Pick<CallResult, 'noAudio'>): string {
  if (!noAudio) return '';
  return noAudio.to.length > 1 ? ', no audio' : `, one-way (${noAudio.to[0]} hears nothing)`;
}

/** What is agreed on, without the name of the only stream that most calls have. A daemon of before does not tell. */
export function codecsOf({ codecs = '' }: Partial<Pick<CallResult, 'codecs'>>): string {
  return codecs.startsWith(AUDIO) && !codecs.includes(';') ? codecs.slice(AUDIO.length) : codecs;
}

const AUDIO = 'audio ';
const ARROW = ' > ';

/** `alice > bob`, both names shortened alike where `width` columns are too few for them. */
export function whoText(
  { from, to }: Pick<CallResult, 'from' | 'to'>,
  width = Number.POSITIVE_INFINITY,
): string {
  const names = [from, to].map((header) => printable(partyName(header), LONGEST_NAME));
  const whole = names.join(ARROW);
  if (whole.length <= width) return whole;
  const half = Math.floor((width - ARROW.length) / 2);
  const [one = '', other = ''] = names;
  const first = Math.max(half, width - ARROW.length - other.length);
  const second = Math.max(half, width - ARROW.length - one.length);
  return `${shortened(one, first)}${ARROW}${shortened(other, second)}`;
}

function shortened(name: string, width: number): string {
  return name.length <= width ? name : `${name.slice(0, Math.max(0, width - 1))}~`;
}

function timerText({ nextTimer }: CallResult): string {
  return nextTimer === null ? '-' : `${nextTimer.name} ${ageText(nextTimer.in)}`;
}
