import { serialize } from 'node:v8';
import type { Call } from '../../call/call.ts';
import { createFifo } from '../../call/fifo.ts';
import type { LastCounts, Traffic } from '../../firewall/firewall.ts';
import type { Told } from '../../inspector/happening.ts';
import type { DirectionChange } from '../../inspector/tcp.ts';
import type { Inspector, InspectorEvent } from '../../inspector.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import { directionEntry } from '../journal/records.ts';
import type { CallName, DaemonEvent, DataPathCounters, JournalEntry, Report } from '../messages.ts';

/** What the data path has to tell the control thread, gathered so that no packet waits for it. */
export interface Outbox {
  /** Takes up what a packet or a deadline led to. */
  note(events: readonly InspectorEvent[]): void;
  /** For the journal: directions of TCP connections that SIP is read on. */
  follow(changes: readonly DirectionChange[], now: number): void;
  /** For the history of calls. */
  tell(told: Told): void;
  /** States of these pinholes are to be killed. */
  closed(pinholes: readonly Pinhole[]): void;
  /** What closed pinholes had passed. */
  counted(counts: LastCounts): void;
  say(level: 'error' | 'warn' | 'info', text: string): void;
  /** When `flush` should be called again if no packet comes, in ms of the clock. */
  due(): number;
  /**
   * Sends a slice of what there is, if it is due at `now`, or was noted a few ms ago and `idle` says that no packet
   * came. Returns whether it did.
   */
  flush(now: number, idle: boolean): boolean;
  /** Sends what is to be sent soon, before an answer that it belongs to. */
  catchUp(): void;
  /** Sends everything. */
  empty(): void;
}

/**
 * Longest wait in ms for what should be in the journal soon: opened pinholes, closed ones, lines for the log. What
 * a killed daemon had not written down of a call is lost to the next one.
 */
export const SOON = 50;
/** It is sent before, once this many ms are quiet: the answer to a packet is often on its way already. */
export const QUIET = 2;
/** The same for calls that changed in other ways. */
const LATER = 1000;
/** The same for the history of calls. */
const TOLD = 250;
/** Calls in one message: what is written down in well under a millisecond. */
const SLICE = 32;
const TOLD_SLICE = 64;
/** Lines kept for a control thread that does not keep up. */
const MOST_EVENTS = 4096;
/** Messages on their way to the control thread past which no more are sent. */
const MOST_BACKLOG = 64;

/**
 * `post` hands a report over; `backlog` is how many the control thread has not taken yet: past 64 none is
 * added, calls are then told once as they are at the end, and lines for the log are counted instead of kept. `most` bounds
 * what has to be told in any case: past it calls are left out that began and ended meanwhile, and of closed pinholes the
 * oldest.
 */
