import { countText, plural } from '../../../counted.ts';
import type { CallRow } from '../model.ts';
import { TROUBLE } from '../selection.ts';
import { readable } from '../text.ts';
import { el } from './dom.ts';
import { BLOCKED } from './words.ts';

/** Fewer calls are seen at a glance. */
const FEWEST = 8;
const MOST_LINES = 5;

interface Tally {
  /** A search finds these calls by it. */
  readonly name: string;
  count: number;
  all: number;
}

/**
 * What calls in trouble have in common, where there are many: why, and at which hosts. `seek` is told what to search for. Null
 * where there is nothing to sum up.
 */
export function summaryOf(rows: readonly CallRow[], seek: (search: string) => void): HTMLElement | null {
  const troubled = rows.filter(({ level }) => TROUBLE.includes(level));
  if (rows.length < FEWEST || troubled.length < 2) return null;
  const reasons = tallied(troubled, troubled, ({ why }) => (why === '' ? [] : [why]));
  const hosts = tallied(troubled, rows, ({ parties }) => [...new Set(parties)]);
  const lists = [
    listOf(
      `Why ${plural(troubled.length, 'call')} are in trouble`,
      reasons,
      ({ name, count }) => [BLOCKED[name] ?? name, countText(count)],
      seek,
    ),
    listOf(
      'At which hosts',
      hosts,
      ({ name, count, all }) => [name, `${countText(count)} of ${plural(all, 'call')}`],
      seek,
    ),
  ].filter((one) => one !== null);
  return lists.length === 0
    ? null
    : el('section', { class: 'summary', 'aria-label': 'Calls in trouble' }, ...lists);
}

/** How many of `some` have what `keysOf` finds, and how many of `all`; the most first. */
function tallied(
  some: readonly CallRow[],
  all: readonly CallRow[],
  keysOf: (row: CallRow) => readonly string[],
): Tally[] {
  const tallies = new Map<string, Tally>();
  for (const row of some) {
    for (const key of keysOf(row)) {
      const one = tallies.get(key) ?? { name: key, count: 0, all: 0 };
      one.count++;
      tallies.set(key, one);
    }
  }
  for (const row of all) {
    for (const key of keysOf(row)) {
      const one = tallies.get(key);
      if (one !== undefined) one.all++;
    }
  }
  return [...tallies.values()].sort((one, other) => other.count - one.count).slice(0, MOST_LINES);
}

function listOf(
  title: string,
  tallies: readonly Tally[],
  words: (tally: Tally) => readonly [name: string, count: string],
  seek: (search: string) => void,
): HTMLElement | null {
  if (tallies.length === 0) return null;
  const lines = tallies.map((tally) => {
    const [name, count] = words(tally);
    const button = el('button', { type: 'button' }, el('span', {}, readable(name, 60)), el('b', {}, count));
    button.addEventListener('click', () => seek(tally.name));
    return el('li', {}, button);
  });
  return el('div', {}, el('h2', {}, title), el('ul', {}, ...lines));
}
