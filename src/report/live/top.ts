import type { TopOrder, TopResult } from '../../control/protocol.ts';
import { CALL_COLUMNS, callCells } from './calls.ts';
import { tableLines } from './table.ts';
import { ageText, countText, plural } from './words.ts';

export interface TopView {
  readonly sort: TopOrder;
  readonly columns: number;
  readonly rows: number;
  readonly strong: (text: string) => string;
  readonly bad: (text: string) => string;
  /** Whether keys are taken. */
  readonly keys: boolean;
}

/** Columns that a narrow screen goes without, the first first. The last of all is the Call-ID, which may be cut. */
const LEAST_WANTED = ['NEXT TIMER', 'PINHOLES', 'IDLE'];
const HELP = '   q quit   sort by: a age, i idle, p packets';

/** The screen of `pinholed top`: exactly `rows` lines of at most `columns` columns. */
export function topLines(result: TopResult, view: TopView): string[] {
  const { sort, columns, rows, strong, bad, keys } = view;
  const cut = (line: string) => line.slice(0, columns);
  const [alarm] = result.alarms;
  const head = [
    cut(
      `pinholed up ${ageText(result.uptime)}: ${plural(result.calls, 'call')}, ${plural(result.pinholes, 'pinhole')}, ${plural(result.packets, 'packet')}`,
    ),
    alarm === undefined
      ? cut('no alarms')
      : bad(cut(`ALARM ${alarm.text}${moreText(result.alarms.length - 1)}`)),
    cut(`sorted by ${sort}${keys ? HELP : ''}`),
    '',
  ];
  const [heads, ...calls] = tableOf(result.top.map(callCells), columns).map(cut);
  const room = Math.max(0, rows - head.length - 1);
  const shown = calls.slice(0, room);
  const left = result.calls - shown.length;
  if (left > 0 && shown.length === room && room > 0) shown[room - 1] = cut(`${countText(left + 1)} more`);
  const lines = [...head, strong(heads!), ...shown].slice(0, rows);
  return [...lines, ...Array.from({ length: rows - lines.length }, () => '')];
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
