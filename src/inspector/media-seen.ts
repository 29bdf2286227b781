import { type Call, otherSide } from '../call/call.ts';
import type { Tracker } from '../call/tracker.ts';
import { ownerOf } from '../call/wanted.ts';
import type { AudioWatch } from './audio.ts';
import type { Deadlines } from './deadlines.ts';
import type { Opener } from './opening.ts';
import type { Silent } from './silent.ts';

/**
 * `came`: to where the pinhole leads; `sent`: by the host that it leads to, back to where it lets in; `untold`: it came,
 * as far as is known, and whether that host has sent as well is not.
 */
export type MediaWay = 'came' | 'sent' | 'untold';

interface MediaSeenDeps {
  readonly opener: Pick<Opener, 'holdings' | 'traffic' | 'deadline'>;
  readonly audio: Pick<AudioWatch, 'seen' | 'tells'>;
  readonly tracker: Pick<Tracker, 'media' | 'sent'>;
  readonly byLegId: ReadonlyMap<string, Call>;
  readonly deadlines: Pick<Deadlines<Call>, 'arm'>;
  readonly silent: Pick<Silent, 'heard'>;
}

/** What media in a pinhole, seen at `now` ms, says of the calls that hold it. */
export function createMediaSeen(deps: MediaSeenDeps) {
  const { opener, audio, tracker, byLegId, deadlines, silent } = deps;
  return (pinholeId: string, now: number, way: MediaWay): void => {
    const holdings = way === 'sent' ? opener.holdings(pinholeId) : opener.traffic(pinholeId, now);
    audio.tells(way !== 'untold');
    if (holdings.length === 0 && way !== 'sent') {
      for (const call of silent.heard(pinholeId, now)) deadlines.arm(call, now);
    }
    for (const { legId, pinhole, held } of holdings) {
      const call = byLegId.get(legId);
      if (call === undefined) continue;
      const owner = ownerOf(held.slot);
      const other = otherSide(owner);
      audio.seen(call, pinhole, way === 'sent' ? other : owner, now);
      if (way === 'sent') {
        tracker.sent(call, owner, now);
        continue;
      }
      tracker.media(call, way === 'untold' ? null : other, now);
      const due = opener.deadline(call);
      if (due <= now) deadlines.arm(call, due);
    }
  };
}
