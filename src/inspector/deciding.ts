import type { Call, EndReason } from '../call/call.ts';
import { describeReading } from '../call/description.ts';
import { CLOSE_REASONS } from '../call/expiry.ts';
import { type Arrival, type Bodies, leaving, type Outcome } from '../call/outcome.ts';
import { createTracker } from '../call/tracker.ts';
import type { Departure } from '../call/wanted.ts';
import { appended } from '../lists.ts';
import type { PacketView } from '../packet/ip.ts';
import { createAdmission } from '../policy/admission.ts';
import type { Policy } from '../policy/policy.ts';
import type { SipMessage, Transport } from '../sip/message.ts';
import { createAudioWatch, type MissingAudio } from './audio.ts';
import { bodiesOf } from './bodies.ts';
import { createDeadlines } from './deadlines.ts';
import type { MessageHappening, PacketEnds } from './happening.ts';
import { introduce, tell, tellCall, type Work } from './inspection.ts';
import { createMediaSeen, type MediaWay } from './media-seen.ts';
import { createOpener, type Opener } from './opening.ts';
import type { CallRecord } from './record.ts';
import type { Refusals } from './refusals.ts';
import { derived, type InspectorSettings, mediaSettings } from './settings.ts';
import { createSharing, type Sharing } from './sharing.ts';
import { createSilent } from './silent.ts';
import { createStandings, type Standings } from './standings.ts';
import type { StaticPeers } from './static-peers.ts';
import type { DecidingStats } from './stats.ts';

/** Makes changes of messages and of time that passes. What happens, and what is to change, goes into the work at hand. */
interface Decider {
  message(work: Work, message: SipMessage, transport: Transport, packet: PacketView): void;
  /** Does what is due at `work.now`, for at most `most` calls; tells of audio in as many. */
  tick(work: Work, most: number): void;
  /** Ends a call on the administrator's word. */
  end(work: Work, call: Call): void;
  /** Takes up calls from a journal, with those of their pinholes that the settings let be. */
  adopt(work: Work, records: readonly CallRecord[]): void;
  readonly sharing: Sharing;
  readonly standings: Pick<Standings, 'segment' | 'message' | 'use'>;
  /** The external addresses have changed: what was opened for one that is gone closes, what was refused opens. */
  renumber(work: Work): void;
  /** Who is inside, or of which peer, has changed. */
  recount(): void;
  /** The last of each work: calls that waited for what it has set free are decided once more. */
  conclude(work: Work): void;
  /** When `tick` is due next, in ms; Infinity never. */
  nextDeadline(): number;
  /** Media was seen at `now` in the pinhole with this id. */
  traffic(pinholeId: string, now: number, way: MediaWay): void;
  /** All that was counted by `work.now` is told: what is missing is missing, and told of in at most `most` calls. */
  counted(work: Work, most: number): void;
  /** Audio that a call misses now. */
  missingAudio(call: Call): MissingAudio | null;
  /** Calls that miss audio now. */
  readonly missingIn: number;
  calls(): Iterable<Call>;
  /** The call whose leg has this id. */
  call(legId: string): Call | null;
  readonly open: Pick<Opener, 'held' | 'pinholes' | 'size'>;
  /** How many calls have not ended. */
  readonly underWay: number;
}

/**
 * Is shown each message right before it is told of, for who analyses captures: the message as it was read, whose parts
 * last until the next packet, and its description, or what is wrong with it.
 */
export type MessageTap = (message: SipMessage, session: ReadSession) => void;

type ReadSession = ReturnType<Bodies['session']>;

const NO_LEGS: readonly string[] = [];
const NEVER = Number.POSITIVE_INFINITY;
/** ms within which firewalls that share their calls tell of media: every ten seconds, of what was counted every two. */
const TOLD_WITHIN = 15_000;
/** Nothing of a call leaves that is wanted as before; what is not closes at once. */
const AT_ONCE = { movedLinger: 0, goneLinger: 0, muxLinger: 0 } as const;
const STAYING: Departure = { reason: 'answered', ...AT_ONCE };
const RENUMBERED: Departure = { reason: 'external-changed', ...AT_ONCE };

