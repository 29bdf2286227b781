import type { Happening } from '../../inspector/happening.ts';
import type { CallRecord } from '../../inspector.ts';
import type { Change } from '../../pinhole/change.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';

/**
 * Rules that a killed daemon left behind and its journal does not know: what was opened in the last moments before.
 * The filter confirms before the journal is written, so such a rule of a call that lives is newer than the journal,
 * and the answer that it belongs to will not come again. It stays as long as its call lives and media uses it.
 */
interface Leftovers {
  /** Takes over those of `listed` that belong to a live call of the journal and that no call of it holds. */
  take(listed: readonly Pinhole[], records: readonly CallRecord[], now: number): void;
  /** Media was seen in the pinhole with this id. */
  traffic(id: string, now: number): void;
  /** Those of calls that ended are over. */
  note(events: readonly Happening[]): void;
  /** Those that a change opens anew are the inspector's from now on; what has to be closed before. */
  handOver(change: Change): readonly Pinhole[];
  /**
   * Those whose call has ended, that had no media for `idle` ms, or are older than `most` ms (0: no limit): no
   * longer kept.
   */
  expire(now: number, idle: number, most: number): readonly Pinhole[];
  pinholes(): Iterable<Pinhole>;
  readonly size: number;
}

interface Leftover {
  readonly pinhole: Pinhole;
  readonly legId: string;
  readonly takenAt: number;
  mediaAt: number;
  isOver: boolean;
}

const HASH = /^pinholed:([0-9a-f]{16}):/;

export function createLeftovers(): Leftovers {
  const kept = new Map<string, Leftover>();

  return {
    take(listed, records, now) {
      const live = new Set<string>();
      const known = new Set<string>();
      for (const { call, held } of records) {
        if (call.state !== 'ended') live.add(call.legId);
        for (const { pinhole } of held) known.add(pinhole.id);
      }
      for (const pinhole of listed) {
        const legId = HASH.exec(pinhole.label)?.[1];
        if (legId === undefined || !live.has(legId) || known.has(pinhole.id)) continue;
        kept.set(pinhole.id, { pinhole, legId, takenAt: now, mediaAt: now, isOver: false });
      }
    },
    note(events) {
      for (const event of events) {
        if (event.type !== 'call' || event.what !== 'ended') continue;
        for (const one of kept.values()) one.isOver ||= one.legId === event.leg.legId;
      }
    },
    traffic(id, now) {
      const one = kept.get(id);
      if (one !== undefined) one.mediaAt = now;
    },
    handOver({ open }) {
      return open.flatMap(({ id }) => {
        const one = kept.get(id);
        return one !== undefined && kept.delete(id) ? [one.pinhole] : [];
      });
    },
    expire(now, idle, most) {
      const over: Pinhole[] = [];
      for (const [id, { pinhole, takenAt, mediaAt, isOver }] of kept) {
        if (!isOver && now - mediaAt < idle && (most === 0 || now - takenAt < most)) continue;
        kept.delete(id);
        over.push(pinhole);
      }
      return over;
    },
    *pinholes() {
      for (const { pinhole } of kept.values()) yield pinhole;
    },
    get size() {
      return kept.size;
    },
  };
}
