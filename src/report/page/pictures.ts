import { isUsual } from '../../call/refusal.ts';
import { countText, plural } from '../../counted.ts';
import type { CallReport } from '../../history/call-report.ts';
import { VERSION } from '../../version.ts';
import { audioHeadline, withoutAudio } from '../audio.ts';
import { hopsOf } from '../replay/hosts.ts';
import { callJson, flowJson, placeJson, seconds } from '../replay/json.ts';
import type { FlowReport, ReplayReport } from '../replay/model.ts';
import { type WholeCall, wholeCalls } from '../replay/whole.ts';
import type {
  CallPicture,
  CallRow,
  CallVerdict,
  LooseGroup,
  PageCall,
  PageFlow,
  PageRefusal,
  ReplayPage,
} from './model.ts';
import { stripsOf } from './strip.ts';
import { partyName, readable, transport } from './text.ts';
import { distinctCauses, type JudgedFlow, verdictOf } from './verdict.ts';

/** A call's flows that are drawn and listed; the rest is counted. */
const MAX_FLOWS = 200;
const MAX_GROUPS = 100;
const MAX_EXAMPLES = 8;
/** ms after the answer within which media may not have come or been counted yet. */
const COUNTED_WITHIN = 6000;

export interface ReplayPictures {
  readonly page: ReplayPage;
  /** The picture of each call, in the order of their first messages, made when it is asked for. */
  readonly pictures: () => Generator<CallPicture>;
}

/** What the page shows of a replay. */
export function replayPictures(report: ReplayReport): ReplayPictures {
  const many = report.files.length > 1;
  const at = placeJson(many);
  const { media, calls } = report;
  const whole = wholeCalls(report);
  return {
    page: {
      kind: 'replay',
      version: VERSION,
      files: report.files,
      frames: report.frames,
      firstAt: seconds(report.firstAt),
      lastAt: seconds(report.lastAt),
      inside: report.inside,
      messages: report.sip.messages,
      pinholes: calls.reduce((sum, { pinholes }) => sum + pinholes.length, 0),
      flows: media.length,
      passed: media.reduce((sum, { passed }) => sum + passed, 0),
      blocked: media.reduce((sum, { blocked }) => sum + blocked, 0),
      refusals: whole.calls.reduce((sum, { call }) => sum + refusalsOf(call), report.refusals.length),
      notes: notesOf(report),
      calls: whole.calls.length,
      loose: [
        ...looseMedia(whole.others.map((flow) => flowJson(flow, at, many))),
        ...strayMessages(report),
        ...looseRefusals(report),
      ],
    },
    *pictures() {
      for (const one of whole.calls) yield pictureOf(one, report);
    },
  };
}

/** A call with all of its hops and what became of its media. */
export function pictureOf(
  { call, flows }: WholeCall,
  { files, lastAt }: Pick<ReplayReport, 'files' | 'lastAt'>,
): CallPicture {
  const many = files.length > 1;
  const at = placeJson(many);
  const kept = drawnOf(flows);
  const media: PageFlow[] = kept.map((flow) => flowJson(flow, at, many));
  const own: PageCall = { ...callJson(call, at, many), hops: hopsOf(call) };
  return {
    call: own,
    isLive: false,
    media,
    mediaOmitted: flows.length - kept.length,
    until: seconds(lastAt ?? call.startedAt),
    verdict: verdictOf(own, media),
  };
}

/** A call of a running daemon as it is at `now` (ms since the epoch, as all its times). */
export function livePicture(call: CallReport, now: number): CallPicture {
  const nowhere = { file: 0, frame: 0 };
  const pinholes = call.pinholes.map((pinhole) => ({ ...pinhole, opened: nowhere, closed: null }));
  const json = callJson({ ...call, pinholes }, () => ({ frame: 0 }), false);
  const own: PageCall = { ...json, hops: hopsOf(call) };
  return {
    ...{ call: own, isLive: true, media: [], mediaOmitted: 0 },
    ...{ until: seconds(now), verdict: liveVerdict(call, own, now) },
  };
}

/** What the daemon misses, it has seen to be missing; that nothing was counted so far says no more than that. */
function liveVerdict(call: CallReport, own: PageCall, now: number): CallVerdict {
  const spell = withoutAudio(call);
  if (spell !== null) {
    const causes = spell.causes.map(({ reason, text, advice }) => ({ reason, text, advice }));
    return { level: 'silent', headline: audioHeadline(spell), causes };
  }
  const verdict = verdictOf(own, null);
  if (call.endedAt !== null || call.answeredAt === null || verdict.level !== 'silent') return verdict;
  const isEarly = now - call.answeredAt < COUNTED_WITHIN;
  const headline = isEarly ? 'Answered just now.' : 'Answered; none of its audio is missed.';
  return { level: 'none', headline, causes: [] };
}

