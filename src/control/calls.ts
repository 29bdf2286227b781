import { PARTIES, ownerOf as partyOf } from '../call/wanted.ts';
import type { Slice } from '../daemon/data-path/slices.ts';
import { type CallSummary, MOST_PER_SLICE } from '../daemon/messages.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import { legsNamed } from '../history/named.ts';
import {
  allPassed,
  NOTHING_PASSED,
  type Passed,
  type PassedBySide,
  packetsTo,
  withPassed,
} from '../history/passed.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { Held } from '../pinhole/table.ts';
import { ofOneCall, unknownCall } from './named.ts';
import { type CallResult, type ListedPinhole, type PinholeResult, RequestError } from './protocol.ts';
import { seconds } from './units.ts';

/** Answers what the data path is asked. Throws RequestError when it does not answer in time. */
export const askDataPath: (daemon: Pick<RunningDaemon, 'ask'>) => RunningDaemon['ask'] =
  (daemon) => async (question) => {
    try {
      return await daemon.ask(question);
    } catch {
      throw new RequestError('unavailable', 'the data path did not answer in time');
    }
  };

interface CallReader {
  /** All calls, asked for in slices; not older than half a second. Throws RequestError. */
  all(): Promise<readonly CallSummary[]>;
  /** Those with this Call-ID, or the only one whose name or Call-ID begins so. Throws RequestError. */
  named(name: string): Promise<readonly CallSummary[]>;
  /** All open pinholes as the data path has them, asked for in slices. Throws RequestError. */
  pinholes(): Promise<readonly Pinhole[]>;
  /** What was read is not true any more. */
  forget(): void;
}

const FRESH = 500;
/** Calls by name beside a pinhole; all of them are in `legIds`. */
const MOST_HOLDERS = 16;

/** Reads the calls of the data path, once for all who ask at the same time. */
export function createCallReader(daemon: Pick<RunningDaemon, 'ask' | 'clock'>): CallReader {
  const ask = askDataPath(daemon);
  let reading: Promise<readonly CallSummary[]> | null = null;
  let readAt = Number.NEGATIVE_INFINITY;

  async function read(): Promise<readonly CallSummary[]> {
    const calls = await whole((cursor) => ask({ type: 'calls', cursor, limit: MOST_PER_SLICE }));
    readAt = daemon.clock();
    return calls;
  }

  function all(): Promise<readonly CallSummary[]> {
    if (reading !== null && daemon.clock() - readAt < FRESH) return reading;
    readAt = Number.POSITIVE_INFINITY;
    reading = read();
    reading.catch(() => {
      reading = null;
    });
    return reading;
  }

  async function named(name: string): Promise<readonly CallSummary[]> {
    const byLeg = new Map((await all()).map((call) => [call.leg, call]));
    const found = ofOneCall(legsNamed(byLeg.keys(), name), name);
    if (found.length === 0) throw unknownCall(name);
    return found.map((leg) => byLeg.get(leg)!);
  }

  return {
    all,
    named,
    pinholes: () => whole((cursor) => ask({ type: 'pinholes', cursor, limit: MOST_PER_SLICE })),
    forget() {
      reading = null;
    },
  };
}

/** Takes slices until there are no more. Throws RequestError. */
async function whole<T>(take: (cursor: number | null) => Promise<Slice<T> | null>): Promise<readonly T[]> {
  const items: T[] = [];
  let cursor: number | null = null;
  do {
    const slice: Slice<T> | null = await take(cursor);
    if (slice === null) throw new RequestError('unavailable', 'too many lists are read at a time');
    items.push(...slice.items);
    cursor = slice.cursor;
  } while (cursor !== null);
  return items;
}

/** Where it is known what pinholes passed: those that are open, and those that a call held before. */
export interface PassedSource {
  readonly trafficOf: RunningDaemon['trafficOf'];
  readonly passedBefore: (legId: string) => PassedBySide;
}

