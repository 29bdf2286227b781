import { type Font, fitted, svg, textWidth } from './dom.ts';
import type { TimeScale } from './scale.ts';

/** Something that happened at a time, or lasted, and can be pointed at. */
export interface Mark {
  /** When, in seconds since the epoch. */
  readonly at: number;
  readonly element: Element;
  /** What is said about it, the first line in bold; `time` is where the pointer is. */
  readonly words: (time: number) => readonly string[];
}

/** What a picture is drawn on: rows from top to bottom over one time axis. */
export interface Sheet {
  readonly scale: TimeScale;
  /** Pixels beside the time axis for the names of rows; 0 when names stand above their rows. */
  readonly gutter: number;
  /** Room right of the last moment, in pixels. */
  readonly right: number;
  /** Behind everything, over the whole height. */
  readonly back: SVGGElement;
  readonly plot: SVGGElement;
  readonly names: SVGGElement;
  readonly marks: Mark[];
  /** Where the next row begins. */
  y: number;
}

/** Room left of the first and at least right of the last moment, in pixels. */
export const MARGIN = { left: 12, right: 16 } as const;
const NAME_END = 14;

export function createSheet(scale: TimeScale, gutter: number, right: number): Sheet {
  return { scale, gutter, right, back: svg('g'), plot: svg('g'), names: svg('g'), marks: [], y: 0 };
}

/** The place of a time on the plot. */
export function placeOf({ scale }: Sheet, time: number): number {
  return MARGIN.left + scale.x(time);
}

/** Right end of the plot. */
export function edgeOf({ scale, right }: Sheet): number {
  return MARGIN.left + scale.width + right;
}

/** One run of text of a name. */
export interface Run {
  readonly text: string;
  readonly font: Font;
  /** Classes beside the font's. */
  readonly tone?: string;
}

const LINE = 15;

/**
 * The name of a row, `height` pixels high, in lines of runs: beside the row, or above it where there is no gutter.
 * Returns where the row itself begins and moves the sheet on to the row's end.
 */
export function nameRow(sheet: Sheet, height: number, lines: readonly (readonly Run[])[]): number {
  const { gutter, names } = sheet;
  if (gutter === 0) {
    for (const line of lines) {
      names.append(textOf(line, 0, sheet.y + 12, Number.POSITIVE_INFINITY));
      sheet.y += LINE;
    }
    const top = sheet.y;
    sheet.y += height + 4;
    return top;
  }
  const top = sheet.y;
  const first = top + height / 2 - (lines.length * LINE) / 2 + 11.5;
  for (const [index, line] of lines.entries()) {
    names.append(textOf(line, 0, first + index * LINE, gutter - NAME_END));
  }
  sheet.y += height;
  return top;
}

/** A line of text over the whole width. */
export function titleRow(sheet: Sheet, height: number, runs: readonly Run[]): void {
  sheet.names.append(textOf(runs, 0, sheet.y + height - 9, Number.POSITIVE_INFINITY));
  sheet.y += height;
}

function textOf(runs: readonly Run[], x: number, y: number, room: number): SVGTextElement {
  const text = svg('text', { x, y });
  let left = room;
  for (const { text: words, font, tone } of runs) {
    if (left < 12) break;
    const shown = fitted(words, left, font);
    left -= textWidth(shown, font);
    text.append(svg('tspan', { class: tone === undefined ? font : `${font} ${tone}` }, shown));
  }
  return text;
}

/** Makes `element` one that can be pointed at and reached with the arrow keys. */
export function mark(sheet: Sheet, element: SVGElement, at: number, words: Mark['words']): void {
  element.setAttribute('data-mark', String(sheet.marks.length));
  sheet.marks.push({ at, element, words });
}
