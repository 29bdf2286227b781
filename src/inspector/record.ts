import { address, port } from '../address/shape.ts';
import type { Call } from '../call/call.ts';
import { callShape, fromVersion1, fromVersion2, fromVersion3 } from '../call/record.ts';
import { heldShape } from '../pinhole/record.ts';
import type { Held } from '../pinhole/table.ts';
import { flag, hexadecimal, list, object, orNull, plain, type Shape, ShapeError, text } from '../shape.ts';
import type { ConnectionDirection } from './reading/connections.ts';

/** One call with the pinholes it holds. Times are those of the clock the inspector runs on. */
export interface CallRecord {
  readonly call: Call;
  readonly held: readonly Held[];
}

/** That SIP was read on a direction of a TCP connection, or that it has ended. */
export interface DirectionRecord {
  readonly direction: ConnectionDirection;
  readonly closed: boolean;
}

/**
 * The version of what a record says. It changes with each change of a shape: those before are read as well, and what any
 * other program wrote is refused by its number, never guessed. `test/daemon/versions` has a journal of each version.
 */
export const RECORD_VERSION = 4;

/** What makes of a call as a version has it one as the next has it. */
const BEFORE: Readonly<Record<number, (call: unknown) => unknown>> = {
  1: fromVersion1,
  2: fromVersion2,
  3: fromVersion3,
};

/** Who writes or reads a record, and when. */
export interface Scribe {
  /**
   * Eight hexadecimal digits that tell firewalls apart which share their calls: legs are counted on each alone, so that a
   * call's whole name is this and its id.
   */
  readonly machine: string;
  /** Changes with every boot; null where the system has no such thing. */
  readonly boot: string | null;
  /** ms of the clock that the inspector runs on. */
  readonly now: () => number;
  /** ms since the epoch. */
  readonly wall: () => number;
}

/** What a record says, or why it is not taken. */
export type Recorded =
  | { readonly what: 'call'; readonly machine: string; readonly record: CallRecord }
  | { readonly what: 'direction'; readonly machine: string; readonly record: DirectionRecord }
  /** `why` is a text for people: the version, or what is wrong and where. */
  | { readonly what: 'refused'; readonly why: string };

/**
 * A record is one line of JSON: `{"pinholed":4,"machine":"…","boot":…,"up":…,"at":…,"call":{…},"held":[…]}`, or
 * `direction` and `closed` in place of the last two. `up` is the moment of writing by the writer's own clock and `at` by
 * the wall's, both in ms; all times inside are relative to it.
 */
interface Head {
  readonly machine: string;
  readonly boot: string | null;
  readonly up: number;
  readonly at: number;
}

const instant = plain('a time in ms', (value): value is number => Number.isFinite(value));
const head = object<Head>({
  machine: hexadecimal(8),
  boot: orNull(text(64)),
  up: instant,
  at: instant,
});
const MOST_HELD = 65_536;
/** ms that a wall clock may have been set by while a system ran, where there is nothing else to tell boots apart by. */
const BOOT_TOLERANCE = 120_000;

const callRecord = object<CallRecord>({ call: callShape, held: list(heldShape, MOST_HELD) });
const directionRecord = object<DirectionRecord>({
  direction: object<ConnectionDirection>({
    source: address,
    sourcePort: port,
    destination: address,
    destinationPort: port,
  }),
  closed: flag,
});

export function writeCall(record: CallRecord, scribe: Scribe): string {
  return written(callRecord, record, scribe);
}

export function writeDirection(record: DirectionRecord, scribe: Scribe): string {
  return written(directionRecord, record, scribe);
}

function written<T>(shape: Shape<T>, record: T, { machine, boot, now, wall }: Scribe): string {
  const up = now();
  const fields = shape.write(record, up) as object;
  return JSON.stringify({ pinholed: RECORD_VERSION, machine, boot, up, at: wall(), ...fields });
}

/**
 * Reads a record of any machine and boot. Its times are now those of the reader's clock, with what has passed since it
 * was written. `age`: ms that have passed at most, where somebody else's clock tells; a wall clock that is wrong here or
 * there ends no call before its time. Never throws, whatever the text.
 */
export function readRecord(text: string, scribe: Scribe, age: number = Number.POSITIVE_INFINITY): Recorded {
  try {
    return read(JSON.parse(text), scribe, age);
  } catch (error) {
    return { what: 'refused', why: error instanceof ShapeError ? error.message : 'it is no record' };
  }
}

function read(value: unknown, scribe: Scribe, age: number): Recorded {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'pinholed')) {
    throw new ShapeError('it is no record');
  }
  const { pinholed, machine, boot, up, at, ...rest } = value as Head & {
    readonly pinholed: unknown;
    readonly call?: unknown;
  };
  if (typeof pinholed !== 'number' || !(pinholed in BEFORE || pinholed === RECORD_VERSION)) {
    const found = JSON.stringify(pinholed).slice(0, 20);
    throw new ShapeError(`it is of version ${found}, and only 1 to ${RECORD_VERSION} are read here`);
  }
  const since = sinceThen(head.read({ machine, boot, up, at }, 'record', 0), scribe);
  const moment = scribe.now() - Math.min(since, age);
  if (Object.hasOwn(rest, 'direction')) {
    return { what: 'direction', machine, record: directionRecord.read(rest, 'record', moment) };
  }
  return { what: 'call', machine, record: callRecord.read(current(pinholed, rest), 'record', moment) };
}

function current(version: number, rest: { readonly call?: unknown }): unknown {
  let { call } = rest;
  for (let at = version; at < RECORD_VERSION; at++) call = BEFORE[at]!(call);
  return version === RECORD_VERSION ? rest : { ...rest, call };
}

/** ms that have passed since this was written: by the clock that both share, else by the wall's. */
function sinceThen(then: Head, scribe: Scribe): number {
  const now = scribe.now();
  const wall = scribe.wall();
  const isSameBoot =
    then.boot !== null && scribe.boot !== null
      ? then.boot === scribe.boot
      : then.machine === scribe.machine && Math.abs(then.at - then.up - (wall - now)) <= BOOT_TOLERANCE;
  return Math.max(0, isSameBoot && then.up <= now ? now - then.up : wall - then.at);
}
