import { PARTIES } from '../call/wanted.ts';
import type { CallReport, SpellWithoutAudio } from '../history/call-report.ts';
import { printable } from '../printable.ts';
import { dateText, spanText } from './time.ts';

/** The time without audio that lasts, or in which the call ended; null where there is none. */
export function withoutAudio({
  withoutAudio: spells,
}: Pick<CallReport, 'withoutAudio'>): SpellWithoutAudio | null {
  const last = spells.at(-1);
  return last === undefined || last.until !== null ? null : last;
}

/** In one sentence, for who knows no SIP. */
export function audioHeadline({ missing }: Pick<SpellWithoutAudio, 'missing'>): string {
  const [deaf] = missing;
  if (missing.length > 1 || deaf === undefined) return 'No audio, in either direction.';
  return `One-way audio: the ${PARTIES[deaf]} cannot hear the ${PARTIES[1 - deaf]}.`;
}

/** Every time in which audio was missed, with why: two lines and more for each. Times of the report are ms since the epoch. */
export function spellLines({ withoutAudio: spells, endedAt }: CallReport): string[] {
  return spells.flatMap((spell) => {
    const { missing, since, until, causes } = spell;
    const end = until ?? endedAt;
    const how = end === null ? 'and still' : `for ${spanText(end - since)}`;
    const who = missing.map((side) => PARTIES[side]).join(' and the ');
    return [
      `  No audio for the ${who} from ${dateText(since)} UTC on, ${how}`,
      ...causes.map(({ text, advice }) => `    ${printable(`${text} ${advice}`.trim(), 1024)}`),
    ];
  });
}
