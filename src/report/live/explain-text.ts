import { spellLines } from '../audio.ts';
import { callText } from '../replay/text.ts';
import { foldLine, type Style } from '../style.ts';
import { blockedLines } from './blocked.ts';
import { type ExplainResult, readExplained } from './explain.ts';

/** `pinholed explain` for people: what happened in one leg of a call. `now` in seconds since the epoch. */
export function explainText(leg: ExplainResult, now: number, style: Style): string {
  const report = readExplained(leg);
  const audio = spellLines(report);
  const blocked = (leg.blocked ?? []).flatMap((one) => ['', ...blockedLines(one, now, style).map(indented)]);
  const notes = [
    ...(audio.length === 0 ? [] : ['', ...audio]),
    ...(blocked.length === 0 ? [] : ['', '  Dropped by the ruleset near it', ...blocked]),
    '',
    `  leg ${leg.legId}; #n counts the packets that the daemon received`,
    ...(leg.adopted ? ['  taken up from the journal: what came before that start is not known'] : []),
    ...(leg.pinholesOmitted > 0 ? [`  and ${leg.pinholesOmitted} later pinholes`] : []),
  ];
  const folded = notes.flatMap((line) => foldLine(line, style.width));
  return [...callText(report, style)].join('') + folded.map((line) => `${line}\n`).join('');
}

function indented(line: string): string {
  return `  ${line}`;
}
