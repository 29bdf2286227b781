import type { Buffer } from 'node:buffer';
import type { Ingress } from '../../address/ingress.ts';
import type { Call } from '../../call/call.ts';
import { type NextTimer, nextTimer } from '../../call/next-timer.ts';
import type { Settings } from '../../config/schema.ts';
import { FirewallError } from '../../firewall/firewall.ts';
import type { CallRecord, Inspection, Inspector, InspectorEvent } from '../../inspector.ts';
import type { HeldPacket } from '../../intercept/interceptor.ts';
import { fingerprintOf } from '../../packet/fingerprint.ts';
import { readPacket } from '../../packet/ip.ts';
import type { Change } from '../../pinhole/change.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { Held } from '../../pinhole/table.ts';
import {
  type Answers,
  type CallSummary,
  type DataPathCounters,
  type DataPathStatus,
  legOf,
  MOST_PER_SLICE,
  type Order,
  type Question,
  type Report,
} from '../messages.ts';
import type { DataPathEnds } from '../platform/platform.ts';
import type { AtHand, Inheritance } from './at-hand.ts';
import { createExposureMeter } from './exposure.ts';
import { createFidelityCheck } from './fidelity.ts';
import { createHistogram } from './histogram.ts';
import { createLeftovers } from './leftovers.ts';
import { createOutbox } from './outbox.ts';
import { differences } from './reconcile.ts';
import { createSlices } from './slices.ts';
import { createTeller } from './teller.ts';

/** What the loop is given. Everything is synchronous: nothing is awaited between a packet's receipt and release. */
export interface DataPathDeps {
  readonly ends: DataPathEnds;
  readonly inspector: Inspector;
  readonly settings: () => Settings;
  readonly changeSettings: (settings: Settings) => void;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  /** Sleeps, blocking the thread. */
  readonly pause: (ms: number) => void;
  /** Tells the supervisor that the loop is alive. */
  readonly beat: () => void;
  /** The next order of the control thread; null when there is none. */
  readonly nextOrder: () => Order | null;
  readonly post: (report: Report) => void;
  /** Reports that the control thread has not taken yet. */
  readonly backlog?: () => number;
  /** Where the packets at hand are noted down, under a supervisor, and what the data path before this one left. */
  readonly atHand?: AtHand;
  readonly inheritance?: Inheritance;
}

