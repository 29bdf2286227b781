/**
 * What of two versions of one call is the later one, the same on every firewall and whatever their clocks say. A call
 * that has ended beats one that goes on, unless it was begun anew since (another attempt after a 401).
 */
export interface Stamp {
  /** How many times the call has begun anew after an end. */
  readonly generation: number;
  readonly ended: boolean;
  /** One more than that of the version that this one was made from. */
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

/** The version that `machine` makes of one that it knows; of none: the first. */
export function nextStamp(known: Stamp | null, ended: boolean, machine: string): Stamp {
  if (known === null) return { generation: 0, ended, version: 1, machine };
  const isNewAttempt = known.ended && !ended;
  return {
    generation: known.generation + Number(isNewAttempt),
    ended,
    version: known.version + 1,
    machine,
  };
}

/** What `machine` made beside `other` without knowing of it. */
export function rivalStamp(other: Stamp, ended: boolean, machine: string): Stamp {
  return { generation: other.generation, ended, version: other.version, machine };
}
