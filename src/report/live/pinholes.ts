import type { PinholeResult } from '../../control/protocol.ts';
import { countText } from '../../counted.ts';
import { printable } from '../../printable.ts';
import type { Style } from '../style.ts';
import { sourcesText, targetText } from './calls.ts';
import { type Column, tableLines } from './table.ts';
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
  { head: 'CALLS' },
];

const MOST_CALLS = 3;

/** `pinholed pinholes` for people; `now` in seconds since the epoch. */
export function pinholesText(pinholes: readonly PinholeResult[], now: number, style: Style): string {
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
    callsText(pinhole.legIds),
  ]);
  return `${tableLines(COLUMNS, rows, style.strong).join('\n')}\n`;
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
