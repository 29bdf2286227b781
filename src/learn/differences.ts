import type { SettingChange } from '../config/reload.ts';
import { printable } from '../printable.ts';
import { dateText } from '../report/time.ts';
import type { Comparison, Difference } from './compare.ts';

/** Lines of one call that are shown, and calls of one kind. */
const MOST_LINES = 6;
const MOST_CALLS = 20;

/** What another configuration would have done to calls: the worst first. */
export function comparisonText(comparison: Comparison, changes: readonly SettingChange[]): string {
  const { calls, losing, gaining, otherwise } = comparison;
  const same = calls - losing.length - gaining.length - otherwise.length;
  const parts = [
    ...group(losing, calls, 'would have lost audio'),
    ...group(gaining, calls, 'would have had audio that was refused'),
    ...group(otherwise, calls, 'would have been let in from other addresses'),
  ];
  const last = [`${same} of ${calls} calls as before.`];
  if (calls > 0 && comparison.opened === 0) {
    last.push(
      'Not one of them has a pinhole under either: is `inside` the network that they were captured in?',
    );
  }
  return `${[...settingLines(changes), ...parts, ...last].join('\n')}\n`;
}

function settingLines(changes: readonly SettingChange[]): string[] {
  if (changes.length === 0) return ['No setting differs.', ''];
  return [
    ...changes.map(({ key, from, to, reload }) => {
      const effect = reload === 'restart' ? ' (at a restart only)' : '';
      return `${key}: ${from} to ${to}${effect}`;
    }),
    '',
  ];
}

function group(differences: readonly Difference[], calls: number, what: string): string[] {
  if (differences.length === 0) return [];
  const shown = differences.slice(0, MOST_CALLS).flatMap(differenceLines);
  const more = differences.length - MOST_CALLS;
  if (more > 0) shown.push(`  and ${more} more`);
  return [`${differences.length} of ${calls} calls ${what}:`, ...shown, ''];
}

function differenceLines({ report, lines }: Difference): string[] {
  const { callId, from, to, startedAt } = report;
  const more = lines.length - MOST_LINES;
  return [
    `  ${dateText(startedAt).slice(0, 19)} ${printable(callId, 48)}, ${printable(from, 40)} to ${printable(to, 40)}`,
    ...lines.slice(0, MOST_LINES).map((line) => `    ${line}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

/** The same as plain data; times are seconds since the epoch. */
export function comparisonJson(comparison: Comparison, changes: readonly SettingChange[]) {
  const each = ({ report, lines }: Difference) => ({
    callId: report.callId,
    from: report.from,
    to: report.to,
    parties: report.parties,
    startedAt: report.startedAt / 1000,
    differences: lines,
  });
  const { calls, opened, losing, gaining, otherwise } = comparison;
  return {
    calls,
    opened,
    changes,
    losing: losing.map(each),
    gaining: gaining.map(each),
    otherwise: otherwise.map(each),
  };
}
