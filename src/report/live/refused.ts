import { isUsual, REFUSALS } from '../../call/refusal.ts';
import type { RememberedCall } from '../../history/history.ts';
import { printable } from '../../printable.ts';
import type { Style } from '../style.ts';
import { type Column, tableLines } from './table.ts';
import { ageText } from './words.ts';

/** Something that got no pinhole, and the call that it was in. `at` is seconds since the epoch. */
export interface RefusedResult {
  readonly at: number;
  /** Name of the leg, 16 hexadecimal digits. */
  readonly legId: string;
  readonly callId: string;
  readonly from: string;
  readonly to: string;
  /** Signalling addresses; the first sent the first INVITE. */
  readonly parties: readonly [string, string];
  readonly reason: string;
  /** What of the message it was about. */
  readonly detail: string;
  /** What was seen: why this one, or what the reason means. */
  readonly why: string;
  readonly advice: string;
}

/** The latest refusals of calls that are remembered, the last one first; `epoch` is that of the daemon's clock, in ms. */
export function refusedIn(calls: Iterable<RememberedCall>, limit: number, epoch: number): RefusedResult[] {
  const found: RefusedResult[] = [];
  for (const { report } of calls) {
    const { legId, callId, from, to, parties } = report;
    for (const { at, reason, detail, why } of report.refusals) {
      if (isUsual(reason)) continue;
      const { means, advice } = REFUSALS[reason];
      found.push({
        ...{ at: (epoch + at) / 1000, legId, callId, from, to, parties, reason, detail, advice },
        why: why === '' ? means : why,
      });
    }
  }
  return found.sort((one, other) => other.at - one.at).slice(0, limit);
}

const COLUMNS: readonly Column[] = [
  { head: 'AGO', right: true },
  { head: 'CALL' },
  { head: 'PARTIES' },
  { head: 'REASON' },
  { head: 'ABOUT' },
];

/** `pinholed refused` for people; `now` in seconds since the epoch. */
export function refusedText(refused: readonly RefusedResult[], now: number, style: Style): string {
  if (refused.length === 0) return 'Nothing was refused in the calls that are remembered.\n';
  const rows = refused.map(({ at, legId, parties, reason, detail }) => [
    ageText(Math.max(0, now - at)),
    legId,
    parties.join(' -> '),
    reason,
    printable(detail, 80),
  ]);
  return `${tableLines(COLUMNS, rows, style.strong).join('\n')}\n${adviceText(refused)}`;
}

/** Each reason once, with what it means and what to do. */
function adviceText(refused: readonly RefusedResult[]): string {
  const reasons = [...new Map(refused.map((one) => [one.reason, one])).values()];
  return reasons.map(({ reason, why, advice }) => `\n${reason}: ${why}\n  ${advice}\n`).join('');
}
