import { countText, plural } from '../../../counted.ts';
import type { CallRow, LooseGroup, ReplayPage } from '../model.ts';
import { readable } from '../text.ts';
import { createPictures } from './data.ts';
import { type Child, el } from './dom.ts';
import { levelGlyph } from './glyph.ts';
import { createCallList } from './list.ts';
import { date, span } from './words.ts';

/** The page of a replay: everything is in the document already, a picture is read when it is opened. */
export function showReport(page: ReplayPage, calls: readonly CallRow[], root: HTMLElement): void {
  const list = createCallList(createPictures(document, calls));
  root.classList.toggle('single', calls.length <= 1);
  root.append(header(page, calls), list.element, ...loose(page.loose));
  list.update(calls);
  const [only] = calls;
  if (calls.length === 1) list.open(only!.legId);
  if (calls.length === 1) scrollTo(0, 0);
  const named = /^#legId=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (named !== undefined) list.open(named);
}

function header(page: ReplayPage, calls: readonly CallRow[]): HTMLElement {
  const { files, firstAt, lastAt, frames, messages } = page;
  const time = firstAt === null ? [] : [`${date(firstAt)} UTC`, span((lastAt ?? firstAt) - firstAt)];
  const counts = [plural(frames, 'frame'), plural(messages, 'SIP message')];
  const inside = page.inside === 'any' ? [] : [`inside ${page.inside.join(', ')}`];
  return el(
    'header',
    { class: 'top' },
    el('p', { class: 'brand' }, el('i', { class: 'logo' }), 'pinholed', el('span', {}, ' capture report')),
    el('h1', {}, levelGlyph(worst(calls)), el('span', {}, summaryOf(calls))),
    el(
      'p',
      { class: 'source' },
      el('b', {}, files.map((file) => readable(baseName(file), 80)).join(', ')),
      ` · ${[...time, ...counts, ...inside].join(' · ')}`,
    ),
    stats([
      ['Calls', countText(calls.length), ''],
      ['Pinholes', countText(page.pinholes), 'pinhole'],
      ['Media flows', countText(page.flows), ''],
      ['Packets passed', countText(page.passed), 'passed'],
      ['Packets blocked', countText(page.blocked), 'blocked'],
      ['Refusals', countText(page.refusals), 'refused'],
    ]),
    ...page.notes.map((note) => el('p', { class: 'note' }, note)),
  );
}

/** Figures in a row; `kind` names the swatch beside the figure. */
export function stats(
  figures: readonly (readonly [name: string, value: string, kind: string])[],
): HTMLElement {
  return el(
    'dl',
    { class: 'stats' },
    ...figures.map(([name, value, kind]) =>
      el(
        'div',
        {},
        el('dt', {}, kind === '' ? null : el('i', { class: `swatch ${kind}` }), name),
        el('dd', {}, value),
      ),
    ),
  );
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}

const ORDER = ['blocked', 'partly', 'silent', 'passed', 'none'] as const;

function worst(calls: readonly CallRow[]): CallRow['level'] {
  return ORDER.find((level) => calls.some((call) => call.level === level)) ?? 'none';
}

/** The whole capture in one sentence. */
function summaryOf(calls: readonly CallRow[]): string {
  if (calls.length === 0) return 'No call in this capture.';
  if (calls.length === 1) return calls[0]!.headline;
  const count = (level: CallRow['level']) => calls.filter((call) => call.level === level).length;
  const of = `of ${plural(calls.length, 'call')}`;
  const blocked = count('blocked');
  if (blocked > 0) return `Media was blocked one way or both ways in ${countText(blocked)} ${of}.`;
  const partly = count('partly');
  if (partly > 0) return `Some packets were blocked in ${countText(partly)} ${of}.`;
  const silent = count('silent');
  if (silent > 0) return `Nothing was blocked; in ${countText(silent)} ${of} one side sent nothing.`;
  const lost = calls.some(({ blocked: some }) => some > 0);
  return lost
    ? 'No call lost more than a few packets.'
    : `Nothing was blocked in ${plural(calls.length, 'call')}.`;
}

function loose(groups: readonly LooseGroup[]): Child[] {
  if (groups.length === 0) return [];
  return [
    el(
      'section',
      { class: 'loose' },
      el('h2', {}, 'Outside the calls'),
      ...groups.map((group) =>
        el(
          'article',
          {},
          el('h3', {}, readable(group.title)),
          group.flows === 0 ? null : el('p', {}, `${plural(group.flows, 'flow')}: `, ...outcome(group)),
          ...group.examples.map((example) => el('p', { class: 'example' }, readable(example, 300))),
          group.flows > group.examples.length
            ? el('p', { class: 'example' }, `and ${countText(group.flows - group.examples.length)} more`)
            : null,
          ...group.causes.map(({ text, advice }) => el('p', {}, text, advice === '' ? '' : ` ${advice}`)),
        ),
      ),
    ),
  ];
}

function outcome({ passed, blocked }: LooseGroup): Child[] {
  const parts: Child[] = [];
  if (passed > 0) parts.push(el('i', { class: 'swatch passed' }), `${plural(passed, 'packet')} passed `);
  if (blocked > 0) parts.push(el('i', { class: 'swatch blocked' }), `${plural(blocked, 'packet')} blocked`);
  return parts;
}
