import type { CallReport, RefusalReport } from '../../history/call-report.ts';
import type { CallTrace } from '../../history/traces.ts';
import type { CaptureError } from '../../intercept/capture.ts';
import { linkTypeText } from '../../packet/link.ts';
import { printable } from '../../printable.ts';
import type { Knowledge } from './explain/knowledge.ts';
import { whyNoRequest } from './explain/response.ts';
import type { Seen } from './explain/seen.ts';
import type { Findings } from './findings.ts';
import { flowReports } from './flow-reports.ts';
import type { FrameCounts } from './frames.ts';
import type { Damage, ReplayReport, SipCounts, Window } from './model.ts';
import type { RefusalCounts } from './refused.ts';
import type { OneSided } from './signalling/directions.ts';

/** What there is to report on, once the last frame was read. */
interface ReplayEnding {
  readonly files: readonly string[];
  readonly seen: Seen;
  readonly window: Window;
  readonly inside: ReplayReport['inside'];
  readonly insideAssumed: boolean;
  readonly findings: Findings;
  readonly frames: FrameCounts;
  readonly sip: SipCounts;
  readonly refusals: RefusalCounts;
  /** Time of the first frame (ms), null when there was none. */
  readonly firstAt: number | null;
  /** The clock of the replay (ms): the time of its latest frame. */
  readonly now: number;
  readonly damage: readonly CaptureError[];
}

const MAX_NOTED = 3;

/** What a capture's findings say, as people and programs are told. */
export function reportOf(ending: ReplayEnding): ReplayReport {
  const { files, window, inside, insideAssumed, findings, frames, sip, refusals, firstAt, now } = ending;
  const known = knowledgeOf(ending, () => null);
  return {
    files,
    frames: frames.frames,
    firstAt,
    lastAt: frames.frames === 0 ? null : now,
    window,
    inside,
    insideAssumed,
    sip,
    unreadable: frames.unreadable,
    truncated: frames.truncated,
    calls: findings.calls
      .all()
      .map((record) => callReport(record, known))
      .filter((call) => isReported(call, window, now)),
    strays: findings.strays.all().map((record) => ({ ...record, pinholes: [] })),
    media: flowReports(findings, (reverse) => knowledgeOf(ending, reverse)),
    refusals: refusals.loose().map((one) => ({ ...one, why: whyRefused(one, known) })),
    refused: refusals.byReason,
    damage: ending.damage.map((one) => damageOf(one, files)),
    notes: [...oneSidedNotes(findings.signalling.oneSided()), ...linkNotes(frames), ...fragmentNotes(frames)],
  };
}

function knowledgeOf(
  { findings, files, seen, inside }: ReplayEnding,
  reverse: Knowledge['reverse'],
): Knowledge {
  const { announcements, signalling, calls, refusals, seenHosts, sipHosts, pinholes } = findings;
  return {
    seen,
    announcements,
    signalling,
    call: calls.byLegId,
    refusalOf: refusals.ofMessage,
    isSeen: (address) => seenHosts.has(address),
    isInsideKnown: inside !== 'any',
    pinholesOf: pinholes.of,
    reverse,
    speaksSip: (address) => sipHosts.has(address),
    frame: ({ file, frame: number }) =>
      files.length === 1 ? `frame ${number}` : `frame ${number} of ${printable(files[file] ?? '', 60)}`,
  };
}

function callReport(record: CallTrace, known: Knowledge): CallReport {
  const { legId, callId, fromTag, toTags, parties, ports, from, to, codecs, state, startedAt } = record;
  const { answeredAt, endedAt, endReason, endStatus, messages, messagesOmitted, withoutAudio } = record;
  return {
    legId,
    callId,
    fromTag,
    toTags,
    parties,
    ports,
    from,
    to,
    codecs,
    state,
    startedAt,
    answeredAt,
    endedAt,
    endReason,
    endStatus,
    pinholes: known.pinholesOf(legId),
    refusals: record.refusals.map((one) => ({ ...one, why: whyRefused(one, known) })),
    messages,
    messagesOmitted,
    withoutAudio,
  };
}

function whyRefused({ reason, place }: RefusalReport, known: Knowledge): string {
  const response = reason === 'response-without-request' ? known.signalling.responseAt(place) : null;
  return response === null ? '' : whyNoRequest(response, known).text;
}

function isReported(
  { startedAt, endedAt, messages }: CallReport,
  { from, to }: Window,
  now: number,
): boolean {
  const until = endedAt ?? Math.max(messages.at(-1)?.at ?? startedAt, now);
  return (from === null || until >= from) && (to === null || startedAt <= to);
}

function damageOf(
  { file, offset, expected, found, message }: CaptureError,
  files: readonly string[],
): Damage {
  return { file: Math.max(0, files.lastIndexOf(file)), offset, expected, found, message };
}

function oneSidedNotes(oneSided: readonly OneSided[]): string[] {
  const found = oneSided
    .slice(0, MAX_NOTED)
    .map(
      ({ from, to, messages }) =>
        `Only messages from ${from} to ${to} are here (${messages}): one direction of their signalling is missing from the capture, and what it asked for is not known.`,
    );
  const more = oneSided.length - MAX_NOTED;
  return more > 0 ? [...found, `The same holds for ${more} more pairs of hosts.`] : found;
}

function linkNotes({ unknownLinks, frames }: FrameCounts): string[] {
  return [...unknownLinks].map(
    ([linkType, count]) =>
      `${count} of ${frames} frames are of ${linkTypeText(linkType)}, which is not read. Where they hold Ethernet or IP all the same, editcap -T ether or -T rawip makes them readable.`,
  );
}

function fragmentNotes({ incomplete }: FrameCounts): string[] {
  if (incomplete === 0) return [];
  const which =
    incomplete === 1
      ? '1 datagram came in fragments, and some are'
      : `${incomplete} datagrams came in fragments, of which some are`;
  return [
    `${which} not here. A filter of ports lets only the first fragment through: tcpdump 'port 5060 or (ip[6:2] & 0x1fff != 0) or ip6[6] == 44' takes the others as well.`,
  ];
}
