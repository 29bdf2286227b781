import type { Call } from '../call/call.ts';
import type { RefusalReason } from '../call/refusal.ts';
import { isEnabled, isHeldByAddress } from '../call/transport.ts';
import { ownerOf, type Side } from '../call/wanted.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { Held } from '../pinhole/table.ts';
import type { Direction, Stream } from '../sdp/session.ts';
import { type AudioCause, awaitsAudio, carriesAudio, causesOf } from './audio-cause.ts';
import { createDeadlines } from './deadlines.ts';
import { nameOf } from './happening.ts';
import { introduce, tell, type Work } from './inspection.ts';

/** Which parties of a call get no audio, and since when, in ms. */
export interface MissingAudio {
  readonly to: readonly Side[];
  readonly since: number;
  readonly causes: readonly AudioCause[];
}

/**
 * Calls that are up and have audio in one direction only, or in none, though their descriptions want it. Judged by what the
 * packet filter counts in pinholes, RTCP included, and only where that tells: of what a host sends, where flows are counted
 * each way.
 */
export interface AudioWatch {
  /** What the call wants, or what it holds, may be otherwise from `now` on. */
  update(call: Call, now: number): void;
  /** Packets were counted in this pinhole that were on their way to this party. */
  seen(call: Call, pinhole: Pinhole, to: Side, now: number): void;
  /** Who sends is told from now on, or is not. */
  tells(doesTell: boolean): void;
  /**
   * All counters were read at `work.now`: calls in which audio is missed by then, or is there again, can be told of; the first
   * `most` at once.
   */
  counted(work: Work, most: number): void;
  /** When the first of the calls was due that can be told of; Infinity where there is none. */
  nextDue(): number;
  /** Tells of the first `most` of them. */
  judge(work: Work, most: number): void;
  /** Null where nothing is missed. */
  of(call: Call): MissingAudio | null;
  /** Calls in which audio is missed now. */
  readonly missing: number;
}

interface AudioWatchDeps {
  /** ms without audio after which it is missed; 0: never. */
  readonly after: () => number;
  readonly held: (legId: string) => readonly Held[];
  /** The reasons for which something of the call got no pinhole. */
  readonly refused: (call: Call) => readonly RefusalReason[];
  /** Called for each call in which audio is missed that was not. */
  readonly onMissing: () => void;
}

interface Watched {
  /** Since when audio towards each party is awaited, or when it was seen last; null where none is, or nobody would see it. */
  readonly since: [number | null, number | null];
  /** Seen only where the packet filter tells what the host of a pinhole sends. */
  bySent: readonly [boolean, boolean];
  missing: MissingAudio | null;
}

const SIDES = [0, 1] as const;
/** ms between two looks at a call in which nothing is missed by the settings. */
const LOOK_AGAIN = 60_000;
/** Both answers for the two parties, by the first and then by the second: one list for each, as every call has one. */
const PAIRS = [
  [
    [false, false],
    [false, true],
  ],
  [
    [true, false],
    [true, true],
  ],
] as const;
const NEITHER = PAIRS[0][0];

function pairOf(first: boolean, second: boolean): readonly [boolean, boolean] {
  return PAIRS[first ? 1 : 0][second ? 1 : 0];
}

