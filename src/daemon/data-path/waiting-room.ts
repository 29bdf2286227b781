import type { Inspection } from '../../inspector.ts';
import type { HeldPacket, Interceptor } from '../../intercept/interceptor.ts';
import type { DataPathCounters, DataPathReport } from '../messages.ts';
import { keptPacket } from './kept-packet.ts';

/**
 * Where packets wait until other firewalls have what they need of them (`peers-store.confirm: peers`): the pinholes that a
 * message opens, and of a request that its answer may come past them. Others pass meanwhile; within a Call-ID nothing
 * overtakes. What is not confirmed in time goes on all the same, and is counted.
 */
export interface WaitingRoom {
  /** Whether a packet that led to this has to wait. */
  isFor(inspection: Inspection): boolean;
  /** Takes it in: it is released from here. What it led to is to be taken down before, since others are asked about it. */
  take(packet: HeldPacket, inspection: Inspection, now: number): void;
  /** So many other firewalls have to confirm from now on. With none, nobody waits any longer. */
  expect(count: number): void;
  /** These are confirmed. */
  confirm(waits: readonly number[]): void;
  /** Lets go what has waited too long at `now`. */
  expire(now: number): void;
  /** Lets everything go. */
  empty(): void;
  /** Whether other firewalls are waited for at all, so that their answers are to be looked for often. */
  readonly isOpen: boolean;
}

interface WaitingRoomDeps {
  readonly interceptor: Pick<Interceptor, 'release' | 'succession'>;
  readonly counters: DataPathCounters;
  /** Longest wait in ms. */
  readonly timeout: () => number;
  readonly post: (report: DataPathReport) => void;
  /** Sends how these calls are, before others are waited for. */
  readonly send: (legIds: ReadonlySet<string>) => void;
}

/** Packets that wait at a time; past it they go on unconfirmed. */
const MOST = 1024;
const NONE: readonly string[] = [];

interface Wait {
  readonly packet: HeldPacket;
  readonly callIds: readonly string[];
  readonly until: number;
  isConfirmed: boolean;
}

export function createWaitingRoom(deps: WaitingRoomDeps): WaitingRoom {
  const { interceptor, counters, timeout, post, send } = deps;
  /** In the order in which they came. */
  const waits = new Map<number, Wait>();
  let last = 0;
  let others = 0;

  function isFor(inspection: Inspection): boolean {
    return others > 0 && (isForOthers(inspection) || isBehind(callIdsOf(inspection.events)));
  }

  function take(packet: HeldPacket, inspection: Inspection, now: number): void {
    const { events } = inspection;
    if (waits.size >= MOST) {
      counters.overdue++;
      letGo(packet);
      return;
    }
    last++;
    counters.waited++;
    const isConfirmed = !isForOthers(inspection);
    const kept = keptPacket(interceptor, packet);
    waits.set(last, { packet: kept, callIds: callIdsOf(events), until: now + timeout(), isConfirmed });
    if (isConfirmed) return;
    const calls = new Set(events.flatMap((one) => (one.type === 'call' ? [one.leg.legId] : NONE)));
    send(calls);
    post({ type: 'waiting', wait: last, calls: [...calls] });
  }

  function letGo(packet: HeldPacket): void {
    interceptor.release(packet);
    counters.released++;
  }

  function isBehind(callIds: readonly string[]): boolean {
    for (const wait of waits.values()) if (wait.callIds.some((one) => callIds.includes(one))) return true;
    return false;
  }

  /** Releases those that nothing holds up any more: each Call-ID in its order. */
  function release(): void {
    const held = new Set<string>();
    for (const [number, { packet, callIds, isConfirmed }] of waits) {
      if (!isConfirmed || callIds.some((callId) => held.has(callId))) {
        for (const callId of callIds) held.add(callId);
        continue;
      }
      waits.delete(number);
      letGo(packet);
    }
  }

  function empty(): void {
    for (const wait of waits.values()) wait.isConfirmed = true;
    release();
  }

  return {
    isFor,
    take,
    expect(count) {
      others = count;
      if (count === 0) empty();
    },
    confirm(numbers) {
      for (const number of numbers) {
        const wait = waits.get(number);
        if (wait !== undefined) wait.isConfirmed = true;
      }
      release();
    },
    expire(now) {
      let isOver = false;
      for (const wait of waits.values()) {
        if (wait.isConfirmed || now < wait.until) continue;
        wait.isConfirmed = true;
        isOver = true;
        counters.overdue++;
      }
      if (isOver) release();
    },
    empty,
    get isOpen() {
      return others > 0;
    },
  };
}

/**
 * Requests whose answers open or close: a firewall that has not heard of the request takes its answer for a stranger's (of
 * a BYE: what the call had stays open for `timers.after-bye`).
 */
const ANSWERED: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'PRACK', 'BYE', 'CANCEL']);

/** Whether others have to know of it before it goes on. */
function isForOthers({ change, events }: Inspection): boolean {
  if (change !== null && change.open.length > 0) return true;
  return events.some(
    (one) =>
      one.type === 'message' &&
      one.message.status === 0 &&
      one.legIds.length > 0 &&
      ANSWERED.has(one.message.method),
  );
}

function callIdsOf(events: Inspection['events']): readonly string[] {
  return events.flatMap((one) => (one.type === 'message' ? [one.message.callId] : NONE));
}
