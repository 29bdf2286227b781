import type { LastCounts, Traffic } from '../../firewall/firewall.ts';
import type { CallHappening, Happening, Occasion } from '../../inspector/happening.ts';
import type { DirectionChange } from '../../inspector/reading/tcp.ts';
import type { DirectionRecord, Scribe } from '../../inspector/record.ts';
import type { Inspector } from '../../inspector.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { DataPathCounters, DataPathReport, Note } from '../messages.ts';
import type { KnownCalls } from './known-calls.ts';
import { createUnwritten, type Unwritten } from './unwritten.ts';

/** What the data path has to tell the control thread, gathered so that no packet waits for it. */
export interface Outbox {
  /**
   * Takes up what a packet, a deadline or an order led to at `at`. Other firewalls come to the same deadlines by
   * themselves, and are told of a call's end alone; of what came from one of them (`elsewhere`) of nothing.
   */
  note(happenings: readonly Happening[], at: number, cause: Cause): void;
  /** Versions of calls and connections, as other firewalls and the journal are told of them. */
  readonly versions: Pick<Unwritten, 'remember' | 'takes' | 'entryOf'>;
  /** How these directions are was taken up from another firewall. */
  sharedDirections(directions: readonly DirectionRecord[]): void;
  /** Other firewalls have not heard how these are. */
  tell(keys: readonly string[]): void;
  /** For the journal: directions of TCP connections that SIP is read on. */
  follow(changes: readonly DirectionChange[]): void;
  /** States of these pinholes are to be killed. */
  closed(pinholes: readonly Pinhole[]): void;
  /** What closed pinholes had passed. */
  counted(counts: LastCounts): void;
  /** A line for the log that is not of what the inspector tells. */
  say(level: Note['level'], text: string): void;
  /** When `flush` should be called again if no packet comes, in ms of the clock. */
  due(): number;
  /**
   * Sends a slice of what there is, if it is due at `now`, or was noted a few ms ago and `idle` says that no packet
   * came. Returns whether it did.
   */
  flush(now: number, idle: boolean): boolean;
  /** Sends what is to be sent soon, before an answer that it belongs to. */
  catchUp(): void;
  /** Sends how these calls are, whatever else there is to send. */
  sendCalls(legIds: Iterable<string>): void;
  /** Sends everything. */
  empty(): void;
}

/** What made things happen. */
export type Cause = 'packet' | 'deadline' | 'order' | 'elsewhere';

/**
 * Longest wait in ms for what should be in the journal soon: opened pinholes, closed ones, lines for the log. What
 * a killed daemon had not written down of a call is lost to the next one.
 */
export const SOON = 50;
/** It is sent before, once this many ms are quiet: the answer to a packet is often on its way already. */
export const QUIET = 2;
/** The same for what concerns only the history of calls, and their state. */
const TOLD = 250;
/** Calls in one message: what is written down in well under a millisecond. */
const SLICE = 32;
const OCCASIONS = 64;
/** What is kept to be told to a control thread that does not keep up. */
const MOST_EVENTS = 4096;
/** Messages on their way to the control thread past which no more are sent. */
const MOST_BACKLOG = 64;

interface OutboxDeps {
  readonly inspector: Pick<Inspector, 'dump' | 'call'>;
  /** Who this firewall is among those that it shares its calls with; null where it shares none. */
  readonly member: string | null;
  /** Writes the records of the journal; its clock is that of everything here. */
  readonly scribe: Scribe;
  /** Hands a report over. */
  readonly post: (report: DataPathReport) => void;
  readonly counters: DataPathCounters;
  readonly known: KnownCalls;
  /** Bounds what has to be told in any case: calls that began and ended meanwhile, and closed pinholes. */
  readonly most: () => number;
  /** How many reports the control thread has not taken yet. */
  readonly backlog?: (() => number) | undefined;
}

/**
 * Past a backlog of 64 nothing is posted: calls are then told once as they are at the end, and what happened is counted
 * instead of kept.
 */
export function createOutbox(deps: OutboxDeps): Outbox {
  const { inspector, scribe, post, counters, known, most, backlog = () => 0 } = deps;
  const { now: clock } = scribe;
  const unwritten = createUnwritten(inspector, scribe, counters, most, deps.member);
  const closedPinholes = new Map<string, Pinhole>();
  let counts = new Map<string, Traffic>();
  let notes: Note[] = [];
  let occasions: Occasion[] = [];
  /** Notes, and happenings of all occasions. */
  let kept = 0;
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

  function note(happened: readonly Happening[], at: number, cause: Cause): void {
    const happenings = happened.filter(known.concerns);
    if (happenings.length === 0) return;
    let isUrgent = false;
    for (const one of happenings) {
      // A call is told of before all that concerns it.
      if (one.type === 'call') unwritten.call(one.leg, isNews(one, cause));
      isUrgent ||= one.type !== 'message' && !(one.type === 'call' && one.what === 'changed');
    }
    if (hasRoom(happenings.length)) {
      const deadline = cause !== 'packet';
      occasions.push({ packet: counters.received, at, deadline, happenings });
    }
    if (isUrgent) soon();
    else within(TOLD);
  }

  function hasRoom(more: number): boolean {
    const fits = kept + more <= MOST_EVENTS;
    if (fits) kept += more;
    else counters.eventsLost += more;
    return fits;
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
    const told = occasions.slice(0, OCCASIONS);
    const batch = {
      type: 'batch',
      records: unwritten.take(SLICE),
      closed: [...closedPinholes.values()],
      counts,
      occasions: told,
      notes,
    } as const;
    kept -= notes.length + told.reduce((sum, { happenings }) => sum + happenings.length, 0);
    occasions = occasions.slice(OCCASIONS);
    closedPinholes.clear();
    counts = new Map();
    notes = [];
    quietAt = Number.POSITIVE_INFINITY;
    dueAt = unwritten.size + occasions.length === 0 ? Number.POSITIVE_INFINITY : clock();
    post(batch);
  }

  return {
    note,
    versions: unwritten,
    sharedDirections(directions) {
      for (const { direction, closed } of directions) unwritten.sharedDirection(direction, closed);
      within(TOLD);
    },
    tell(keys) {
      unwritten.tell(keys);
      soon();
    },
    follow(changes) {
      if (changes.length === 0) return;
      for (const change of changes) unwritten.direction(change);
      soon();
    },
    closed(pinholes) {
      for (const pinhole of pinholes) close(pinhole);
      soon();
    },
    counted(last) {
      for (const [id, count] of last) if (counts.size < most()) counts.set(id, count);
    },
    say(level, text) {
      if (hasRoom(1)) notes.push({ type: 'note', level, text });
      soon();
    },
    due: () => Math.min(dueAt, quietAt),
    flush,
    catchUp() {
      if (quietAt !== Number.POSITIVE_INFINITY && backlog() <= MOST_BACKLOG) send();
    },
    sendCalls(legIds) {
      const records = unwritten.takeThese(legIds);
      if (records.length === 0) return;
      post({ type: 'batch', records, closed: [], counts: new Map(), occasions: [], notes: [] });
    },
    empty() {
      while (dueAt !== Number.POSITIVE_INFINITY) send();
    },
  };
}

function isNews({ what }: CallHappening, cause: Cause): boolean {
  return cause === 'packet' || cause === 'order' || (cause === 'deadline' && what === 'ended');
}
