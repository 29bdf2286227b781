import type { Refusal, RefusalReason } from '../../call/refusal.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { LooseRefusal } from './model.ts';

export interface RefusalCounts {
  readonly byReason: ReadonlyMap<RefusalReason, number>;
  add(refusal: Refusal): void;
  /** It belongs to no call. */
  addLoose(refusal: Refusal, place: FramePlace, at: number): void;
  /** The most frequent first. */
  loose(): LooseRefusal[];
}

const MAX_LOOSE = 1000;

/** How often what was refused; of what belongs to no call also where first. */
export function createRefusalCounts(): RefusalCounts {
  const byReason = new Map<RefusalReason, number>();
  const loose = new Map<string, LooseRefusal>();
  return {
    byReason,
    add: ({ reason }) => {
      byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
    },
    addLoose: ({ reason, detail }, place, at) => {
      const key = `${reason} ${detail}`;
      const known = loose.get(key);
      if (known !== undefined) known.count++;
      else if (loose.size < MAX_LOOSE)
        loose.set(key, { reason, detail, place, at, count: 1, transport: null, why: '' });
    },
    loose: () => [...loose.values()].sort((a, b) => b.count - a.count),
  };
}
