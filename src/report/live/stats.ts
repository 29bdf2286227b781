import type { HistogramResult, StatsResult } from '../../control/protocol.ts';
import { countText } from '../../counted.ts';
import { printable } from '../../printable.ts';
import type { Style } from '../style.ts';
import { dateText } from '../time.ts';
import { listLines, tableLines } from './table.ts';
import { shortSpanText } from './words.ts';

/** `pinholed stats` for people: what is 0 is left out, except where that is the news. */
export function statsText(stats: StatsResult, style: Style): string {
  const { strong } = style;
  const general = listLines([
    ['since', `${dateText(stats.startedAt * 1000)} UTC`],
    ['packets', countText(stats.packets)],
    ['SIP messages', `${countText(stats.messages.udp)} UDP, ${countText(stats.messages.tcp)} TCP`],
    ['malformed', countText(stats.malformed)],
    ['spoofed', countText(stats.spoofed)],
    ['keepalives', countText(stats.keepalives)],
    ['no SIP', countText(stats.notSip)],
  ]);
  return [
    ...general,
    ...counted('METHOD', 'MESSAGES', stats.methods, strong, 'No messages yet.'),
    ...counted('REFUSED', 'TIMES', stats.refusals, strong, 'Nothing was refused.'),
    ...(Object.keys(stats.unreadable).length === 0
      ? []
      : counted('UNREADABLE', 'PACKETS', stats.unreadable, strong, '')),
    ...(Object.keys(stats.responses).length === 0
      ? []
      : counted('RESPONSE', 'MESSAGES', stats.responses, strong, '')),
    '',
    ...histogramLines(
      'Inspection: from the receipt of a packet until it is known what it asks for',
      stats.inspection,
      style,
    ),
    '',
    ...histogramLines('Commit: from a change to its confirmation by the packet filter', stats.commit, style),
    '',
  ].join('\n');
}

function counted(
  name: string,
  unit: string,
  counts: Readonly<Record<string, number>>,
  strong: Style['strong'],
  none: string,
): string[] {
  const rows = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one)
    .map(([key, count]) => [printable(key, 40), countText(count)]);
  if (rows.length === 0) return ['', none];
  return ['', ...tableLines([{ head: name }, { head: unit, right: true }], rows, strong)];
}

const BAR = 40;

function histogramLines(
  title: string,
  { buckets, count, sum, longest }: HistogramResult,
  style: Style,
): string[] {
  if (count === 0) return [style.strong(title), '  nothing measured yet'];
  const shown = trimmed(buckets);
  const most = Math.max(...shown.map((bucket) => bucket.count));
  let below = 0;
  const rows = shown.map((bucket) => {
    below += bucket.count;
    return [
      bucket.le === null ? 'more' : shortSpanText(bucket.le),
      countText(bucket.count),
      `${((100 * below) / count).toFixed(1)}%`,
      '#'.repeat(Math.ceil((BAR * bucket.count) / most)),
    ];
  });
  const head = [
    { head: 'UP TO', right: true },
    { head: 'COUNT', right: true },
    { head: 'SUM', right: true },
    { head: '' },
  ] as const;
  return [
    style.strong(title),
    ...tableLines(head, rows).map((line) => `  ${line}`),
    `  ${countText(count)} measured, mean ${shortSpanText(sum / count)}, longest ${shortSpanText(longest)}`,
  ];
}

/** Without the empty buckets at both ends. */
function trimmed(buckets: HistogramResult['buckets']): HistogramResult['buckets'] {
  const first = buckets.findIndex(({ count }) => count > 0);
  const last = buckets.findLastIndex(({ count }) => count > 0);
  return buckets.slice(first, last + 1);
}
