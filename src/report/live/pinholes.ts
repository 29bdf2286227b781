import type { ListedPinhole, PinholeResult } from '../../control/protocol.ts';
import { countText } from '../../counted.ts';
import { printable } from '../../printable.ts';
import type { Style } from '../style.ts';
import { whoText } from './call-table.ts';
import { sourcesText, targetText } from './calls.ts';
import { type Column, fittedTable, tableLines } from './table.ts';
import { ageText, bytesText } from './words.ts';

const COLUMNS: readonly Column[] = [
  { head: 'PROTO' },
  { head: 'TO' },
  { head: 'FROM' },
  { head: 'MEDIA' },
  { head: 'OPEN', right: true },
  { head: 'PACKETS', right: true },
  { head: 'BYTES', right: true },
  { head: 'STAGE' },
  { head: 'WHO' },
  { head: 'CALLS' },
];

/** Columns that a narrow screen goes without, the first first. */
const LEAST_WANTED = ['BYTES', 'STAGE', 'PROTO', 'CALLS', 'MEDIA', 'OPEN'];
const MOST_CALLS = 3;

/** `pinholed pinholes` for people, in `columns` columns as far as that can be; `now` in seconds since the epoch. */
export function pinholesText(
  pinholes: readonly ListedPinhole[],
  now: number,
  style: Style,
  columns = Number.POSITIVE_INFINITY,
): string {
  if (pinholes.length === 0) return 'No pinholes.\n';
  const rows = pinholes.map((pinhole) => [
    pinhole.protocol,
    targetText(pinhole),
    sourcesText(pinhole),
    `${printable(pinhole.media, 16)} ${pinhole.kind}`,
    ageText(Math.max(0, now - pinhole.openedAt)),
    countText(pinhole.packets),
    bytesText(pinhole.bytes),
    stageText(pinhole),
    holdersText(pinhole),
    callsText(pinhole.legIds),
  ]);
  const lines =
    fittedTable(COLUMNS, rows, columns, LEAST_WANTED, style.strong) ??
    tableLines(COLUMNS, rows, style.strong);
  return `${lines.join('\n')}\n`;
}

/** Who calls whom, of the first call that holds it; a daemon of an earlier version does not tell. */
function holdersText({ legIds, holders }: ListedPinhole): string {
  const [first] = holders ?? [];
  if (first === undefined) return '-';
  return `${whoText(first)}${legIds.length > 1 ? `, ${countText(legIds.length - 1)} more` : ''}`;
}

/** Hosts that announce the same port in many calls have one pinhole for all of them. */
function callsText(legIds: readonly string[]): string {
  const more = legIds.length - MOST_CALLS;
  return [...legIds.slice(0, MOST_CALLS), ...(more > 0 ? [`and ${countText(more)} more`] : [])].join(' ');
}

function stageText({ agreed, closing }: PinholeResult): string {
  if (closing !== null) return `${closing.reason} in ${ageText(closing.in)}`;
  return agreed ? 'agreed' : 'offered';
}