export interface DataPath {
  /**
   * Takes up the calls of a journal and makes the packet filter hold exactly their pinholes. Throws FirewallError
   * when it cannot. `ingress`: through which interfaces inside hosts' packets come in, where that is known.
   */
  start(records: readonly CallRecord[], ingress?: Ingress | null): void;
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
const INTACT_CHECK = 500;
const LEFTOVERS_CHECK = 1000;
/** ms between two requests to look at interfaces and routes. */
const INTERFACES_AGAIN = 1000;
const REPAIR_FIRST = 100;
const REPAIR_LAST = 5000;
/** Packets and ms that a stop waits for what is in the queue already. */
const DRAIN_TURNS = 64;
/** How long after a question, and for how long, packets are waited for at a time: another question may follow. */
const QUESTIONS_FOLLOW = 50;
const WAIT_AMONG_QUESTIONS = 2;
const NO_PINHOLES: readonly Pinhole[] = [];
const NO_FINGERPRINTS: ReadonlySet<string> = new Set();

/**
 * The data path: receive, inspect, commit, release. Whatever goes wrong with one packet, it is released (or
 * dropped where the settings say so) and the loop goes on.
 */
export function createDataPath(deps: DataPathDeps): DataPath {
  const { ends, inspector, settings, clock, pause, nextOrder, post } = deps;
  const { interceptor, firewall } = ends;
  const counters: DataPathCounters = {
    received: 0,
    released: 0,
    dropped: 0,
    commits: 0,
    retries: 0,
    commitErrors: 0,
    repairs: 0,
    exceptions: 0,
    eventsLost: 0,
    deaths: deps.inheritance?.deaths ?? 0,
    unread: 0,
  };
  const { atHand } = deps;
  /** Fingerprints of packets that a data path died of. */
  const remembered = deps.inheritance?.remembered ?? NO_FINGERPRINTS;
  let inherited = deps.inheritance?.unread ?? [];
  const outbox = createOutbox(inspector, clock, post, counters, deps.backlog);
  /** Pinholes that the packet filter refused to open. */
  const missing = new Map<string, Pinhole>();
  const leftovers = createLeftovers();
  let leftoversAt = Number.POSITIVE_INFINITY;
  /** When the filter is to be compared with the intended set; Infinity while there is no reason to doubt it. */
  let repairAt = Number.POSITIVE_INFINITY;
  let repairDelay = REPAIR_FIRST;
  let checkAt = ends.intact === undefined ? Number.POSITIVE_INFINITY : clock() + INTACT_CHECK;
  let beatAt = Number.NEGATIVE_INFINITY;
  let stopped = false;
  let askedAt = Number.NEGATIVE_INFINITY;
  let mayHaveOrders = false;
  let ingress: Ingress | null = null;
  let spoofedBefore = 0;
  let interfacesAt = Number.NEGATIVE_INFINITY;
  const inspectionTimes = createHistogram();
  const commitTimes = createHistogram();
  const fidelity = createFidelityCheck();
  const exposure = createExposureMeter();
  const callSlices = createSlices(() => inspector.calls());
  const pinholeSlices = createSlices(allPinholes);
  const teller = createTeller(inspector, () => settings().caps.calls + settings().caps.history);

  function beat(now: number): void {
    if (now < beatAt) return;
    beatAt = now + BEAT;
    deps.beat();
  }

  function turn(): boolean {
    const packets = inherited.length > 0 ? inherited : interceptor.receive(longestWait(clock()));
    inherited = [];
    pass(packets);
    const now = clock();
    if (inspector.nextDeadline() <= now) tick(now);
    beat(now);
    if (now >= checkAt) check(now);
    if (now >= repairAt) repair(now);
    if (now >= leftoversAt) closeLeftovers(now);
    outbox.flush(now, packets.length === 0);
    const order = nextOrder();
    mayHaveOrders = order !== null;
    if (order !== null) obey(order);
    return !stopped;
  }

  /** ms until something is due, at most a heartbeat; whole, rounded up so that poll(2) does not spin. */
  function longestWait(now: number): number {
    const due = Math.min(inspector.nextDeadline(), repairAt, checkAt, outbox.due());
    if (mayHaveOrders) return 0;
    const most = now < askedAt + QUESTIONS_FOLLOW ? WAIT_AMONG_QUESTIONS : BEAT;
    return Math.ceil(Math.min(most, Math.max(0, due - now)));
  }

  function pass(packets: readonly HeldPacket[]): void {
    if (packets.length > 0) atHand?.take(packets);
    for (let at = 0; at < packets.length; at++) {
      try {
        if (at > 0) atHand?.begin(at);
        passOne(packets[at]!);
      } catch (error) {
        for (const packet of packets.slice(at + 1)) releaseAnyway(packet);
        atHand?.done();
        throw error;
      }
    }
    if (packets.length > 0) atHand?.done();
  }

  function passOne(packet: HeldPacket): void {
    counters.received++;
    if (remembered.size > 0 && remembered.has(fingerprintOf(packet.bytes))) {
      passUnread(packet);
      return;
    }
    fidelity.before(packet.bytes);
    const receivedAt = clock();
    const inspection = inspect(packet, receivedAt);
    const inspectedAt = clock();
    inspectionTimes.record(inspectedAt - receivedAt);
    fidelity.after(packet.bytes);
    const open = inspection === null || confirm(inspection);
    const verdict = open ? (inspection?.verdict ?? 'release') : verdictOnError();
    if (verdict === 'drop') {
      interceptor.drop(packet);
      counters.dropped++;
    } else {
      interceptor.release(packet);
      counters.released++;
    }
    atHand?.released();
    if (inspection !== null) afterwards(inspection, receivedAt, false);
    beat(inspectedAt);
  }

  function passUnread(packet: HeldPacket): void {
    interceptor.release(packet);
    counters.released++;
    counters.unread++;
    outbox.say('warn', `a packet passes unread, a data path died of its like: ${packetText(packet.bytes)}`);
  }

  /** What the data path before this one died of goes on, and is read by nobody. */
  function passCulprit(): void {
    const culprit = deps.inheritance?.culprit ?? null;
    if (culprit === null) return;
    if (!culprit.released) releaseAnyway(culprit.packet);
    const text = packetText(culprit.packet.bytes);
    outbox.say('error', `the data path before this one died of a packet, which passes unread: ${text}`);
  }

  function inspect(packet: HeldPacket, now: number): Inspection | null {
    try {
      const inspection = inspector.inspect(packet.bytes, now, packet.entered);
      if (packet.entered != null) lookAtInterfaces(packet.entered, now);
      return inspection;
    } catch (error) {
      unexpected('the inspector', error);
      doubt(now);
      return null;
    }
  }

  /** Has the interfaces looked at again when one is not known, or when a packet came in where it should not have. */
  function lookAtInterfaces(entered: NonNullable<HeldPacket['entered']>, now: number): void {
    const { spoofed } = inspector.stats;
    if (ingress === null || (spoofed === spoofedBefore && ingress.meant.has(entered))) return;
    if (now < interfacesAt) return;
    interfacesAt = now + INTERFACES_AGAIN;
    spoofedBefore = spoofed;
    post({ type: 'look-at-interfaces' });
  }

  function verdictOnError(): 'release' | 'drop' {
    return settings().onFirewallError === 'drop' ? 'drop' : 'release';
  }

  /** The interceptor is failing; the kernel may still take this one. */
  function releaseAnyway(packet: HeldPacket): void {
    try {
      interceptor.release(packet);
    } catch {}
  }

  /** Whether the packet filter has everything that this packet's calls need. */
  function confirm({ change, events }: Inspection): boolean {
    if (change !== null && !commit(change)) return false;
    return missing.size === 0 || retryMissing(events);
  }

  /** What comes after the release, so that no packet waits for it. */
  function afterwards({ change, events }: Inspection, at: number, deadline: boolean): void {
    try {
      if (change !== null && change.close.length > 0) outbox.closed(change.close);
      if (events.length === 0) return;
      outbox.note(events);
      if (leftovers.size > 0) leftovers.note(events);
      const told = teller.tell(events, counters.received, at, deadline);
      if (told !== null) outbox.tell(told);
    } catch (error) {
      unexpected('a report', error);
    }
  }

  function tick(now: number): void {
    try {
      const inspection = inspector.tick(now);
      if (inspection.change !== null) commit(inspection.change);
      afterwards(inspection, now, true);
      beat(clock());
    } catch (error) {
      unexpected('a deadline', error);
      doubt(now);
    }
  }

  /**
   * What was decided before the error was not committed. The comparison reads the whole filter, so that an error
   * that comes with every packet must not bring it on each time.
   */
  function doubt(now: number): void {
    if (repairAt === Number.POSITIVE_INFINITY) repairAt = now + REPAIR_LAST;
  }

  function unexpected(where: string, error: unknown): void {
    counters.exceptions++;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    outbox.say('error', `unexpected error in ${where}, the packet goes on: ${text}`);
  }

  /** Commits, asking a busy filter again. On failure the change is done later, as far as it is still wanted. */
  function commit(change: Change): boolean {
    if (leftovers.size > 0 && change.open.length > 0) {
      const close = leftovers.handOver(change);
      if (close.length > 0) tryCommit({ open: NO_PINHOLES, close });
    }
    const effective = missing.size === 0 ? change : withoutMissing(change);
    if (effective === null) return true;
    const error = tryCommit(effective);
    if (error === null) return true;
    counters.commitErrors++;
    const refusals = inspector.stats.refusals;
    refusals.set('firewall-error', (refusals.get('firewall-error') ?? 0) + 1);
    if (repairAt === Number.POSITIVE_INFINITY) {
      outbox.say('error', `the packet filter refused a change, it will be asked again: ${error.message}`);
      repairAt = clock() + repairDelay;
    }
    for (const pinhole of effective.open) missing.set(pinhole.id, pinhole);
    return false;
  }

  /** Null when the filter confirmed. A filter that has failed before is not waited for. */
  function tryCommit(change: Change): Error | null {
    const patience = repairAt === Number.POSITIVE_INFINITY ? settings().timers.firewallRetry : 0;
    const startedAt = clock();
    const giveUpAt = startedAt + patience;
    for (;;) {
      try {
        outbox.counted(firewall.commit(change));
        counters.commits++;
        const confirmedAt = clock();
        commitTimes.record(confirmedAt - startedAt);
        exposure.change(change, confirmedAt);
        return null;
      } catch (error) {
        if (!(error instanceof FirewallError)) {
          counters.exceptions++;
          return error instanceof Error ? error : new Error(String(error));
        }
        if (!error.transient || clock() >= giveUpAt) return error;
        counters.retries++;
        beat(clock());
        pause(1);
      }
    }
  }

  /** A change without the closing of what was never opened; null when nothing is left of it. */
  function withoutMissing({ open, close }: Change): Change | null {
    const there = close.filter(({ id }) => !missing.delete(id));
    return open.length + there.length === 0 ? null : { open, close: there };
  }

  /** The missing pinholes of the calls that this packet belongs to are asked for once more. */
  function retryMissing(events: readonly InspectorEvent[]): boolean {
    const open: Pinhole[] = [];
    for (const event of events) {
      if (event.type !== 'message') continue;
      for (const call of event.calls) open.push(...missingOf(call));
    }
    if (open.length === 0) return true;
    if (tryCommit({ open, close: NO_PINHOLES }) !== null) return false;
    for (const { id } of open) missing.delete(id);
    return true;
  }

  function missingOf(call: Call): Pinhole[] {
    return inspector.held(call).flatMap(({ pinhole }) => missing.get(pinhole.id) ?? []);
  }

  /** Whether somebody else has changed our rules. */
  function check(now: number): void {
    checkAt = now + INTACT_CHECK;
    for (const text of ends.news?.() ?? []) outbox.say('warn', text);
    let intact = true;
    try {
      intact = ends.intact!();
    } catch (error) {
      outbox.say('error', `the packet filter cannot be asked: ${messageOf(error)}`);
    }
    if (intact || repairAt !== Number.POSITIVE_INFINITY) return;
    outbox.say('warn', 'rules of open pinholes are gone from the packet filter, or others came: rebuilding');
    repairAt = now;
  }

  function repair(now: number): void {
    try {
      const { opened, removed } = compare();
      outbox.say('warn', `the packet filter is as it should be again: ${opened} added, ${removed} removed`);
      missing.clear();
      repairAt = Number.POSITIVE_INFINITY;
      repairDelay = REPAIR_FIRST;
      counters.repairs++;
    } catch (error) {
      repairDelay = Math.min(repairDelay * 2, REPAIR_LAST);
      repairAt = now + repairDelay;
      if (!(error instanceof FirewallError)) unexpected('a repair', error);
    }
  }

  /** Makes the filter hold what the inspector says. */
  function compare(): { opened: number; removed: number } {
    let opened = 0;
    let removed = 0;
    for (const change of differences(firewall.list(), allPinholes())) {
      const error = tryCommit(change);
      if (error !== null) throw error;
      for (const { id } of change.open) missing.delete(id);
      opened += change.open.length;
      removed += change.close.length;
      if (change.close.length > 0) outbox.closed(change.close);
      beat(clock());
    }
    return { opened, removed };
  }

  /** Everything that the filter is to hold. */
  function* allPinholes(): Iterable<Pinhole> {
    yield* inspector.pinholes();
    yield* leftovers.pinholes();
  }

  /** Before what is due in the calls is done: what that closes is not left over. */
  function takeLeftovers(records: readonly CallRecord[]): void {
    const now = clock();
    leftovers.take(firewall.list(), records, now);
    if (leftovers.size === 0) return;
    leftoversAt = now + LEFTOVERS_CHECK;
    outbox.say(
      'warn',
      `${leftovers.size} pinholes of live calls that the journal does not know stay as long as media uses them`,
    );
  }

  function closeLeftovers(now: number): void {
    const { mediaIdle, maxCall } = settings().timers;
    const close = leftovers.expire(now, mediaIdle, maxCall);
    leftoversAt = leftovers.size > 0 ? now + LEFTOVERS_CHECK : Number.POSITIVE_INFINITY;
    if (close.length === 0) return;
    if (commit({ open: NO_PINHOLES, close })) outbox.closed(close);
  }

  function start(records: readonly CallRecord[], found: Ingress | null = null): void {
    passCulprit();
    learn(found);
    takeLeftovers(records);
    let calls = 0;
    for (const record of records) {
      try {
        const inspection = inspector.adopt([record], clock());
        if (inspection.change !== null) outbox.closed(inspection.change.close);
        outbox.note(inspection.events);
        leftovers.note(inspection.events);
        calls++;
      } catch (error) {
        unexpected('a call of the journal', error);
      }
      beat(clock());
    }
    const { removed } = compare();
    exposure.start(allPinholes(), clock());
    for (const { callId } of inspector.calls()) teller.know(callId);
    const { pinholes } = inspector.sizes();
    post({ type: 'running', calls, pinholes, removed });
  }

  function learn(found: Ingress | null): void {
    ingress = found;
    inspector.learn(found);
  }

  function obey(order: Order): void {
    try {
      if (order.type === 'traffic') {
        const now = clock();
        for (const id of order.ids) {
          inspector.traffic(id, now);
          if (leftovers.size > 0) leftovers.traffic(id, now);
        }
      } else if (order.type === 'settings') {
        deps.changeSettings(order.settings);
        inspector.reload();
      } else if (order.type === 'ingress') {
        learn(order.ingress);
      } else if (order.type === 'repair') {
        repairAt = Math.min(repairAt, clock());
      } else if (order.type === 'ask') {
        askedAt = clock();
        outbox.catchUp();
        post({ type: 'answer', id: order.id, answer: answer(order.question) });
      } else if (order.type === 'stop') {
        stop(order.keep);
      }
    } catch (error) {
      unexpected(`the order "${order.type}"`, error);
    }
  }

  function stop(keep: boolean): void {
    stopped = true;
    for (let turns = 0; turns < DRAIN_TURNS; turns++) {
      const packets = interceptor.receive(0);
      if (packets.length === 0) break;
      pass(packets);
    }
    outbox.empty();
    try {
      if (!keep) firewall.clear();
    } catch (error) {
      outbox.say('error', `rules may be left in the packet filter: ${messageOf(error)}`);
      outbox.empty();
    }
    interceptor.close();
    firewall.close();
    post({ type: 'stopped' });
  }

  function answer(question: Question): Answers[keyof Answers] {
    if (question.type === 'status') return status();
    if (question.type === 'end') return endCall(question.call);
    const limit = Math.min(question.limit, MOST_PER_SLICE);
    if (question.type === 'pinholes') return pinholeSlices.take(question.cursor, limit);
    const calls = callSlices.take(question.cursor, limit);
    return calls === null ? null : { items: calls.items.map(summary), cursor: calls.cursor };
  }

  function status(): DataPathStatus {
    const { calls, pinholes } = inspector.sizes();
    const { unreadable, methods, refusals, ...stats } = inspector.stats;
    return {
      counters: { ...counters },
      inspector: {
        ...stats,
        messages: { ...stats.messages },
        unreadable: Object.fromEntries(unreadable),
        methods: Object.fromEntries(methods),
        refusals: Object.fromEntries(refusals),
      },
      inspection: inspectionTimes.read(),
      commit: commitTimes.read(),
      fidelity: { ...fidelity.counts },
      exposure: exposure.read(clock()),
      calls,
      pinholes,
      missing: missing.size,
      platform: ends.counters?.() ?? {},
    };
  }

  function endCall(hash: string): boolean {
    const call = inspector.call(hash);
    if (call === null || call.state === 'ended') return false;
    const inspection = inspector.end(call, clock());
    if (inspection.change !== null) commit(inspection.change);
    afterwards(inspection, clock(), true);
    return true;
  }

  function summary(call: Call): CallSummary {
    const pinholes = inspector.held(call);
    const timer = firstOf(nextTimer(settings().timers, call), pinholes);
    return { leg: legOf(call), mediaAt: call.mediaAt, nextTimer: timer, pinholes };
  }

  return { start, turn, flush: outbox.empty, counters };
}

/** The timer of the call, or that of a pinhole which closes before. */
function firstOf(timer: NextTimer | null, pinholes: readonly Held[]): NextTimer | null {
  let first = timer;
  for (const { until, reason } of pinholes) {
    if (reason !== null && until < (first?.at ?? Number.POSITIVE_INFINITY))
      first = { name: reason, at: until };
  }
  return first;
}

/** Who sent which packet to whom, for a log. */
function packetText(bytes: Buffer): string {
  const view = readPacket(bytes);
  const name = `${bytes.length} bytes, fingerprint ${fingerprintOf(bytes)}`;
  if (typeof view === 'string') return `${name}, ${view}`;
  const { protocol, source, sourcePort, destination, destinationPort } = view;
  return `${protocol} ${source} port ${sourcePort} > ${destination} port ${destinationPort}, ${name}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
