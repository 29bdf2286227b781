import type { Address } from '../../address/address.ts';
import { describeReading } from '../../call/description.ts';
import type { Side } from '../../call/wanted.ts';
import type { FramePlace } from '../../history/call-report.ts';
import { type CallTrace, summaryOf } from '../../history/traces.ts';
import type { MessageHappening, PacketEnds } from '../../inspector/happening.ts';
import type { MessageTap } from '../../inspector.ts';
import { ownCopy } from '../../own-copy.ts';
import type { PacketView } from '../../packet/ip.ts';
import { printable } from '../../printable.ts';
import { isSession } from '../../sdp/session.ts';
import type { SipMessage } from '../../sip/message.ts';
import type { Findings } from './findings.ts';
import type { SipCounts } from './model.ts';

/** Where in the capture something happened, and when (ms). */
export interface Moment {
  readonly place: FramePlace;
  readonly at: number;
  /** The packet was seen before, at another point of its way. */
  readonly isCopy: boolean;
  readonly packet: PacketView;
}

/** A message as the inspector read it, and its description. */
export interface ReadMessage {
  readonly message: SipMessage;
  readonly session: Parameters<MessageTap>[1];
}

interface MessageTaker {
  /** Writes a message down wherever it leaves a trace. True when it announced something. */
  take(told: MessageHappening, read: ReadMessage, moment: Moment): boolean;
  readonly counts: SipCounts;
}

const MAX_METHODS = 32;
const MAX_STRAYS = 1000;

export function createMessageTaker(findings: Findings): MessageTaker {
  const { calls, strays, announcements, signalling, sipHosts, sipEndpoints } = findings;
  /** Their ids by Call-ID. */
  const strayLegs = new Map<string, string>();
  /** Those that are noted, by their addresses: nearly every message has known ones. */
  const endpoints = new Map<Address, Set<number>>();
  const sip: SipCounts = {
    messages: 0,
    malformed: 0,
    byTransport: { udp: 0, tcp: 0 },
    requests: new Map(),
    responses: new Map(),
  };

  function take(told: MessageHappening, { message: read, session }: ReadMessage, moment: Moment): boolean {
    const { place, at, isCopy } = moment;
    const { packet, transport } = told;
    sip.messages++;
    sip.byTransport[transport]++;
    if (read.status !== 0) sip.responses.set(read.status, (sip.responses.get(read.status) ?? 0) + 1);
    else countMethod(printable(read.method, 32));
    sipHosts.add(packet.source).add(packet.destination);
    if (transport === 'udp') {
      noteEndpoint(packet.source, packet.sourcePort);
      noteEndpoint(packet.destination, packet.destinationPort);
    }
    const summary = summaryOf(read);
    signalling.message(read, session, moment.packet, summary, place, at);
    const leg = calls.byLegId(told.legIds[0] ?? '');
    if (isSession(session)) {
      const origin = {
        owner: packet.source,
        side: leg === null ? null : sideIn(leg, packet),
        callId: leg?.callId ?? ownCopy(read.callId),
        legId: leg?.legId ?? null,
        summary,
        place,
        at,
      };
      announcements.add(session, origin);
      signalling.streams(session, origin);
    }
    // The inspector describes what may be of a call only.
    const description = told.description ?? describeReading(session);
    const event = description === told.description ? told : { ...told, description };
    calls.message(event, place, isCopy);
    if (!calls.has(event) && isOfDialog(read)) stray(event, read, moment);
    return isSession(session);
  }

  function noteEndpoint(address: Address, port: number): void {
    const ports = endpoints.get(address);
    if (ports?.has(port) === true) return;
    if (ports === undefined) endpoints.set(address, new Set([port]));
    else ports.add(port);
    sipEndpoints.add(`${address} ${port}`);
  }

  /** The message of a dialog that no call came of. */
  function stray(event: MessageHappening, read: SipMessage, { place, at, isCopy }: Moment): void {
    const { packet } = event;
    const callId = ownCopy(read.callId);
    let legId = strayLegs.get(callId);
    if (legId === undefined) {
      if (strayLegs.size >= MAX_STRAYS) return;
      legId = `stray-${strayLegs.size + 1}`;
      strayLegs.set(callId, legId);
      const ends = [packet.source, packet.destination] as const;
      strays.update({
        ...{ legId, callId, fromTag: ownCopy(read.fromTag), toTags: [], codecs: '' },
        ...{ parties: read.status === 0 ? ends : ([ends[1], ends[0]] as const) },
        ...{ from: ownCopy(read.from), to: ownCopy(read.to), state: 'calling', startedAt: at },
        ...{ answeredAt: null, endedAt: null, endReason: null, endStatus: 0 },
      });
    }
    strays.message({ ...event, legIds: [legId] }, place, isCopy);
  }

  function countMethod(method: string): void {
    const count = sip.requests.get(method);
    if (count === undefined && sip.requests.size >= MAX_METHODS) return;
    sip.requests.set(method, (count ?? 0) + 1);
  }

  return { take, counts: sip };
}

/** Which party of a leg sent this; where both are one host, its port says so. */
function sideIn({ parties: [caller, callee], ports }: CallTrace, packet: PacketEnds): Side | null {
  if (caller !== callee) return packet.source === caller ? 0 : packet.source === callee ? 1 : null;
  const port = ports?.[0] ?? packet.sourcePort;
  return packet.source !== caller ? null : packet.sourcePort === port ? 0 : 1;
}

/** What only a call has: its requests and their responses. */
function isOfDialog({ method, cseqMethod }: SipMessage): boolean {
  return DIALOG_METHODS.has(method === '' ? cseqMethod : method);
}

const DIALOG_METHODS: ReadonlySet<string> = new Set(['INVITE', 'ACK', 'BYE', 'CANCEL', 'PRACK', 'UPDATE']);
