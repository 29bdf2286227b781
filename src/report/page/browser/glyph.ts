import type { Level } from '../model.ts';
import { svg } from './dom.ts';
import { LEVELS } from './words.ts';

/** The sign of a level: a shape of its own for each, so that colour is not needed. */
export function levelGlyph(level: Level): SVGSVGElement {
  const shapes: Readonly<Record<Level, () => SVGElement[]>> = {
    blocked: () => [
      svg('path', { class: 'shape', d: 'M6.2 1h7.6L19 6.2v7.6L13.8 19H6.2L1 13.8V6.2Z' }),
      svg('path', { class: 'mark', d: 'M6.5 6.5l7 7m0-7l-7 7' }),
    ],
    partly: () => [
      svg('path', { class: 'shape', d: 'M10 1.6 19.2 18H.8Z' }),
      svg('path', { class: 'mark', d: 'M10 7.4v4.4m0 2.7v.2' }),
    ],
    silent: () => [
      svg('circle', { class: 'shape', cx: 10, cy: 10, r: 8.2 }),
      svg('path', { class: 'mark', d: 'M6 10h8' }),
    ],
    passed: () => [
      svg('circle', { class: 'shape', cx: 10, cy: 10, r: 9 }),
      svg('path', { class: 'mark', d: 'M5.8 10.4l2.9 2.9 5.5-6.1' }),
    ],
    none: () => [svg('circle', { class: 'shape', cx: 10, cy: 10, r: 3.4 })],
  };
  return svg(
    'svg',
    { class: `glyph ${level}`, viewBox: '0 0 20 20', role: 'img', 'aria-label': LEVELS[level].name },
    ...shapes[level](),
  );
}
