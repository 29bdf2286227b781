import { serialize } from 'node:v8';
import { type Direction, directionKey } from '../../inspector/connections.ts';
import type { DirectionChange } from '../../inspector/tcp.ts';
import type { JournalEntry } from '../messages.ts';

/** A record of a direction of a TCP connection, in place of a call. */
export interface DirectionRecord {
  readonly direction: Direction;
  readonly closed: boolean;
}

/** A direction of a TCP connection as a record of its own; one that ended at `now` is not taken up again. */
export function directionEntry({ what, direction }: DirectionChange, now: number): JournalEntry {
  return {
    hash: nameOf(direction),
    endedAt: what === 'closed' ? now : null,
    bytes: serialize({ direction, closed: what === 'closed' } satisfies DirectionRecord),
  };
}

/** Sixteen characters, of which no call's name has the first; the rest tells 2^60 directions apart (FNV-1a, twice). */
function nameOf(direction: Direction): string {
  const key = directionKey(direction);
  const halves = [hash(key, 0x811c9dc5), hash(key, 0x01000193)].map((half) =>
    half.toString(16).padStart(8, '0'),
  );
  return `t${halves.join('').slice(1)}`;
}

function hash(text: string, basis: number): number {
  let value = basis;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
