import type { TopOrder, TopResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { CALL_COLUMNS, callCells } from './calls.ts';
import { tableLines } from './table.ts';
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
  /** The keys are explained in place of the calls. */
  readonly help?: boolean;
}

/** What `topLines` shows below its four lines of head: the heads of the table, then calls. */
export const TOP_HEAD = 5;

/** Columns that a narrow screen goes without, the first first. The last of all is the Call-ID, which may be cut. */
const LEAST_WANTED = ['NEXT TIMER', 'PINHOLES', 'IDLE', 'PARTIES'];
const HELP = '   q quit, h help';
const KEYS = [
  'a, i, p     sort by age, idle time, packets',
  'r           the other way round',
  '/           filter: text in Call-ID, From, To or an address; Enter ends, Esc clears',
  'j, k        down and up, also with the arrow keys; Space, b: a page',
  'h, ?        this help',
  'q           quit',
];

/** The screen of `pinholed top`: exactly `rows` lines of at most `columns` columns. */
export function topLines(result: TopResult, view: TopView): string[] {
  const { sort, columns, rows, strong, bad, keys, reverse = false, match = '', typing = false } = view;
  const { above = 0, help = false } = view;
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
  const lines = (help ? [...head, ...KEYS.map(cut)] : [...head, ...callLines()]).slice(0, rows);
  return [...lines, ...Array.from({ length: rows - lines.length }, () => '')];

  function callLines(): string[] {
    const [heads, ...all] = tableOf(result.top.map(callCells), columns).map(cut);
    const room = Math.max(0, rows - TOP_HEAD);
    const shown = all.slice(above, above + room);
    const left = (match === '' ? result.calls : all.length) - above - shown.length;
    if (left > 0 && shown.length === room && room > 0) shown[room - 1] = cut(`${countText(left + 1)} more`);
    return [strong(heads!), ...shown];
  }
}

/** The table without what can best be done without, until it is seen who talks to whom. */
function tableOf(rows: readonly (readonly string[])[], columns: number): string[] {
  let kept = CALL_COLUMNS.map((_, index) => index);
  const table = (indexes: readonly number[]) =>
    tableLines(
      indexes.map((index) => CALL_COLUMNS[index]!),
      rows.map((row) => indexes.map((index) => row[index]!)),
    );
  for (const head of LEAST_WANTED) {
    if (table(kept.slice(0, -1)).every((line) => line.length <= columns)) break;
    kept = kept.filter((index) => CALL_COLUMNS[index]!.head !== head);
  }
  return table(kept);
}

function moreText(count: number): string {
  return count <= 0 ? '' : ` (and ${count} more: pinholed status)`;
}
