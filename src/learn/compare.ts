import { portsText, transportText } from '../call/description.ts';
import { REFUSALS, type Refusal } from '../call/refusal.ts';
import type { CallReport, RefusalReport } from '../history/call-report.ts';
import type { FlowReport, ReplayReport } from '../report/replay/model.ts';
import { placeOf, type SeenCall, type SeenStream, seenCall } from './seen.ts';

/** What came of one call: of all its legs, which proxies make of it. */
interface Outcome {
  /** Its first leg. */
  readonly report: CallReport;
  /** What its media needed and had a pinhole for, by `placeOf`. */
  readonly streams: ReadonlyMap<string, SeenStream>;
  readonly refusals: readonly RefusalReport[];
  /** Its media, by source and destination. */
  readonly flows: ReadonlyMap<string, FlowReport>;
}

/** What is different about a call, a line each. */
export interface Difference {
  readonly report: CallReport;
  readonly lines: readonly string[];
}

export interface Comparison {
  readonly calls: number;
  /** Those whose media had a pinhole before, or has one after. */
  readonly opened: number;
  /** Calls that had something before which they do not have any more. */
  readonly losing: readonly Difference[];
  /** Others that have something which they did not have. */
  readonly gaining: readonly Difference[];
  /** Those let in from other addresses than before, with nothing lost as far as it was seen. */
  readonly otherwise: readonly Difference[];
}

/** Outcomes by Call-ID, in the order of their beginnings. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/** `hadPinhole`: whether it had one under the settings that are looked at. */
export function outcomesOf(
  calls: readonly SeenCall[],
  media: readonly FlowReport[] = [],
  hadPinhole: (stream: SeenStream) => boolean = ({ refusal }) => refusal === null,
): Outcomes {
  const found = new Map<string, Gathered>();
  for (const { report, needed } of calls) {
    const { callId, refusals } = report;
    const outcome = found.get(callId) ?? begin(report);
    found.set(callId, outcome);
    for (const stream of needed) if (hadPinhole(stream)) outcome.streams.set(placeOf(stream), stream);
    outcome.refusals.push(...refusals);
  }
  for (const flow of media) {
    const { source, sourcePort, destination, destinationPort, callId } = flow;
    const key = `${source}:${sourcePort} to ${destination}:${destinationPort}`;
    if (callId !== null) found.get(callId)?.flows.set(key, flow);
  }
  return found;
}

interface Gathered {
  readonly report: CallReport;
  readonly streams: Map<string, SeenStream>;
  readonly refusals: RefusalReport[];
  readonly flows: Map<string, FlowReport>;
}

function begin(report: CallReport): Gathered {
  return { report, streams: new Map(), refusals: [], flows: new Map() };
}

/** The outcomes of a replay. */
export function outcomesIn({ calls, media }: Pick<ReplayReport, 'calls' | 'media'>): Outcomes {
  return outcomesOf(
    calls.map((report) => seenCall(report, () => null)),
    media,
  );
}

export function compare(before: Outcomes, after: Outcomes): Comparison {
  const losing: Difference[] = [];
  const gaining: Difference[] = [];
  const otherwise: Difference[] = [];
  const ids = new Set([...before.keys(), ...after.keys()]);
  let opened = 0;
  for (const id of ids) {
    const [was, is] = [before.get(id), after.get(id)];
    const { report } = (was ?? is)!;
    if ((was?.streams.size ?? 0) + (is?.streams.size ?? 0) > 0) opened++;
    const lost = missing(was, is);
    const won = missing(is, was);
    if (lost.length > 0) losing.push({ report, lines: lost });
    else if (won.length > 0) gaining.push({ report, lines: won });
    else {
      const lines = otherSources(was!, is!);
      if (lines.length > 0) otherwise.push({ report, lines });
    }
  }
  return { calls: ids.size, opened, losing, gaining, otherwise };
}

/** What `one` has and `other` has not, and why. */
function missing(one: Outcome | undefined, other: Outcome | undefined): string[] {
  if (one === undefined) return [];
  const lines: string[] = [];
  const lost: SeenStream[] = [];
  for (const [place, stream] of one.streams) {
    if (other?.streams.has(place) === true) continue;
    const why = reasonFor(stream, other);
    lost.push(stream);
    lines.push(`${stream.media} at ${textOf(stream)}${why === null ? '' : `: ${why}`}`);
  }
  for (const [flow, here] of one.flows) {
    const there = other?.flows.get(flow);
    const [passed, passes] = [letIn(here), there === undefined ? 0 : letIn(there)];
    if (passed <= passes || lost.some((stream) => isOf(stream, here))) continue;
    const block = there?.blocks[0];
    const why = block === undefined ? '' : `: ${block.text}${block.advice === '' ? '' : ` ${block.advice}`}`;
    lines.push(`media from ${flow}: ${passes} of ${passed} packets pass${why}`);
  }
  return lines;
}

/** Whether a flow leads to where this stream was awaited, or comes from there: its loss is told already. */
function isOf({ host, announced, ports: [first, last] }: SeenStream, flow: FlowReport): boolean {
  const ends = [
    [flow.destination, flow.destinationPort],
    [flow.source, flow.sourcePort],
  ] as const;
  return ends.some(
    ([address, port]) => (address === host || address === announced) && first <= port && port <= last,
  );
}

/** Packets that passed by a pinhole: what only leaves this firewall, or is none of its own, it does not let in. */
function letIn({ passed, outbound }: Pick<FlowReport, 'passed' | 'outbound'>): number {
  return passed - outbound;
}

/** What was refused in the other's place; null where that is not told. */
function reasonFor({ owner, announced, ports }: SeenStream, other: Outcome | undefined): string | null {
  if (other === undefined) return 'no call comes of it';
  const refusal =
    other.refusals.find(
      ({ transport }) =>
        transport?.owner === owner && transport.address === announced && transport.ports[0] === ports[0],
    ) ?? other.refusals.find(({ reason }) => reason !== 'not-inside');
  return refusal === undefined ? null : refusalText(refusal);
}

/** `peer-not-allowed (audio rtp at 192.0.2.1:4000, from 203.0.113.9): what to do`. */
export function refusalText({ reason, detail }: Refusal): string {
  const advice: string = REFUSALS[reason].advice;
  return `${reason} (${detail})${advice === '' ? '' : `: ${advice}`}`;
}

function textOf({ announced, ports, protocol }: SeenStream): string {
  return `${transportText(announced, portsText(ports))}${protocol === 'tcp' ? ' over TCP' : ''}`;
}

function otherSources(was: Outcome, is: Outcome): string[] {
  return [...was.streams].flatMap(([place, before]) => {
    const after = is.streams.get(place);
    if (after === undefined) return [];
    const [from, to] = [sourcesText(before), sourcesText(after)];
    return from === to ? [] : [`${before.media} at ${textOf(before)}: from ${to} in place of ${from}`];
  });
}

function sourcesText({ sources }: SeenStream): string {
  return sources === 'any' ? 'anybody' : [...sources].sort().join(', ');
}