export function createDecider(
  settings: () => InspectorSettings,
  policy: () => Policy,
  staticPeers: StaticPeers,
  refusals: Refusals,
  stats: DecidingStats,
  onMessage: MessageTap | null,
  firstCount: number,
): Decider {
  const admission = admissionOf(settings, policy);
  const tracker = createTracker(
    () => settings().timers,
    () => settings().caps,
    admission,
    firstCount,
  );
  const opener = createOpener(settings, policy, staticPeers, refusals);
  const deadlines = createDeadlines<Call>();
  const audio = audioWatchOf(settings, opener, refusals, stats);
  const byLegId = new Map<string, Call>();
  const silent = createSilent();
  const sdpCaps = derived(settings, ({ caps: { streams, candidates } }) => ({ streams, candidates }));

  const standings = createStandings({
    ...{ peers: staticPeers, tracker, refusals },
    mostPorts: () => settings().caps.staticPorts,
    idle: () => settings().timers.staticIdle,
    begin(work, call) {
      begin(work, call);
      decideAgain(work, call, STAYING);
    },
    end: (work, call, reason) => apply(work, tracker.end(call, reason, work.now), work.now),
    update: decideAgain,
  });

  function message(work: Work, read: SipMessage, transport: Transport, packet: PacketView): void {
    const bodies = bodiesOf(read, sdpCaps());
    const outcomes = tracker.handle(read, arrivalOf(packet, work.now), bodies);
    let legIds: string[] | null = null;
    for (const { call, bystander } of outcomes) {
      if (call === null || bystander) continue;
      legIds = appended(legIds, call.legId);
      if (read.method === 'INVITE' && !byLegId.has(call.legId)) begin(work, call);
      else introduce(work, call);
    }
    const isTold = read.sdp.kind !== 'none' && (legIds !== null || tracker.knows(read.callId));
    const description = isTold ? describeReading(bodies.session()) : null;
    tell(work, happeningOf(read, transport, packet, description, legIds ?? NO_LEGS, work.now));
    onMessage?.(read, bodies.session());
    for (const outcome of outcomes) apply(work, outcome, work.now);
    forgetSurplus(work);
  }

  function begin(work: Work, call: Call): void {
    byLegId.set(call.legId, call);
    stats.callsStarted++;
    tellCall(work, 'started', call);
  }

  function apply(work: Work, { call, departure, refusals: refused }: Outcome, at: number): void {
    for (const refusal of refused) refusals.tell(work, call, refusal, at);
    if (call === null) return;
    if (departure === null) {
      // When something is due for its pinholes is known already: they are as they were.
      schedule(call, NEVER);
      return;
    }
    opener.update(work, call, departure, at);
    if (call.state === 'ended') {
      refusals.forget(call);
      tellCall(work, 'ended', call, at);
    }
    audio.update(call, at);
    schedule(call);
  }

  function schedule(call: Call, pinholesDue = opener.deadline(call)): void {
    if (call.state === 'ended') {
      standings.over(call);
      silent.forget(call);
      opener.leaveQueue(call);
    }
    deadlines.arm(call, Math.min(tracker.deadline(call), pinholesDue));
  }

  function forgetSurplus(work: Work): void {
    for (let call = tracker.surplus(); call !== null; call = tracker.surplus())
      forget(work, call, 'over-limit');
  }

  /** A call that is not known any more leaves nothing behind: nobody would ask for its pinholes again. */
  function forget(work: Work, call: Call, reason: EndReason): void {
    opener.close(work, call, leaving(CLOSE_REASONS[reason]));
    byLegId.delete(call.legId);
    deadlines.disarm(call);
  }

  function tick(work: Work, most: number): void {
    if (standings.isDoubted) standings.review(work);
    for (let left = most; left > 0; left--) {
      const due = deadlines.pop(work.now);
      if (due === null) break;
      expire(work, due.key, due.at);
    }
    forgetSurplus(work);
    audio.judge(work, most);
  }

  function expire(work: Work, call: Call, at: number): void {
    if (silent.isBack(call)) work.again = appended(work.again, call);
    opener.expire(work, call, at);
    if (at >= tracker.deadline(call)) {
      const { idle } = call;
      const outcome = tracker.expire(call, at);
      if (call.idle && !idle) silent.note(call, opener.held(call.legId));
      if (outcome === null) {
        forget(work, call, call.endReason!);
        return;
      }
      apply(work, outcome, at);
      if (outcome.departure !== null && call.state !== 'ended') tellCall(work, 'changed', call, at);
    }
    schedule(call);
  }

  function decideAgain(work: Work, call: Call, departure: Departure): void {
    opener.update(work, call, departure, work.now);
    audio.update(call, work.now);
    schedule(call);
  }

  function renumber(work: Work): void {
    const { isPresent } = policy();
    for (const call of tracker.calls()) {
      if (call.state === 'ended') continue;
      const isLost = opener.held(call.legId).some(({ pinhole }) => !isPresent(pinhole));
      if (isLost || call.standing !== null || refusals.had(call, 'foreign-address'))
        decideAgain(work, call, RENUMBERED);
    }
  }

  /** What those set free in turn is next. */
  function conclude(work: Work): void {
    for (let call = work.again?.shift(); call !== undefined; call = work.again?.shift())
      if (call.state !== 'ended') decideAgain(work, call, STAYING);
  }

  function adopt(work: Work, records: readonly CallRecord[]): void {
    for (const { call, held } of records) {
      if (!tracker.adopt(call, work.now)) continue;
      byLegId.set(call.legId, call);
      opener.adopt(work, call, held);
      standings.take(call);
      audio.update(call, work.now);
      schedule(call);
    }
  }

  return {
    message,
    tick,
    end: (work, call) => apply(work, tracker.end(call, 'administrator', work.now), work.now),
    adopt,
    sharing: createSharing({ tracker, opener, refusals, audio, standings, byLegId, schedule }),
    standings,
    renumber,
    recount() {
      tracker.recount();
      standings.doubt();
    },
    conclude,
    nextDeadline: () =>
      standings.isDoubted ? Number.NEGATIVE_INFINITY : Math.min(deadlines.next(), audio.nextDue()),
    traffic: createMediaSeen({ opener, audio, tracker, byLegId, deadlines, silent }),
    counted: audio.counted,
    missingAudio: audio.of,
    get missingIn() {
      return audio.missing;
    },
    calls: tracker.calls,
    call: (legId) => byLegId.get(legId) ?? null,
    open: opener,
    get underWay() {
      return tracker.underWay();
    },
  };
}

