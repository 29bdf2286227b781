/**
 * What of two versions of one call is the later one, the same on every firewall and whatever their clocks say. A call
 * that has ended beats one that was answered, and that one that was not, unless the call was begun anew since (another
 * attempt after a 401).
 */
export interface Stamp {
  /** How many times the call has begun anew after an end. */
  readonly generation: number;
  /** The furthest that anybody has seen it come. */
  readonly phase: Phase;
  /**
   * Later than that of the version that this one was made from: odd where something was seen. Even, half a step, where the
   * call is over because nothing was seen for too long: what another firewall has seen meanwhile is later than that.
   */
  readonly version: number;
  /** Who wrote it, eight hexadecimal digits. */
  readonly machine: string;
}

/** 0: begun, 1: answered, 2: somebody has seen it end. */
export type Phase = 0 | 1 | 2;

/** How a version leaves a call. `timed-out`: over, though nobody has seen an end. */
export type Standing = 'begun' | 'answered' | 'ended' | 'timed-out';

const ENDED = 2;
const PHASES: Readonly<Record<Standing, Phase>> = { begun: 0, answered: 1, ended: ENDED, 'timed-out': 0 };

/** Below 0: `one` is the earlier. */
export function compareStamps(one: Stamp, other: Stamp): number {
  return (
    one.generation - other.generation ||
    one.phase - other.phase ||
    one.version - other.version ||
    (one.machine < other.machine ? -1 : Number(one.machine > other.machine))
  );
}

/** Whether the call is over by this version. */
export function isOver({ phase, version }: Stamp): boolean {
  return phase === ENDED || version % 2 === 0;
}

/** The version that `machine` makes of one that it knows; of none: the first. */
export function nextStamp(known: Stamp | null, standing: Standing, machine: string): Stamp {
  const half = Number(standing === 'timed-out');
  if (known === null) return { generation: 0, phase: PHASES[standing], version: 1 - half, machine };
  const isNewAttempt = known.phase === ENDED && (standing === 'begun' || standing === 'answered');
  return {
    generation: known.generation + Number(isNewAttempt),
    phase: isNewAttempt || PHASES[standing] > known.phase ? PHASES[standing] : known.phase,
    version: known.version + 1 + ((known.version + half) % 2),
    machine,
  };
}

/** `generation.phase.version.machine`, as it stands beside a record in the journal. */
export function writeStamp({ generation, phase, version, machine }: Stamp): string {
  return `${generation}.${phase}.${version}.${machine}`;
}

/** Null for what is none. */
export function readStamp(text: string): Stamp | null {
  const [generation, phase, version, machine, ...rest] = text.split('.');
  return rest.length > 0 ? null : stampOf(generation, phase, version, machine);
}

/** A stamp of parts that may be anything; null where they make none. */
export function stampOf(
  generation: unknown,
  phase: unknown,
  version: unknown,
  machine: unknown,
): Stamp | null {
  const [one, two, three] = [generation, phase, version].map(countOf);
  if (one == null || three == null || !isPhase(two) || !isMachine(machine)) return null;
  return { generation: one, phase: two, version: three, machine };
}

export function isMachine(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{8}$/.test(value);
}

function isPhase(value: unknown): value is Phase {
  return value === 0 || value === 1 || value === ENDED;
}

function countOf(value: unknown): number | null {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}