export function createAudioWatch({ after, held, refused, onMissing }: AudioWatchDeps): AudioWatch {
  const watched = new Map<Call, Watched>();
  const due = createDeadlines<Call>();
  let doesTell = false;
  let missing = 0;
  /** When all counters were read last. */
  let countedAt = Number.NEGATIVE_INFINITY;

  function update(call: Call, now: number): void {
    const isUp = call.state === 'confirmed' && after() > 0;
    const awaited = isUp ? awaitedAudio(call) : NEITHER;
    const known = watched.get(call);
    if (known === undefined && !awaited[0] && !awaited[1]) return;
    if (!isUp) {
      if (known !== undefined) forget(call, known);
      return;
    }
    const [own, other] = ownersOf(held(call.legId));
    const isSeen = own || other;
    const one = known ?? begin(call);
    one.bySent = pairOf(!own, !other);
    for (const side of SIDES) {
      if (!awaited[side] || !isSeen) one.since[side] = null;
      else one.since[side] ??= now;
    }
    arm(call, one);
    if (one.missing?.to.some((side) => one.since[side] === null) === true) due.arm(call, now);
  }

  function begin(call: Call): Watched {
    const one: Watched = { since: [null, null], bySent: NEITHER, missing: null };
    watched.set(call, one);
    return one;
  }

  function forget(call: Call, one: Watched): void {
    if (one.missing !== null) missing--;
    watched.delete(call);
    due.disarm(call);
  }

  /** When the first of its directions that are not missed yet may be. */
  function arm(call: Call, { since, missing: told }: Watched): void {
    for (const side of SIDES) {
      const from = since[side];
      if (from !== null && told?.to.includes(side) !== true) due.arm(call, from + after());
    }
  }

  function seen(call: Call, pinhole: Pinhole, to: Side, now: number): void {
    const one = watched.get(call);
    if (one === undefined || one.since[to] === null || !carriesAudio(pinhole)) return;
    one.since[to] = now;
    if (one.missing?.to.includes(to) === true) due.arm(call, now);
  }

  function judge(work: Work, most: number): void {
    for (let left = most; left > 0; left--) {
      const next = due.pop(countedAt);
      if (next === null) return;
      const one = watched.get(next.key);
      if (one === undefined) continue;
      if (after() > 0) judgeCall(work, next.key, one);
      else leave(next.key, one);
    }
  }

  /** Nothing is missed for now, by the settings, which may change. */
  function leave(call: Call, one: Watched): void {
    if (one.missing !== null) missing--;
    one.missing = null;
    due.arm(call, countedAt + LOOK_AGAIN);
  }

  function judgeCall(work: Work, call: Call, one: Watched): void {
    const isMissed = (side: Side) => {
      const from = one.since[side];
      if (from === null || countedAt - from < after()) return false;
      return !one.bySent[side] || (doesTell && call.untoldAt === Number.NEGATIVE_INFINITY);
    };
    const before = one.missing;
    const to = SIDES.filter(isMissed);
    if (to.join() !== (before?.to ?? []).join()) {
      if (before === null) onMissing();
      missing += Number(to.length > 0) - Number(before !== null);
      const since = Math.min(...to.map((side) => one.since[side]!));
      const causes = to.flatMap((side) => causesOf(call, side, held(call.legId), refused));
      one.missing = to.length === 0 ? null : { to, since, causes };
      introduce(work, call);
      tell(work, {
        type: 'audio',
        call: nameOf(call),
        missing: to,
        since: one.missing?.since ?? before!.since,
        causes,
        at: work.now,
      });
    }
    for (const side of SIDES) {
      const from = one.since[side];
      if (from === null || to.includes(side)) continue;
      // What nobody tells of yet may be told of later.
      due.arm(call, (from + after() > countedAt ? from : countedAt) + after());
    }
  }

  return {
    update,
    seen,
    tells(does) {
      doesTell = does;
    },
    counted(work, most) {
      countedAt = work.now;
      judge(work, most);
    },
    nextDue: () => (due.next() <= countedAt ? due.next() : Number.POSITIVE_INFINITY),
    judge,
    of: (call) => watched.get(call)?.missing ?? null,
    get missing() {
      return missing;
    },
  };
}

/** Towards which parties there is a pinhole for audio. */
function ownersOf(all: readonly Held[]): readonly [boolean, boolean] {
  let first = false;
  let second = false;
  for (const one of all) {
    if (!awaitsAudio(one)) continue;
    if (ownerOf(one.slot) === 0) first = true;
    else second = true;
  }
  return pairOf(first, second);
}

/** Which parties await audio by what both have agreed on: not on hold, nor where one only sends or only listens. */
function awaitedAudio(call: Call): readonly [boolean, boolean] {
  let first = false;
  let second = false;
  for (const { agreed, confirmed } of call.dialogs) {
    if (agreed === null || !confirmed) continue;
    const [caller, callee] = agreed.sides;
    const { streams } = caller.session;
    for (let index = 0; index < streams.length; index++) {
      const one = streams[index]!;
      const other = callee.session.streams[index];
      if (other === undefined || !isAudio(one) || !isAudio(other)) continue;
      first ||= receives(one.direction) && sends(other.direction);
      second ||= receives(other.direction) && sends(one.direction);
    }
  }
  return pairOf(first, second);
}

function isAudio(stream: Stream): boolean {
  return stream.media === 'audio' && isEnabled(stream) && !isHeldByAddress(stream);
}

function sends(direction: Direction): boolean {
  return direction === 'sendrecv' || direction === 'sendonly';
}

function receives(direction: Direction): boolean {
  return direction === 'sendrecv' || direction === 'recvonly';
}