function admissionOf(settings: () => InspectorSettings, policy: () => Policy) {
  return createAdmission(
    () => settings().caps,
    policy,
    (peer) => mediaSettings(settings(), policy().peerOf(peer)).earlyMediaSource === 'any',
  );
}

function audioWatchOf(
  settings: () => InspectorSettings,
  { held }: Opener,
  { reasonsOf }: Refusals,
  stats: DecidingStats,
) {
  return createAudioWatch({
    after: () => missedAfter(settings()),
    held,
    refused: reasonsOf,
    onMissing: () => {
      stats.callsWithoutAudio++;
    },
  });
}

/** ms without audio after which it is missed; 0: never. What only another firewall sees is told later. */
function missedAfter({ timers: { noAudio }, peersStore }: InspectorSettings): number {
  return noAudio > 0 && peersStore?.url != null ? noAudio + TOLD_WITHIN : noAudio;
}

function arrivalOf(packet: PacketView, now: number): Arrival {
  const { source, sourcePort, destination, destinationPort } = packet;
  return {
    source: { address: source, port: sourcePort },
    destination: { address: destination, port: destinationPort },
    now,
  };
}

function happeningOf(
  { method, status, subject, cseq, cseqMethod, branch, callId, fromTag, toTag }: SipMessage,
  transport: Transport,
  packet: PacketView,
  description: string | null,
  legIds: readonly string[],
  at: number,
): MessageHappening {
  const message = { method, status, subject, cseq, cseqMethod, branch, callId, fromTag, toTag };
  return { type: 'message', message, transport, packet: endsOf(packet), description, legIds, at };
}

export function endsOf({ source, sourcePort, destination, destinationPort }: PacketView): PacketEnds {
  return { source, sourcePort, destination, destinationPort };
}
