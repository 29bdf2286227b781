/**
 * What of two versions of one call is the later one, the same on every firewall and whatever their clocks say. A call
 * that has ended beats one that goes on, unless it was begun anew since (another attempt after a 401).
 */
export interface Stamp {
  /** How many times the call has begun anew after an end. */
  readonly generation: number;
  /** Somebody has seen it end. */
  readonly ended: boolean;
  /**
   * Later than that of the version that this one was made from: odd where something was seen. Even, half a step, where the
   * call is over because nothing was seen for too long: what another firewall has seen meanwhile is later than that.
   */
  readonly version: number;
  /** Who wrote it, eight hexadecimal digits. */
  readonly machine: string;
}

/** Below 0: `one` is the earlier. */
export function compareStamps(one: Stamp, other: Stamp): number {
  return (
    one.generation - other.generation ||
    Number(one.ended) - Number(other.ended) ||
    one.version - other.version ||
    (one.machine < other.machine ? -1 : Number(one.machine > other.machine))
  );
}

/** How a version leaves a call. `timed-out`: over, though nobody has seen an end. */
export type Standing = 'under-way' | 'ended' | 'timed-out';

/** Whether the call is over by this version. */
export function isOver({ ended, version }: Stamp): boolean {
  return ended || version % 2 === 0;
}

/** The version that `machine` makes of one that it knows; of none: the first. */
export function nextStamp(known: Stamp | null, standing: Standing, machine: string): Stamp {
  const half = Number(standing === 'timed-out');
  if (known === null) return { generation: 0, ended: standing === 'ended', version: 1 - half, machine };
  const isNewAttempt = known.ended && standing === 'under-way';
  return {
    generation: known.generation + Number(isNewAttempt),
    ended: standing === 'ended' || (known.ended && !isNewAttempt),
    version: known.version + 1 + ((known.version + half) % 2),
    machine,
  };
}

/** What `machine` made beside `other` without knowing of it. */
export function rivalStamp(other: Stamp, standing: Standing, machine: string): Stamp {
  const { generation, version } = other;
  const isOdd = version % 2 === 1;
  if (standing === 'timed-out') {
    return { generation, ended: false, version: isOdd ? version - 1 : version, machine };
  }
  return { generation, ended: standing === 'ended', version: isOdd ? version : version + 1, machine };
}
