import type { CallPicture } from '../model.ts';
import { drawAxis, drawRefusals, drawTurns } from './axis.ts';
import { el, svg } from './dom.ts';
import { arrowTimes, drawLadder, flagsBeyond } from './ladder.ts';
import { pointing } from './pointing.ts';
import { timeScale } from './scale.ts';
import { createSheet, edgeOf, MARGIN, type Sheet } from './sheet.ts';
import { drawTracks } from './tracks.ts';

/** From here on the names of rows stand beside them. */
const WIDE = 720;
const GUTTER = 250;

/**
 * The picture of a call, `width` pixels wide, wider and to be scrolled when it has very many messages: the ladder,
 * below it on the same time axis what was refused, the pinholes and the packets.
 */
export function drawPicture(picture: CallPicture, width: number): HTMLElement {
  const wide = width >= WIDE;
  const gutter = wide ? GUTTER : 0;
  const room = Math.max(260, width - gutter - MARGIN.left - MARGIN.right);
  const { call, media, until } = picture;
  const moments = arrowTimes(call);
  const end = Math.max(
    ...moments,
    call.endedAt ?? 0,
    ...call.pinholes.map(({ closedAt }) => closedAt ?? until),
    ...media.map(({ lastAt }) => lastAt),
  );
  const start = Math.min(call.startedAt, ...moments, ...media.map(({ firstAt }) => firstAt));
  const gap = wide ? 26 : 19;
  const first = timeScale(moments, start, end, room, gap);
  const over = flagsBeyond(call, first);
  const scale = over === 0 ? first : timeScale(moments, start, end, room - over, gap);
  const sheet = createSheet(scale, gutter, MARGIN.right + over);
  drawLadder(sheet, picture);
  drawAxis(sheet);
  drawTurns(sheet, picture);
  drawRefusals(sheet, picture);
  drawTracks(sheet, picture);
  return assembled(sheet, picture);
}

function assembled(sheet: Sheet, { call }: CallPicture): HTMLElement {
  const { gutter, y, back, plot, names } = sheet;
  const height = Math.ceil(y + 10);
  const width = Math.ceil(edgeOf(sheet));
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const cursor = svg('line', { class: 'cursor', x1: 0, x2: 0, y1: 0, y2: height });
  const drawing = svg('svg', { class: 'plot', ...size }, hatching(), back, plot, cursor);
  if (gutter === 0) drawing.append(names);
  const scroller = el('div', { class: 'scroller' }, drawing);
  if (gutter > 0) {
    const beside = { width: gutter, height, viewBox: `0 0 ${gutter} ${height}` };
    scroller.prepend(svg('svg', { class: 'names', ...beside }, names));
  }
  for (const part of scroller.children) {
    if (part instanceof SVGSVGElement) part.style.setProperty('--part', part.getAttribute('width'));
  }
  const frame = el(
    'div',
    {
      class: 'picture',
      tabindex: 0,
      role: 'group',
      'aria-label': `Picture of the call: ${call.messages.length} messages, ${call.pinholes.length} pinholes. Left and right arrow keys go through it.`,
    },
    scroller,
  );
  pointing(frame, drawing, cursor, sheet);
  return frame;
}

/** Blocked packets are hatched as well as coloured. */
function hatching(): SVGDefsElement {
  return svg(
    'defs',
    {},
    svg(
      'pattern',
      { id: 'hatch', width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
      svg('rect', { class: 'hatch-ground', width: 5, height: 5 }),
      svg('rect', { class: 'hatch-line', width: 2.4, height: 5 }),
    ),
  );
}