/** The verdict that the picture of a call has, without the picture. */
export function verdictWithin({ call, flows }: WholeCall): CallVerdict {
  return verdictOf(call, drawnOf(flows).map(judgedFlow));
}

function judgedFlow(flow: FlowReport): JudgedFlow {
  const { side, kinds, packets, passed, blocked, blocks } = flow;
  return {
    src: flow.source,
    srcPort: flow.sourcePort,
    dst: flow.destination,
    dstPort: flow.destinationPort,
    side,
    kinds,
    packets,
    passed,
    blocked,
    blocks,
  };
}

/** Those with the most packets, where there are more than are drawn. */
function drawnOf(flows: readonly FlowReport[]): readonly FlowReport[] {
  if (flows.length <= MAX_FLOWS) return flows;
  return [...flows].sort((a, b) => b.packets - a.packets).slice(0, MAX_FLOWS);
}

/** The line of a call in the list. */
export function rowOf({ call, media, verdict, until }: CallPicture): CallRow {
  const { legId, callId, from, to, parties, codecs, state, startedAt, answeredAt, endedAt } = call;
  const { endReason, endStatus } = call;
  return {
    ...{ legId, callId, from, to, parties, codecs, state, startedAt, answeredAt, endedAt },
    names: [partyName(from), partyName(to)],
    outcome: endedAt === null ? state : `${endReason}${endStatus === null ? '' : ` ${endStatus}`}`,
    level: verdict.level,
    headline: verdict.headline,
    why: verdict.causes[0]?.reason ?? '',
    until,
    pinholes: call.pinholes.length,
    passed: media.reduce((sum, { passed }) => sum + passed, 0),
    blocked: media.reduce((sum, { blocked }) => sum + blocked, 0),
    refusals: refusalsOf(call),
    strips: stripsOf(call, media),
  };
}

/** What every call with the outside has is not counted. */
function refusalsOf({ refusals }: { readonly refusals: readonly Pick<PageRefusal, 'reason'>[] }): number {
  return refusals.filter(({ reason }) => !isUsual(reason)).length;
}

function notesOf(report: ReplayReport): string[] {
  const notes = [...report.damage.map(({ message }) => readable(message)), ...report.notes];
  if (report.truncated > 0) notes.push(`${plural(report.truncated, 'frame')} cut by the snap length.`);
  if (report.sip.malformed > 0) {
    notes.push(`${plural(report.sip.malformed, 'packet')} that look like SIP and are none.`);
  }
  const unread = [...report.unreadable].filter(([reason]) => reason !== 'link-not-ip');
  if (unread.length > 0) {
    const reasons = unread.map(([reason, count]) => `${countText(count)} ${reason}`).join(', ');
    notes.push(`Frames that could not be read: ${reasons}.`);
  }
  return notes;
}

/** Flows between the same hosts, blocked for the same reasons, are one group. */
function looseMedia(flows: readonly PageFlow[]): LooseGroup[] {
  const groups = new Map<string, PageFlow[]>();
  for (const flow of flows) {
    const key = [flow.src, flow.dst, ...flow.blocks.map(({ reason }) => reason)].join(' ');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [flow]);
    else group.push(flow);
  }
  return [...groups.values()].slice(0, MAX_GROUPS).map((group) => {
    const { src, dst } = group[0]!;
    return {
      title: `${src} to ${dst}`,
      flows: group.length,
      passed: group.reduce((sum, { passed }) => sum + passed, 0),
      blocked: group.reduce((sum, { blocked }) => sum + blocked, 0),
      examples: group
        .slice(0, MAX_EXAMPLES)
        .map((flow) => `${transport(flow.src, flow.srcPort)} → ${transport(flow.dst, flow.dstPort)}`),
      causes: distinctCauses(group).slice(0, 3),
    };
  });
}

/** Messages that no call came of, by Call-ID. */
function strayMessages({ strays }: ReplayReport): LooseGroup[] {
  return strays.slice(0, MAX_GROUPS).map(({ callId, messages }) => ({
    title: `Messages of no call that could be followed: ${readable(callId, 80)}`,
    ...{ flows: 0, passed: 0, blocked: 0, causes: [] },
    examples: messages
      .slice(0, MAX_EXAMPLES)
      .map(
        ({ source, sourcePort, destination, destinationPort, summary }) =>
          `${transport(source, sourcePort)} → ${transport(destination, destinationPort)} ${summary}`,
      ),
  }));
}

function looseRefusals({ refusals }: ReplayReport): LooseGroup[] {
  return refusals.slice(0, MAX_GROUPS).map(({ reason, detail, count, why }) => ({
    title: `Refused: ${reason}${count === 1 ? '' : `, ${countText(count)} times`}`,
    ...{ flows: 0, passed: 0, blocked: 0, examples: [detail] },
    causes: why === '' ? [] : [{ text: why, advice: '' }],
  }));
}