/** What all pinholes of a call have passed so far. */
export function passedBy(call: CallSummary, source: PassedSource): Passed {
  return allPassed(passedBySide(call, source));
}

function passedBySide({ leg, pinholes }: CallSummary, { trafficOf, passedBefore }: PassedSource) {
  let all = passedBefore(leg.legId);
  for (const { pinhole, slot } of pinholes) {
    const traffic = trafficOf(pinhole.id, leg.legId);
    if (traffic !== undefined) all = withPassed(all, partyOf(slot), traffic);
  }
  return all;
}

/** Makes results of what the data path answers: `now` in ms of its clock, whose 0 is `epoch`. */
export function createCallWriter(
  passed: PassedSource,
  now: number,
  epoch: number,
  ownerOf: (legId: string) => string | null = () => null,
) {
  const { trafficOf } = passed;
  const date = (at: number) => seconds(epoch + at);

  /** With what it has passed for this leg, or for all. */
  function pinhole(held: Held, legIds: readonly string[], legId?: string): PinholeResult {
    const { pinhole: one, openedAt, agreed, until, reason } = held;
    const { protocol, address, ports, sources, sourcePort, media, kind } = one;
    const { packets, bytes, sent } = trafficOf(one.id, legId) ?? NOTHING_PASSED;
    const closing = reason === null ? null : { reason, in: seconds(Math.max(0, until - now)) };
    return {
      ...{ legIds, protocol, address, ports, sources: sources === 'any' ? ['any'] : sources, sourcePort },
      ...{ media, kind: kind ?? protocol, openedAt: date(openedAt), agreed, closing, packets, bytes, sent },
    };
  }

  function call(summary: CallSummary): CallResult {
    const { leg, mediaAt, nextTimer, pinholes: held, noAudio } = summary;
    const { legId, callId, from, to, parties, codecs, state, endReason } = leg;
    const { startedAt, answeredAt, endedAt } = leg;
    const pinholes = held.map((one) => pinhole(one, [legId], legId));
    const media = passedBySide(summary, passed);
    return {
      ...{ legId, callId, from, to, parties, codecs, state, endReason, owner: ownerOf(legId) },
      startedAt: date(startedAt),
      answeredAt: answeredAt === null ? null : date(answeredAt),
      endedAt: endedAt === null ? null : date(endedAt),
      age: seconds((endedAt ?? now) - startedAt),
      idle: seconds(Math.max(0, now - mediaAt)),
      ...allPassed(media),
      packetsTo: { caller: packetsTo(0, media), callee: packetsTo(1, media) },
      noAudio: noAudio && {
        to: noAudio.to.map((side) => PARTIES[side]),
        since: date(noAudio.since),
        causes: noAudio.causes,
      },
      nextTimer: nextTimer && { name: nextTimer.name, in: seconds(Math.max(0, nextTimer.at - now)) },
      pinholes,
    };
  }

  /** With those who use it. */
  function listed(held: Held, holders: readonly CallSummary[]): ListedPinhole {
    const legs = holders.map(({ leg }) => leg);
    return {
      ...pinhole(
        held,
        legs.map(({ legId }) => legId),
      ),
      holders: legs
        .slice(0, MOST_HOLDERS)
        .map(({ legId, callId, from, to, parties }) => ({ legId, callId, from, to, parties })),
    };
  }

  return { call, pinhole, listed, date };
}

/** Every pinhole once, with all the calls that hold it. */
export function uniquePinholes(
  calls: readonly CallSummary[],
): { readonly held: Held; readonly holders: readonly CallSummary[] }[] {
  const byId = new Map<string, { held: Held; readonly holders: CallSummary[] }>();
  for (const call of calls) {
    for (const held of call.pinholes) {
      const known = byId.get(held.pinhole.id);
      if (known === undefined) {
        byId.set(held.pinhole.id, { held, holders: [call] });
        continue;
      }
      known.holders.push(call);
      if (held.until > known.held.until) known.held = { ...held, openedAt: known.held.openedAt };
    }
  }
  return [...byId.values()];
}
