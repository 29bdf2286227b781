import { ownerOf, type Side } from '../call/wanted.ts';
import {
  type CallHappening,
  type Happening,
  type Leg,
  nameOf,
  type Occasion,
  type PinholeHappening,
} from '../inspector/happening.ts';
import type { Held } from '../pinhole/table.ts';
import type { CallReport, FramePlace } from './call-report.ts';
import { legsNamed } from './named.ts';
import { NEVER_OPEN, NOTHING_PASSED, type Passed, type PassedBySide, withPassed } from './passed.ts';
import { createPinholeTraces, type PinholeTrace } from './pinholes.ts';
import { type CallTrace, createCallTraces } from './traces.ts';

export interface HistoryOptions {
  /** Ended calls that are remembered. */
  readonly endedCalls: () => number;
  /** Calls under way that there can be; more than these were lost sight of. */
  readonly callsUnderWay: () => number;
  /** What a pinhole has passed for a call. */
  readonly trafficOf: (pinholeId: string, legId: string) => Passed | undefined;
}

/** A call with its ladder and every decision, in the shape that replay gives it. Times are in ms of the daemon's clock. */
export interface RememberedCall {
  readonly report: CallReport;
  /** It was taken up from the journal: what came before is not known. */
  readonly adopted: boolean;
  /** Pinholes past the number that is kept. */
  readonly pinholesOmitted: number;
}

/** What the daemon did, call by call: all calls under way, and the latest that ended. */
export interface History {
  take(occasions: readonly Occasion[]): void;
  /** A call that was there before anything was told of it. */
  adopt(call: { readonly leg: Leg; readonly pinholes: readonly Held[] }): void;
  /** By the leg's id. */
  get(legId: string): RememberedCall | null;
  /** Ids of the legs of this name, as `legsNamed` finds them; oldest first. */
  find(name: string): string[];
  /** Those that started last first. */
  underWay(): Iterable<RememberedCall>;
  /** Those that ended last first. */
  ended(): Iterable<RememberedCall>;
  /** What the pinholes had passed that this call does not hold any more. */
  passedBefore(legId: string): PassedBySide;
  readonly size: number;
}

const MAX_MESSAGES = 200;
const MAX_PINHOLES = 256;
/** Lines of all ladders together. */
const MAX_LINES = 200_000;

interface Remembered {
  adopted: boolean;
  pinholesOmitted: number;
  /** Of pinholes that are closed, also of omitted ones. */
  passed: PassedBySide;
}

