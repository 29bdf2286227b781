import type { Buffer } from 'node:buffer';
import type { Ingress } from '../../address/ingress.ts';
import type { Call } from '../../call/call.ts';
import type { Happening } from '../../inspector/happening.ts';
import type { CallRecord, Inspection } from '../../inspector.ts';
import { inParts } from '../../lists.ts';
import type { InterfaceAddresses } from '../../policy/external.ts';
import type { DataPathCounters } from '../messages.ts';
import type { Recorder } from '../recording.ts';
import { createAnswers } from './answers.ts';
import { createArrivals } from './arrivals.ts';
import type { DataPathDeps } from './deps.ts';
import { createFilterKeeper } from './filter-keeper.ts';
import { createKnownCalls, type KnownCalls } from './known-calls.ts';
import { createOrders } from './orders.ts';
import { type Cause, createOutbox } from './outbox.ts';
import { createPassage } from './passage.ts';
import type { Records } from './records.ts';
import { createSharedCalls } from './shared-calls.ts';
import { createWaitingRoom } from './waiting-room.ts';

interface DataPath {
  /**
   * Takes up the calls of a journal and makes the packet filter hold exactly their pinholes. Throws FirewallError
   * when it cannot. `ingress`: through which interfaces inside hosts' packets come in, where that is known; `addresses`:
   * those of interfaces that stand for inside hosts.
   */
  start(journal: Partial<Records>, ingress?: Ingress | null, addresses?: InterfaceAddresses): void;
  /**
   * One turn: waits for packets, for at most a tenth of a second; passes those at hand; does what is due. False
   * once it was told to stop. Throws InterceptError when there is no more to be had from the interceptor.
   */
  turn(): boolean;
  /** Tells what is not told yet: before an end that nobody asked for. */
  flush(): void;
  readonly counters: Readonly<DataPathCounters>;
}

/** ms between two heartbeats, and the longest wait for packets. */
export const BEAT = 100;
/** How long after a question, and for how long, packets are waited for at a time: another question may follow. */
const QUESTIONS_FOLLOW = 50;
const WAIT_AMONG_QUESTIONS = 2;
/** ms without a packet after which there is time for a collection. */
const REST = 1;
/** Calls for which what is due is done before packets have their turn: some tens of microseconds each. */
const CALLS_AT_A_TIME = 16;
/** Calls whose pinholes close in one commit at a stop, when no packet waits. */
const ENDED_AT_A_TIME = 64;

/**
 * The data path: receive, inspect, commit, release. Whatever goes wrong with one packet, it is released (or
 * dropped where the settings say so) and the loop goes on.
 */
