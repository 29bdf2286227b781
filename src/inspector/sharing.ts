import type { Call } from '../call/call.ts';
import { CLOSE_REASONS } from '../call/expiry.ts';
import type { Tracker } from '../call/tracker.ts';
import { appended } from '../lists.ts';
import type { AudioWatch } from './audio.ts';
import { tellCall, type Work } from './inspection.ts';
import type { Opener } from './opening.ts';
import type { CallRecord } from './record.ts';
import type { Refusals } from './refusals.ts';
import type { Standings } from './standings.ts';

interface SharingDeps {
  readonly tracker: Pick<Tracker, 'share' | 'keep'>;
  readonly opener: Pick<Opener, 'share'>;
  readonly refusals: Pick<Refusals, 'forget'>;
  readonly audio: Pick<AudioWatch, 'update'>;
  readonly standings: Pick<Standings, 'take'>;
  readonly byLegId: Map<string, Call>;
  readonly schedule: (call: Call) => void;
}

/** Calls as another firewall has them, in place of how they are here. */
export interface Sharing {
  /** With those of their pinholes that the settings let be. How many calls there was no room for. */
  share(work: Work, records: readonly CallRecord[]): number;
  /** These calls go on, as another firewall says. */
  keep(legIds: Iterable<string>, now: number): void;
}

export function createSharing(deps: SharingDeps): Sharing {
  const { tracker, opener, refusals, audio, standings, byLegId, schedule } = deps;
  return {
    share(work, records) {
      let refused = 0;
      for (const { call: theirs, held } of records) {
        const known = byLegId.get(theirs.legId) ?? null;
        const wasOver = known?.state === 'ended';
        if (!tracker.share(theirs, known, work.now)) {
          refused++;
          continue;
        }
        const call = known ?? theirs;
        byLegId.set(call.legId, call);
        standings.take(call);
        const isOver = call.endReason !== null;
        tellCall(work, isOver && !wasOver ? 'ended' : 'changed', call);
        // Silent there, and heard here.
        if (theirs.idle && !call.idle && !isOver) work.again = appended(work.again, call);
        else opener.share(work, call, held, isOver ? CLOSE_REASONS[call.endReason!] : 'moved');
        if (isOver) {
          refusals.forget(call);
          audio.update(call, work.now);
        }
        schedule(call);
      }
      return refused;
    },
    keep(legIds, now) {
      for (const legId of legIds) {
        const call = byLegId.get(legId);
        if (call !== undefined && call.state !== 'ended') tracker.keep(call, now);
      }
    },
  };
}
