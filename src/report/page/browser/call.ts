import { countText } from '../../../counted.ts';
import type { CallPage } from '../model.ts';
import { createPictures } from './data.ts';
import { el } from './dom.ts';
import { levelGlyph } from './glyph.ts';
import { createCallList } from './list.ts';
import { stats } from './report.ts';
import { date, span } from './words.ts';

/** The page of one call: each of its legs is open from the start. */
export function showCall(page: CallPage, root: HTMLElement): void {
  const list = createCallList(createPictures(document, page.legs));
  const [first] = page.legs;
  root.classList.toggle('single', page.legs.length <= 1);
  root.append(
    el(
      'header',
      { class: 'top' },
      el('p', { class: 'brand' }, el('i', { class: 'logo' }), 'pinholed', el('span', {}, ' call')),
      el(
        'h1',
        {},
        levelGlyph(first?.level ?? 'none'),
        el('span', {}, first?.headline ?? 'There is no such call.'),
      ),
      el('p', { class: 'source' }, `As it was at ${date(page.at)} UTC${ageOf(page)}`),
      stats([
        ['Legs', countText(page.legs.length), ''],
        ['Pinholes', countText(page.legs.reduce((sum, { pinholes }) => sum + pinholes, 0)), 'pinhole'],
        ['Refusals', countText(page.legs.reduce((sum, { refusals }) => sum + refusals, 0)), 'refused'],
      ]),
    ),
    list.element,
  );
  list.update(page.legs);
  for (const { legId } of page.legs) list.open(legId);
  scrollTo(0, 0);
}

function ageOf({ at, legs }: CallPage): string {
  const [first] = legs;
  if (first === undefined) return '';
  const until = first.endedAt ?? at;
  return ` · ${span(until - first.startedAt)}, ${first.endedAt === null ? 'under way' : 'over'}`;
}
