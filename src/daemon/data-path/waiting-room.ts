import { Buffer } from 'node:buffer';
import type { Inspection } from '../../inspector.ts';
import type { HeldPacket, Interceptor } from '../../intercept/interceptor.ts';
import type { DataPathCounters, DataPathReport } from '../messages.ts';

/**
 * Where packets wait until other firewalls have the pinholes that they need (`peers-store.confirm: peers`). Others pass
 * meanwhile; within a Call-ID nothing overtakes. What is not confirmed in time goes on all the same, and is counted.
 */
export interface WaitingRoom {
  /**
   * Takes the packet in, if it has to wait: true, and it is released from here. `tell` has what the packet led to taken
   * down, before others are asked about it.
   */
  take(packet: HeldPacket, inspection: Inspection, now: number, tell: () => void): boolean;
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
  /** Sends what was taken down, before others are waited for. */
  readonly send: () => void;
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

  function take(packet: HeldPacket, { change, events }: Inspection, now: number, tell: () => void): boolean {
    if (others === 0) return false;
    const callIds = events.flatMap((one) => (one.type === 'message' ? [one.message.callId] : NONE));
    const opens = change !== null && change.open.length > 0;
    if (!opens && !isBehind(callIds)) return false;
    if (waits.size >= MOST) {
      counters.overdue++;
      return false;
    }
    last++;
    counters.waited++;
    const kept = keep(packet);
    waits.set(last, { packet: kept, callIds, until: now + timeout(), isConfirmed: !opens });
    if (!opens) return true;
    const calls = new Set(events.flatMap((one) => (one.type === 'call' ? [one.leg.legId] : NONE)));
    tell();
    send();
    post({ type: 'waiting', wait: last, calls: [...calls] });
    return true;
  }

  function isBehind(callIds: readonly string[]): boolean {
    for (const wait of waits.values()) if (wait.callIds.some((one) => callIds.includes(one))) return true;
    return false;
  }

  /** The interceptor's memory is its own again at the next receive. */
  function keep(packet: HeldPacket): HeldPacket {
    const { succession } = interceptor;
    const bytes = Buffer.from(packet.bytes);
    if (succession === undefined) return { ...packet, bytes };
    return succession.takeOver(bytes, Buffer.from(succession.wayOf(packet)));
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
      interceptor.release(packet);
      counters.released++;
    }
  }

  function empty(): void {
    for (const wait of waits.values()) wait.isConfirmed = true;
    release();
  }

  return {
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
