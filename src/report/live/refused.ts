import { isUsual, REFUSALS } from '../../call/refusal.ts';
import { countText } from '../../counted.ts';
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

const OTHERS: readonly Column[] = [{ head: 'REASON' }, { head: 'TIMES', right: true }];

/** How often each reason was counted that none of `refused` has: those of no call, and of calls that are not listed. */
export function othersCounted(
  refused: readonly RefusedResult[],
  counted: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const listed = new Set(refused.map(({ reason }) => reason));
  const others = Object.entries(counted).filter(
    ([reason, count]) => count > 0 && !listed.has(reason) && !isUsual(reason),
  );
  return Object.fromEntries(others.sort(([, one], [, other]) => other - one));
}

/** `pinholed refused` for people; `others` as `othersCounted` has them, `now` in seconds since the epoch. */
export function refusedText(
  refused: readonly RefusedResult[],
  others: Readonly<Record<string, number>>,
  now: number,
  style: Style,
): string {
  return [listedText(refused, now, style), ...othersText(others, style)].join('\n');
}

function listedText(refused: readonly RefusedResult[], now: number, style: Style): string {
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

function othersText(others: Readonly<Record<string, number>>, style: Style): string[] {
  const reasons = Object.entries(others);
  if (reasons.length === 0) return [];
  const rows = reasons.map(([reason, count]) => [reason, countText(count)]);
  const explained = reasons.flatMap(([reason]) =>
    isReason(reason) ? [{ reason, why: REFUSALS[reason].means, advice: REFUSALS[reason].advice }] : [],
  );
  return [
    'Beside these, since the start, what belongs to no call or to one that is not listed:',
    ...tableLines(OTHERS, rows, style.strong),
    adviceText(explained),
  ];
}

function isReason(reason: string): reason is keyof typeof REFUSALS {
  return Object.hasOwn(REFUSALS, reason);
}

/** Each reason once, with what it means and what to do. */
function adviceText(refused: readonly Pick<RefusedResult, 'reason' | 'why' | 'advice'>[]): string {
  const reasons = [...new Map(refused.map((one) => [one.reason, one])).values()];
  return reasons.map(({ reason, why, advice }) => `\n${reason}: ${why}\n  ${advice}\n`).join('');
}
