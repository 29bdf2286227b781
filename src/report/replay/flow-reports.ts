import type { Address } from '../../address/address.ts';
import type { Side } from '../../call/wanted.ts';
import type { CallTrace } from '../../history/traces.ts';
import { directionKey, reverseKey } from '../../packet/direction.ts';
import type { Announcement, AnnouncementIndex } from './announced.ts';
import { explain } from './explain/explain.ts';
import type { Knowledge } from './explain/knowledge.ts';
import { type Findings, isAnnounced } from './findings.ts';
import type { UdpFlow } from './flows.ts';
import type { FlowReport } from './model.ts';
import { rtpStreams } from './rtp.ts';

/** The flows that are media, with whose they are and why they were blocked. `knowledge` is told which flow is the reverse of which. */
export function flowReports(
  findings: Findings,
  knowledge: (reverse: Knowledge['reverse']) => Knowledge,
): FlowReport[] {
  const listed = [...findings.flows.all()].filter((flow) => isMedia(flow, findings));
  const byKey = new Map(listed.map((flow) => [directionKey(flow), flow]));
  const known = knowledge((flow) => byKey.get(reverseKey(flow)) ?? null);
  return listed.map((flow) => flowReport(flow, findings, known));
}

/** What the contents or the announcements call media; not the keepalives between two SIP endpoints. */
function isMedia(flow: UdpFlow, { announcements, sipHosts, sipEndpoints }: Findings): boolean {
  if (isAnnounced(flow, announcements)) return true;
  const { source, sourcePort, destination, destinationPort } = flow;
  if (sipEndpoints.has(`${source} ${sourcePort}`) && sipEndpoints.has(`${destination} ${destinationPort}`))
    return false;
  if (sourcePort < 1024 || destinationPort < 1024) return false;
  if (flow.proven) return true;
  const hosts = [source, destination].some((one) => announcements.names(one) || sipHosts.has(one));
  const ports = [sourcePort, destinationPort].some((one) => announcements.ofPort(one) !== null);
  return flow.suspected && (hosts || ports || flow.kinds.rtcp !== undefined);
}

function flowReport(flow: UdpFlow, findings: Findings, known: Knowledge): FlowReport {
  const { callId, legId, side } = callOf(flow, findings);
  return {
    source: flow.source,
    sourcePort: flow.sourcePort,
    destination: flow.destination,
    destinationPort: flow.destinationPort,
    first: flow.first,
    firstAt: flow.firstAt,
    lastAt: flow.lastAt,
    packets: flow.packets,
    passed: flow.passed,
    blocked: flow.blocked,
    outbound: flow.outbound,
    copies: flow.copies,
    kinds: flow.kinds,
    density: flow.density,
    rtp: flow.rtp !== null && isRtp(flow) ? rtpStreams(flow.rtp) : [],
    callId,
    legId,
    side,
    blocks: flow.spells.map((spell) => explain(flow, spell, known)),
  };
}

/** From the pinhole that passed it, else from the announcement that names its destination, else its source. */
function callOf(
  flow: UdpFlow,
  { announcements, calls }: Findings,
): Pick<FlowReport, 'callId' | 'legId' | 'side'> {
  const to = nearest(announcements, flow.destination, flow.destinationPort, flow.firstAt);
  const from = nearest(announcements, flow.source, flow.sourcePort, flow.firstAt);
  const legId = flow.pinhole?.legId ?? (to ?? from)?.legId ?? null;
  const call = legId === null ? null : calls.byLegId(legId);
  return {
    callId: flow.pinhole === null ? ((to ?? from)?.callId ?? null) : (call?.callId ?? null),
    legId,
    side: call === null ? null : sideOf(call, flow, announcements),
  };
}

/**
 * By who announced the destination first (a proxy passes on what the caller said), else by who is the destination;
 * else the same of the source.
 */
function sideOf(
  { parties, callId }: CallTrace,
  flow: UdpFlow,
  announcements: AnnouncementIndex,
): Side | null {
  const announcer = (address: Address, port: number) =>
    announcements.at(address, port).find((one) => one.callId === callId && one.side !== null)?.side ?? null;
  const party = (host: Address) => (host === parties[0] ? 0 : host === parties[1] ? 1 : null);
  const to = announcer(flow.destination, flow.destinationPort) ?? party(flow.destination);
  if (to !== null) return to;
  const from = announcer(flow.source, flow.sourcePort) ?? party(flow.source);
  return from === null ? null : from === 0 ? 1 : 0;
}

/** The latest announcement of a transport address before `time`, else the first after. */
function nearest(
  announcements: AnnouncementIndex,
  address: Address,
  port: number,
  time: number,
): Announcement | undefined {
  const all = announcements.at(address, port);
  return all.findLast(({ at }) => at <= time) ?? all[0];
}

/** RTP for the most part: a few packets of something else may look like it. */
function isRtp({ kinds, packets }: UdpFlow): boolean {
  return (kinds.rtp ?? 0) * 2 > packets;
}
