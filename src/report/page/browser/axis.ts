import { isUsual } from '../../../call/refusal.ts';
import type { CallPicture, PageRefusal } from '../model.ts';
import { readable } from '../text.ts';
import { svg, textWidth } from './dom.ts';
import { edgeOf, MARGIN, mark, nameRow, placeOf, type Sheet } from './sheet.ts';
import { frame, offset } from './words.ts';

/** The time axis: dotted where time is stretched, with a line down the whole picture at each tick. */
export function drawAxis(sheet: Sheet): void {
  const { scale, plot, back } = sheet;
  sheet.y += 6;
  const y = sheet.y;
  const axis = svg('g', { class: 'axis' });
  let x = MARGIN.left;
  for (const [from, to] of scale.stretched) {
    axis.append(svg('line', { x1: x, x2: MARGIN.left + from, y1: y, y2: y }));
    axis.append(
      svg('line', { class: 'stretched', x1: MARGIN.left + from, x2: MARGIN.left + to, y1: y, y2: y }),
    );
    x = MARGIN.left + to;
  }
  axis.append(svg('line', { x1: x, x2: edgeOf(sheet), y1: y, y2: y }));
  for (const tick of scale.ticks) {
    const place = MARGIN.left + tick.x;
    axis.append(svg('line', { x1: place, x2: place, y1: y, y2: y + 5 }));
    const anchor = tick.x === 0 ? 'start' : place > edgeOf(sheet) - 20 ? 'end' : 'middle';
    axis.append(
      svg(
        'text',
        { class: 'small', x: tick.x === 0 ? place - 3 : place, y: y + 17, 'text-anchor': anchor },
        tick.label,
      ),
    );
    back.append(svg('line', { class: 'grid', x1: place, x2: place, y1: 0, y2: '100%' }));
  }
  plot.append(axis);
  sheet.y += 24;
}

/** Lines through the picture where the call was answered and where it ended. */
export function drawTurns(sheet: Sheet, { call }: CallPicture): void {
  for (const at of [call.answeredAt, call.endedAt]) {
    if (at === null) continue;
    const x = placeOf(sheet, at);
    sheet.back.append(svg('line', { class: 'turn', x1: x, x2: x, y1: sheet.y - 30, y2: '100%' }));
  }
}

/** A row with a sign wherever something was refused. */
export function drawRefusals(sheet: Sheet, { call }: CallPicture): void {
  const refusals = call.refusals.filter(({ reason }) => !isUsual(reason));
  if (refusals.length === 0) return;
  const groups = new Map<string, PageRefusal[]>();
  for (const refusal of refusals) {
    const key = `${refusal.at} ${refusal.reason}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [refusal]);
    else group.push(refusal);
  }
  const rows = place([...groups.values()], sheet);
  const height = Math.max(...rows.map(({ row }) => row + 1)) * 20 + 6;
  const top = nameRow(sheet, height, [[{ text: 'refused', font: 'body', tone: 'bad' }]]);
  for (const { group, row, text } of rows) {
    const { at } = group[0]!;
    const x = placeOf(sheet, at);
    const y = top + 12 + row * 20;
    const fits = x + 14 + textWidth(text, 'small') < edgeOf(sheet);
    const sign = svg(
      'g',
      { class: 'refusal' },
      svg('circle', { cx: x, cy: y, r: 7 }),
      svg('path', { d: `M${x - 4.6} ${y + 4.6}l9.2 -9.2` }),
      svg(
        'text',
        { class: 'small', x: fits ? x + 12 : x - 12, y: y + 4, 'text-anchor': fits ? 'start' : 'end' },
        text,
      ),
    );
    sheet.plot.append(sign);
    mark(sheet, sign, at, () => [
      `Refused: ${group[0]!.reason}`,
      ...group.slice(0, 4).map(({ detail }) => readable(detail, 300)),
      [offset(at - call.startedAt), frame(group[0]!)].filter(Boolean).join(', '),
    ]);
  }
}

interface Placed {
  readonly group: readonly PageRefusal[];
  readonly text: string;
  readonly row: number;
}

const MAX_ROWS = 5;

/** Signs that would cover each other's words stand in rows below each other. */
function place(groups: readonly (readonly PageRefusal[])[], sheet: Sheet): Placed[] {
  const ends: number[] = [];
  return groups.map((group) => {
    const text = `${group[0]!.reason}${group.length === 1 ? '' : ` ×${group.length}`}`;
    const x = placeOf(sheet, group[0]!.at);
    const free = ends.findIndex((end) => end < x - 10);
    const row = free >= 0 ? free : ends.length % MAX_ROWS;
    ends[row] = x + 18 + textWidth(text, 'small');
    return { group, text, row };
  });
}