export function createOutbox(
  inspector: Pick<Inspector, 'dump'>,
  clock: () => number,
  post: (report: Report) => void,
  counters: DataPathCounters,
  most: () => number,
  backlog: () => number = () => 0,
): Outbox {
  const changed = new Set<Call>();
  /** Calls of those that are over, and that the journal has never had. */
  const unknown = createFifo<Call>();
  const written = new WeakSet<Call>();
  /** Records of directions of TCP connections, the last of each, and those that the journal has. */
  const directions = new Map<string, JournalEntry>();
  const writtenDirections = new Set<string>();
  const closedPinholes = new Map<string, Pinhole>();
  let counts = new Map<string, Traffic>();
  let events: DaemonEvent[] = [];
  let told: Told[] = [];
  let dueAt = Number.POSITIVE_INFINITY;
  /** When what should be sent soon may be, if no packet comes. */
  let quietAt = Number.POSITIVE_INFINITY;

  function soon(): void {
    within(SOON);
    quietAt = clock() + QUIET;
  }

  function within(ms: number): void {
    dueAt = Math.min(dueAt, clock() + ms);
  }

  function add(event: DaemonEvent): void {
    if (events.length < MOST_EVENTS) events.push(event);
    else counters.eventsLost++;
    soon();
  }

  function note(happened: readonly InspectorEvent[]): void {
    for (const event of happened) {
      if (event.type === 'message') {
        for (const call of event.calls) touch(call);
      } else if (event.type === 'call') {
        touch(event.call);
        const { what, at, call } = event;
        add({ type: 'call', what, call: nameOf(call), reason: call.endReason, at });
      } else if (event.type === 'pinhole') {
        touch(event.call);
        const { type: what, held, reason, at } = event.event;
        const { pinhole, openedAt } = held;
        add({ type: 'pinhole', what, call: nameOf(event.call), pinhole, reason, openedAt, at });
      } else if (event.type === 'refused') {
        const { call, refusal, at } = event;
        add({ type: 'refused', call: call === null ? null : nameOf(call), ...refusal, at });
      }
    }
  }

  function touch(call: Call): void {
    changed.add(call);
    if (call.state !== 'ended' || written.has(call)) unknown.delete(call);
    else forget(call);
    if (dueAt === Number.POSITIVE_INFINITY) within(LATER);
  }

  function forget(call: Call): void {
    unknown.add(call);
    if (unknown.size <= most()) return;
    const oldest = unknown.first()!;
    unknown.delete(oldest);
    changed.delete(oldest);
    counters.eventsLost++;
  }

  function follow(change: DirectionChange, now: number): void {
    const record = directionEntry(change, now);
    const { hash, endedAt } = record;
    // The journal needs not know of what came and went meanwhile.
    if (endedAt !== null && directions.has(hash) && !writtenDirections.has(hash)) directions.delete(hash);
    else directions.set(hash, record);
    if (endedAt !== null) writtenDirections.delete(hash);
  }

  function close(pinhole: Pinhole): void {
    closedPinholes.set(pinhole.id, pinhole);
    if (closedPinholes.size <= most()) return;
    const oldest = closedPinholes.keys().next().value!;
    closedPinholes.delete(oldest);
    counts.delete(oldest);
    counters.statesLeft++;
  }

  function flush(now: number, idle: boolean): boolean {
    if (now < (idle ? Math.min(dueAt, quietAt) : dueAt)) return false;
    if (backlog() > MOST_BACKLOG) {
      dueAt = now + SOON;
      quietAt = Number.POSITIVE_INFINITY;
      return false;
    }
    send();
    return true;
  }

  function send(): void {
    const records: JournalEntry[] = [];
    for (const [name, record] of directions) {
      if (records.length >= SLICE) break;
      directions.delete(name);
      if (record.endedAt === null) writtenDirections.add(name);
      records.push(record);
    }
    for (const call of changed) {
      if (records.length >= SLICE) break;
      changed.delete(call);
      unknown.delete(call);
      written.add(call);
      records.push({ hash: call.hash, endedAt: call.endedAt, bytes: serialize(inspector.dump(call)) });
    }
    const batch = {
      type: 'batch',
      records,
      closed: [...closedPinholes.values()],
      counts,
      events,
      told: told.slice(0, TOLD_SLICE),
    } as const;
    closedPinholes.clear();
    counts = new Map();
    events = [];
    told = told.slice(TOLD_SLICE);
    quietAt = Number.POSITIVE_INFINITY;
    dueAt = changed.size + directions.size + told.length === 0 ? Number.POSITIVE_INFINITY : clock();
    post(batch);
  }

  return {
    note,
    follow(changes, now) {
      if (changes.length === 0) return;
      for (const change of changes) follow(change, now);
      soon();
    },
    tell(one) {
      if (told.length < MOST_EVENTS) told.push(one);
      else counters.eventsLost++;
      within(TOLD);
    },
    closed(pinholes) {
      for (const pinhole of pinholes) close(pinhole);
      soon();
    },
    counted(last) {
      for (const [id, count] of last) if (counts.size < most()) counts.set(id, count);
    },
    say: (level, text) => add({ type: 'note', level, text }),
    due: () => Math.min(dueAt, quietAt),
    flush,
    catchUp() {
      if (quietAt !== Number.POSITIVE_INFINITY && backlog() <= MOST_BACKLOG) send();
    },
    empty() {
      while (dueAt !== Number.POSITIVE_INFINITY) send();
    },
  };
}

function nameOf({ hash, callId, parties, from, to }: Call): CallName {
  return { hash, callId, parties, from, to };
}
