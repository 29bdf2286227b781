import { inParts } from '../../lists.ts';
import type { Change } from '../../pinhole/change.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';

/** Pinholes in one commit of a repair: small enough that a heartbeat comes between two of them. */
const CHUNK = 64;

/**
 * The changes that make a packet filter which holds `listed` hold exactly `intended`, to be committed one after
 * the other. A rule with the right match and another call's label goes first and comes back with the next change.
 */
export function differences(listed: readonly Pinhole[], intended: Iterable<Pinhole>): Change[] {
  const wanted = new Map<string, Pinhole>();
  for (const pinhole of intended) wanted.set(pinhole.id, pinhole);
  const strangers: Pinhole[] = [];
  const mislabelled: Pinhole[] = [];
  const kept = new Set<string>();
  for (const pinhole of listed) {
    const same = wanted.get(pinhole.id);
    if (same === undefined || kept.has(pinhole.id)) strangers.push(pinhole);
    else if (same.label !== pinhole.label) mislabelled.push(pinhole);
    else kept.add(pinhole.id);
  }
  const missing = [...wanted.values()].filter(({ id }) => !kept.has(id));
  return [
    ...inParts(mislabelled, CHUNK).map((close) => ({ open: [], close })),
    ...inParts(missing, CHUNK).map((open) => ({ open, close: [] })),
    ...inParts(strangers, CHUNK).map((close) => ({ open: [], close })),
  ];
}
