import { transportText } from '../../call/description.ts';
import { plural } from '../../counted.ts';
import { partyName } from '../../inspector/party.ts';
import { printable } from '../../printable.ts';
import type { CallPicture } from '../page/model.ts';
import { foldLine, type Style } from '../style.ts';
import { ageText } from './words.ts';

/** Media that the ruleset dropped near a call, and why no pinhole let it in. Times are seconds since the epoch. */
export interface BlockedResult {
  readonly src: string;
  readonly srcPort: number;
  readonly dst: string;
  readonly dstPort: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** That were logged. */
  readonly packets: number;
  /** Name of the leg, 16 hexadecimal digits. */
  readonly legId: string;
  readonly callId: string;
  readonly from: string;
  readonly to: string;
  /** As in a replay; `passes`: it would pass by now, `unknown`: the messages of the call are not recorded. */
  readonly reason: string;
  readonly text: string;
  readonly advice: string;
  /** A line of the configuration that would let it pass, tried on the messages of the call; null where none does. */
  readonly line: string | null;
}

/** The picture of a call with what was dropped near it among its causes. */
export function withBlocked(picture: CallPicture, blocked: readonly BlockedResult[]): CallPicture {
  const causes = blocked.map((one) => ({
    reason: one.reason,
    text: `${transportText(one.src, one.srcPort)} sends to ${transportText(one.dst, one.dstPort)}, and your ruleset drops it. ${one.text}`,
    advice: `${one.advice} ${wayText(one)}`.trim(),
  }));
  const { verdict } = picture;
  return causes.length === 0
    ? picture
    : { ...picture, verdict: { ...verdict, causes: [...verdict.causes, ...causes] } };
}

function wayText({ line }: BlockedResult): string {
  return line === null ? 'No single setting lets it pass.' : `Would pass with: ${line}`;
}

/** `pinholed blocked` for people; `now` in seconds since the epoch. */
export function blockedText(all: readonly BlockedResult[], now: number, style: Style): string {
  if (all.length === 0) return 'Nothing was dropped near a call.\n';
  return all
    .map((one) =>
      blockedLines(one, now, style)
        .flatMap((line) => foldLine(line, style.width))
        .map((line) => `${line}\n`)
        .join(''),
    )
    .join('\n');
}

export function blockedLines(one: BlockedResult, now: number, style: Style): string[] {
  const ends = `${transportText(one.src, one.srcPort)} > ${transportText(one.dst, one.dstPort)}`;
  const who = `${printable(partyName(one.from), 24)} > ${printable(partyName(one.to), 24)}`;
  const ago = ageText(Math.max(0, now - one.lastAt));
  return [
    style.strong(`${ends}, ${plural(one.packets, 'packet')} logged, the last ${ago} ago`),
    `  call ${one.legId} ${who}, ${one.reason}`,
    `  ${printable(`${one.text} ${one.advice}`.trim(), 1024)}`,
    `  ${wayText(one)}`,
  ];
}
