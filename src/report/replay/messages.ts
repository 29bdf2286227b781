import { Buffer } from 'node:buffer';
import { describeSession } from '../../call/description.ts';
import type { Side } from '../../call/wanted.ts';
import type { FramePlace } from '../../history/call-report.ts';
import { ownCopy, summaryOf } from '../../history/traces.ts';
import type { Leg } from '../../inspector/happening.ts';
import type { MessageEvent } from '../../inspector.ts';
import type { PacketView } from '../../packet/ip.ts';
import { printable } from '../../printable.ts';
import { readCodecs } from './codecs.ts';
import type { Findings } from './findings.ts';
import type { SipCounts } from './model.ts';

/** Where in the capture something happened, and when (ms). */
export interface Moment {
  readonly place: FramePlace;
  readonly at: number;
  /** The packet was seen before, at another point of its way. */
  readonly isCopy: boolean;
}

export interface MessageTaker {
  /** Writes a message down wherever it leaves a trace. True when it announced something. */
  take(event: MessageEvent, moment: Moment): void;
  readonly counts: SipCounts;
}

const MAX_METHODS = 32;
const MAX_STRAYS = 1000;

export function createMessageTaker(findings: Findings): MessageTaker {
  const { calls, strays, announcements, signalling, sipHosts, sipEndpoints } = findings;
  const strayLegs = new Map<string, Leg>();
  const sip: SipCounts = {
    messages: 0,
    malformed: 0,
    byTransport: { udp: 0, tcp: 0 },
    requests: new Map(),
    responses: new Map(),
  };

  function take(event: MessageEvent, moment: Moment): boolean {
    const { place, at, isCopy } = moment;
    const { message: read, packet, transport } = event;
    sip.messages++;
    sip.byTransport[transport]++;
    if (read.status !== 0) sip.responses.set(read.status, (sip.responses.get(read.status) ?? 0) + 1);
    else countMethod(printable(read.method, 32));
    sipHosts.add(packet.source).add(packet.destination);
    if (transport === 'udp') {
      sipEndpoints.add(`${packet.source} ${packet.sourcePort}`);
      sipEndpoints.add(`${packet.destination} ${packet.destinationPort}`);
    }
    const session = event.session();
    const summary = summaryOf(read);
    signalling.message(read, session, packet, summary, place, at);
    let description: string | null = null;
    if (session !== null && 'streams' in session) {
      description = describeSession(session);
      const origin = {
        owner: packet.source,
        side: sideIn(event.calls[0], packet),
        callId: event.calls[0]?.callId ?? Buffer.from(read.callId, 'latin1').toString('latin1'),
        call: event.calls[0]?.hash ?? null,
        summary,
        place,
        at,
      };
      const codecs = read.sdp.kind === 'sdp' ? readCodecs(read.sdp.bytes) : [];
      announcements.add(session, codecs, origin);
      signalling.streams(session, origin);
    } else if (session !== null) {
      description = `unusable SDP: ${session.detail}`;
    }
    calls.message(event, place, at, description, isCopy);
    if (event.calls.length === 0 && isOfDialog(read) && !calls.has(event)) stray(event, description, moment);
    return session !== null && 'streams' in session;
  }

  /** The message of a dialog that no call came of. */
  function stray(event: MessageEvent, description: string | null, { place, at, isCopy }: Moment): void {
    const { message: read, packet } = event;
    const callId = ownCopy(read.callId);
    let leg = strayLegs.get(callId);
    if (leg === undefined) {
      if (strayLegs.size >= MAX_STRAYS) return;
      const ends = [packet.source, packet.destination] as const;
      leg = {
        ...{ hash: `stray-${strayLegs.size + 1}`, callId, fromTag: ownCopy(read.fromTag) },
        ...{ parties: read.status === 0 ? ends : ([ends[1], ends[0]] as const) },
        ...{ from: ownCopy(read.from), to: ownCopy(read.to), state: 'calling', startedAt: at },
        ...{ answeredAt: null, endedAt: null, endReason: null, endStatus: 0, dialogs: [] },
      };
      strayLegs.set(callId, leg);
    }
    strays.message({ ...event, calls: [leg] }, place, at, description, isCopy);
  }

  /** Which party of a leg sent this; where both are one host, its port says so. */
  function sideIn(leg: MessageEvent['calls'][number] | undefined, packet: PacketView): Side | null {
    if (leg === undefined) return null;
    const [caller, callee] = leg.parties;
    if (caller !== callee) return packet.source === caller ? 0 : packet.source === callee ? 1 : null;
    const port = calls.of(leg).ports?.[0] ?? packet.sourcePort;
    return packet.source !== caller ? null : packet.sourcePort === port ? 0 : 1;
  }

  function countMethod(method: string): void {
    const count = sip.requests.get(method);
    if (count === undefined && sip.requests.size >= MAX_METHODS) return;
    sip.requests.set(method, (count ?? 0) + 1);
  }

  return { take, counts: sip };
}

/** What only a call has: its requests and their responses. */
function isOfDialog({ method, cseqMethod }: MessageEvent['message']): boolean {
  return DIALOG_METHODS.has(method === '' ? cseqMethod : method);
}

const DIALOG_METHODS: ReadonlySet<string> = new Set(['INVITE', 'ACK', 'BYE', 'CANCEL', 'PRACK', 'UPDATE']);
