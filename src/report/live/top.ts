import type { TopOrder, TopResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { foldLine } from '../style.ts';
import { callTable } from './call-table.ts';
import { ageText } from './words.ts';

interface TopView {
  readonly sort: TopOrder;
  readonly columns: number;
  readonly rows: number;
  readonly strong: (text: string) => string;
  readonly bad: (text: string) => string;
  /** Whether keys are taken. */
  readonly keys: boolean;
  readonly reverse?: boolean;
  /** What the calls are filtered by, and whether it is being typed. */
  readonly match?: string;
  readonly typing?: boolean;
  /** Calls above the first that is shown. */
  readonly above?: number;
  /** The call that Enter opens, counted from 0, and how it stands out. */
  readonly selected?: number;
  readonly mark?: (text: string) => string;
  /** The keys are explained in place of the calls. */
  readonly help?: boolean;
}

/** What `topLines` shows below its four lines of head: the heads of the table, then calls. */
export const TOP_HEAD = 5;

const HELP = '   q quit, h help, Enter opens a call';
const KEYS = [
  'j, k        down and up, as the arrow keys; Space, b: a page; g, G: first and last',
  'Enter       open the call: ladder, pinholes, why there is no audio',
  'a, i, p     sort by age, idle time, packets',
  'r           the other way round',
  '/           filter: text in Call-ID, From, To or an address; Enter ends it,',
  '            Esc clears it',
  'h, ?        this help',
  'q           quit',
];
const CALL_KEYS = 'j, k, Space, b scroll; Esc or q back to the calls';

/**
 * Calls above the first that is shown, for the selected one to be among the shown: as few changes to `above` as that takes.
 * `room`: lines for calls, the last of which tells how many more there are.
 */
export function scrolledTo(selected: number, above: number, room: number, calls: number): number {
  const shown = (from: number) => (calls - from > room ? Math.max(1, room - 1) : Math.max(1, room));
  if (selected < above) return selected;
  if (selected < above + shown(above)) return above;
  const last = selected - room + 1;
  return Math.max(0, selected < last + shown(last) ? last : last + 1);
}

/** The screen of `pinholed top`: exactly `rows` lines of at most `columns` columns. */
export function topLines(result: TopResult, view: TopView): string[] {
  const { sort, columns, rows, strong, bad, keys, reverse = false, match = '', typing = false } = view;
  const { above = 0, help = false, selected = -1, mark = (text: string) => text } = view;
  const cut = (line: string) => line.slice(0, columns);
  const [alarm] = result.alarms;
  const head = [
    cut(
      `pinholed up ${ageText(result.uptime)}: ${plural(result.calls, 'call')}, ${plural(result.pinholes, 'pinhole')}, ${plural(result.packets, 'packet')}`,
    ),
    alarm === undefined
      ? cut('no alarms')
      : bad(cut(`ALARM ${alarm.text}${moreText(result.alarms.length - 1)}`)),
    cut(`sorted by ${sort}${reverse ? ', reversed' : ''}${keys ? HELP : ''}`),
    cut(typing || match !== '' ? `filter: ${match}${typing ? '_' : ''}` : ''),
  ];
  return filled(help ? [...head, ...KEYS.map(cut)] : [...head, ...callLines()], rows);

  function callLines(): string[] {
    const [heads, ...all] = callTable(result.top, columns);
    const room = Math.max(0, rows - TOP_HEAD);
    const shown = all
      .slice(above, above + room)
      .map((line, index) => (above + index === selected ? mark(line.padEnd(columns)) : line));
    const left = (match === '' ? result.calls : all.length) - above - shown.length;
    if (left > 0 && shown.length === room && room > 0 && selected !== above + room - 1) {
      shown[room - 1] = cut(`${countText(left + 1)} more`);
    }
    return [strong(heads!), ...shown];
  }
}

interface OpenedView {
  readonly columns: number;
  readonly rows: number;
  /** Lines above the first that is shown. */
  readonly above: number;
}

/** How many lines of a call can be scrolled by at most. */
export function mostAbove(text: string, { columns, rows }: Omit<OpenedView, 'above'>): number {
  return Math.max(0, foldedLines(text, columns).length - Math.max(1, rows - 1));
}

/** The screen of a call that was opened in `top`: a part of what `pinholed explain` says, and the keys. */
export function openedLines(text: string, { columns, rows, above }: OpenedView): string[] {
  const lines = foldedLines(text, columns);
  const room = Math.max(0, rows - 1);
  const shown = filled(lines.slice(above, above + room), room);
  const below = Math.max(0, lines.length - above - room);
  const rest = below === 0 ? '' : `${plural(below, 'more line')}; `;
  return [...shown, `${rest}${CALL_KEYS}`.slice(0, columns)].slice(0, rows);
}

function foldedLines(text: string, columns: number): string[] {
  return text
    .trim()
    .split('\n')
    .flatMap((line) => foldLine(line, columns));
}

function filled(lines: readonly string[], rows: number): string[] {
  const kept = lines.slice(0, rows);
  return [...kept, ...Array.from({ length: rows - kept.length }, () => '')];
}

function moreText(count: number): string {
  return count <= 0 ? '' : ` (and ${count} more: pinholed status)`;
}