export function createDataPath(deps: DataPathDeps): DataPath {
  const { ends, inspector, settings, clock, pause, nextOrder, post, collection = null } = deps;
  const { interceptor, firewall } = ends;
  const counters = newCounters(deps.inheritance?.deaths ?? 0);
  let inherited = deps.inheritance?.unread ?? [];
  const beat = paced(deps.beat);
  const known = createKnownCalls(() => settings().caps.calls + settings().caps.history);
  const scribe = { ...deps.identity, now: clock, wall: deps.wall ?? Date.now };
  const outbox = createOutbox({
    ...{ inspector, post, counters, known, scribe, backlog: deps.backlog, member: deps.member ?? null },
    most: () => settings().caps.backlog,
  });
  let stopped = false;
  let mayHaveOrders = false;
  const filter = createFilterKeeper({
    ...{ ends, inspector, outbox, counters, settings, clock, pause, beat, unexpected },
  });
  const waitingRoom = createWaitingRoom({
    ...{ interceptor, counters, post },
    timeout: () => settings().peersStore.confirmTimeout,
    send: outbox.sendCalls,
  });
  const passage = createPassage({
    ...{ deps, filter, outbox, waitingRoom, counters, beat, unexpected, afterwards },
  });
  const asked = (inspection: Inspection) => done(inspection, 'order');
  const arrivals = createArrivals({
    ...{ interceptor, inspector, settings, clock, done: asked, unexpected, copies: deps.copies },
  });
  const answer = createAnswers({
    ...{ ends, arrivals, mirror: deps.mirror, inspector, filter, passage },
    ...{ counters, settings, clock, entryOf: outbox.versions.entryOf, end },
  });
  const takeShared = createSharedCalls({ inspector, outbox, scribe, post, done });
  const says = { answer, takeShared, outbox, done, stop, unexpected };
  const orders = createOrders({ ...says, ...{ deps, inspector, filter, passage, waitingRoom } });

  function turn(): boolean {
    const packets = arrivals.receive(longestWait(clock()), inherited);
    inherited = [];
    passage.pass(packets);
    const now = clock();
    collection?.passed(packets.length, now);
    if (inspector.nextDeadline() <= now) tick(now);
    if (waitingRoom.isOpen) waitingRoom.expire(now);
    beat(now);
    filter.turn(now);
    beat(clock());
    deps.mirror?.flush();
    outbox.flush(now, packets.length === 0);
    if (packets.length === 0 && nobodyWaits()) collection?.rest(now);
    beat(clock());
    const order = nextOrder();
    mayHaveOrders = order !== null;
    if (order !== null) orders.obey(order);
    return !stopped;
  }

  /** Neither for a copy nor for another firewall. */
  function nobodyWaits(): boolean {
    return !waitingRoom.isOpen && arrivals.due() === Number.POSITIVE_INFINITY;
  }

  /** ms until something is due, at most a heartbeat; whole, rounded up so that poll(2) does not spin. */
  function longestWait(now: number): number {
    const due = Math.min(inspector.nextDeadline(), filter.due(), outbox.due(), arrivals.due());
    if (mayHaveOrders) return 0;
    const isAsked = now < orders.askedAt() + QUESTIONS_FOLLOW || waitingRoom.isOpen;
    const most = collection?.isDue === true ? REST : isAsked ? WAIT_AMONG_QUESTIONS : BEAT;
    return Math.ceil(Math.min(most, Math.max(0, due - now)));
  }

  /** What comes after the release, so that no packet waits for it. */
  function afterwards({ change, events, messages }: Inspection, at: number, cause: Cause): void {
    try {
      if (change !== null && change.close.length > 0) outbox.closed(change.close);
      outbox.follow(inspector.directionChanges());
      if (events.length === 0) return;
      outbox.note(events, at, cause);
      filter.note(events);
      if (deps.recorder != null) record(deps.recorder, events, messages, known);
    } catch (error) {
      unexpected('a report', error);
    }
  }

  function tick(now: number): void {
    try {
      const inspection = inspector.tick(now, CALLS_AT_A_TIME);
      if (inspection.change !== null) filter.commit(inspection.change);
      afterwards(inspection, now, 'deadline');
      beat(clock());
    } catch (error) {
      unexpected('a deadline', error);
      filter.doubt(now);
    }
  }

  function unexpected(where: string, error: unknown): void {
    counters.exceptions++;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    outbox.say('error', `unexpected error in ${where}, the packet goes on: ${text}`);
  }

  /** Whether the call of a journal could be taken up. */
  function takeUp(record: CallRecord): boolean {
    try {
      const { change, events } = inspector.adopt([record], clock());
      if (change !== null) outbox.closed(change.close);
      outbox.note(events, clock(), 'deadline');
      filter.note(events);
      return true;
    } catch (error) {
      unexpected('a call of the journal', error);
      return false;
    } finally {
      beat(clock());
    }
  }

  function start(
    { calls: records = [], directions = [], stamps = new Map(), refused = null }: Partial<Records>,
    found: Ingress | null = null,
    addresses: InterfaceAddresses = {},
  ): void {
    passage.passCulprit();
    passage.learn(found);
    if (refused !== null) outbox.say('warn', `journal: ${refused}`);
    outbox.versions.remember(stamps);
    inspector.remember(directions, clock());
    filter.takeLeftovers(records);
    const calls = records.filter(takeUp).length;
    const { change, events } = inspector.renumber(addresses, clock());
    if (change !== null) outbox.closed(change.close);
    outbox.note(events, clock(), 'deadline');
    const { removed } = filter.compare();
    filter.exposure.start(filter.all(), clock());
    for (const { callId } of inspector.calls()) known.know(callId);
    const { pinholes } = inspector.sizes();
    post({ type: 'running', calls, pinholes, removed });
  }

  function stop(keep: boolean): void {
    stopped = true;
    passage.pass(arrivals.empty());
    passage.drain();
    waitingRoom.empty();
    if (!keep) {
      for (const calls of inParts([...inspector.calls()], ENDED_AT_A_TIME))
        done(inspector.endAll(calls, clock()), 'order');
      filter.clear();
    }
    outbox.empty();
    arrivals.close();
    interceptor.close();
    firewall.close();
    post({ type: 'stopped' });
  }

  function end(call: Call): void {
    done(inspector.end(call, clock()), 'order');
  }

  /** What no packet asked for. */
  function done(inspection: Inspection, cause: Cause): void {
    if (inspection.change !== null) filter.commit(inspection.change);
    afterwards(inspection, clock(), cause);
  }

  return { start, turn, flush: outbox.empty, counters };
}

/** Messages of calls alone: what else is said between hosts is nobody's to keep. `messages`: those of the events, in order. */
function record(
  recorder: Recorder,
  events: readonly Happening[],
  messages: readonly Buffer[],
  known: KnownCalls,
): void {
  let at = 0;
  for (const event of events) {
    if (event.type !== 'message') continue;
    const bytes = messages[at++];
    if (bytes !== undefined && known.concerns(event)) recorder.take(event, bytes);
  }
}

/** `beat`, but only once in `BEAT` ms of the times it is called with. */
function paced(beat: () => void): (now: number) => void {
  let due = Number.NEGATIVE_INFINITY;
  return (now) => {
    if (now < due) return;
    due = now + BEAT;
    beat();
  };
}

function newCounters(deaths: number): DataPathCounters {
  const packets = { received: 0, released: 0, dropped: 0, unread: 0 };
  const commits = { commits: 0, retries: 0, commitErrors: 0, repairs: 0 };
  return {
    ...packets,
    ...commits,
    exceptions: 0,
    eventsLost: 0,
    statesLeft: 0,
    deaths,
    waited: 0,
    overdue: 0,
  };
}