export function createHistory(options: HistoryOptions): History {
  const calls = createCallTraces(MAX_MESSAGES);
  const pinholes = createPinholeTraces();
  const entries = new Map<string, Remembered>();
  const underWay = new Set<string>();
  /** In the order in which they ended. */
  const ended = new Set<string>();
  let lines = 0;
  let last: FramePlace = { file: 0, frame: 0 };

  function take(occasions: readonly Occasion[]): void {
    for (const { packet, deadline, happenings } of occasions) {
      last = { file: 0, frame: packet };
      for (const happening of happenings) takeOne(happening, deadline ? null : last);
    }
    bound();
  }

  /** `place` is null when a deadline was the cause. */
  function takeOne(happening: Happening, place: FramePlace | null): void {
    switch (happening.type) {
      case 'call':
        note(happening);
        break;
      case 'message':
        if (lines < MAX_LINES) lines += calls.message(happening, last);
        break;
      case 'pinhole':
        takePinhole(happening, place);
        break;
      case 'refused':
        calls.refused(happening, last);
        break;
      case 'audio':
        calls.audio(happening);
        break;
      case 'malformed':
        break;
    }
  }

  function takePinhole(happening: PinholeHappening, place: FramePlace | null): void {
    const { what, call, pinhole, slot } = happening;
    const isFull = what === 'opened' && pinholes.of(call.legId).length >= MAX_PINHOLES;
    const entry = entries.get(call.legId);
    if (isFull && entry !== undefined) entry.pinholesOmitted++;
    else pinholes.take(happening, place, last);
    if (what === 'closed') keepCount(call.legId, pinhole.id, ownerOf(slot));
  }

  function note({ what, leg }: Pick<CallHappening, 'what' | 'leg'>): void {
    const { legId } = leg;
    calls.update(leg);
    // Only a call that was taken up is told of without its beginning.
    if (!entries.has(legId))
      entries.set(legId, { adopted: what !== 'started', pinholesOmitted: 0, passed: NEVER_OPEN });
    underWay.delete(legId);
    if (leg.state !== 'ended') {
      underWay.add(legId);
      ended.delete(legId);
    } else if (!ended.has(legId)) {
      ended.add(legId);
    }
  }

  /** The filter's counter is gone soon after the pinhole. */
  function keepCount(legId: string, id: string, owner: Side): void {
    const passed = options.trafficOf(id, legId) ?? NOTHING_PASSED;
    const record = pinholes.of(legId).findLast((one) => one.id === id);
    if (record !== undefined) {
      record.packets = passed.packets;
      record.sent = passed.sent;
    }
    const entry = entries.get(legId);
    if (entry === undefined) return;
    entry.passed = withPassed(entry.passed, owner, passed);
  }

  function bound(): void {
    const most = options.endedCalls();
    for (const legId of ended) {
      if (ended.size <= most && lines < MAX_LINES) break;
      forget(legId);
    }
    for (const legId of underWay) {
      if (underWay.size <= options.callsUnderWay()) break;
      forget(legId);
    }
  }

  function forget(legId: string): void {
    const record = calls.byLegId(legId);
    lines -= record?.messages.length ?? 0;
    calls.forget(legId);
    pinholes.forget(legId);
    entries.delete(legId);
    ended.delete(legId);
    underWay.delete(legId);
  }

  function adopt({ leg, pinholes: held }: Parameters<History['adopt']>[0]): void {
    if (!entries.has(leg.legId)) note({ what: 'changed', leg });
    const known = new Set(pinholes.of(leg.legId).map(({ id }) => id));
    for (const { pinhole, slot, openedAt, agreed, until, reason } of held) {
      if (known.has(pinhole.id)) continue;
      const more = { pinhole, slot, openedAt, agreed, until, reason, at: openedAt };
      pinholes.take({ type: 'pinhole', what: 'opened', call: nameOf(leg), ...more }, null, last);
    }
  }

  function get(legId: string): RememberedCall | null {
    const record = calls.byLegId(legId);
    const entry = entries.get(legId);
    if (record === null || entry === undefined) return null;
    const { adopted, pinholesOmitted } = entry;
    return { adopted, pinholesOmitted, report: reportOf(record) };
  }

  function reportOf(record: CallTrace): CallReport {
    return { ...record, pinholes: pinholes.of(record.legId).map((one) => counted(one, record.legId)) };
  }

  function counted(record: PinholeTrace, legId: string): PinholeTrace {
    const passed = record.closedAt === null ? options.trafficOf(record.id, legId) : undefined;
    return passed === undefined ? record : { ...record, packets: passed.packets, sent: passed.sent };
  }

  function find(name: string): string[] {
    return legsNamed(calls.all(), name).map(({ legId }) => legId);
  }

  function* remembered(legIds: readonly string[]): Iterable<RememberedCall> {
    for (const legId of legIds) {
      const call = get(legId);
      if (call !== null) yield call;
    }
  }

  function callsUnderWay(): string[] {
    const legIds = calls.all().map(({ legId }) => legId);
    return legIds.filter((legId) => underWay.has(legId)).reverse();
  }

  return {
    take,
    adopt,
    get,
    find,
    underWay: () => remembered(callsUnderWay()),
    ended: () => remembered([...ended].reverse()),
    passedBefore: (legId) => entries.get(legId)?.passed ?? NEVER_OPEN,
    get size() {
      return entries.size;
    },
  };
}
