import type { Address } from '../../../address/address.ts';
import type { FramePlace } from '../../../history/call-report.ts';
import { ownCopy } from '../../../own-copy.ts';
import type { PacketView } from '../../../packet/ip.ts';
import type { SipMessage } from '../../../sip/message.ts';
import { addTo, MOST_REMEMBERED } from './bounds.ts';

/** A request that was read, as far as its response has to match it. */
export interface SeenRequest {
  readonly method: string;
  readonly cseq: number;
  readonly branch: string;
  readonly fromTag: string;
  /** It went on with a dialog. */
  readonly isInDialog: boolean;
  readonly source: Address;
  readonly destination: Address;
  readonly place: FramePlace;
}

/** A response that was taken for none of a request that was seen. */
export type LooseResponse = Pick<
  SipMessage,
  'callId' | 'cseq' | 'cseqMethod' | 'branch' | 'fromTag' | 'status'
> & {
  readonly source: Address;
  readonly destination: Address;
  readonly at: number;
  readonly place: FramePlace;
};

interface SeenTransactions {
  request(message: SipMessage, packet: PacketView, place: FramePlace): void;
  /** A response that answers none of the requests that were seen. */
  loose(message: SipMessage, packet: PacketView, place: FramePlace, at: number): void;
  requests(callId: string): readonly SeenRequest[];
  responseAt(place: FramePlace): LooseResponse | null;
  responsesOf(callId: string): readonly LooseResponse[];
}

type Texts = [string, string, string];

const MOST_CALLS = 10 * MOST_REMEMBERED;
const MOST_REQUESTS_OF_CALL = 24;

/** Requests, and the responses that fit none of them. */
export function createSeenTransactions(): SeenTransactions {
  const byCallId = new Map<string, SeenRequest[]>();
  const byPlace = new Map<string, LooseResponse>();
  const looseByCallId = new Map<string, LooseResponse[]>();

  function request(read: SipMessage, { source, destination }: PacketView, place: FramePlace): void {
    if (read.status !== 0 || read.method === 'ACK' || read.method === 'REGISTER') return;
    const known = byCallId.get(read.callId);
    if (known === undefined && byCallId.size >= MOST_CALLS) return;
    const { cseq } = read;
    const [method, branch, fromTag] = [read.method, read.branch, read.fromTag].map(ownCopy) as Texts;
    const isInDialog = read.toTag !== '';
    const seen = { method, cseq, branch, fromTag, isInDialog, source, destination, place };
    if (known === undefined) byCallId.set(ownCopy(read.callId), [seen]);
    else if (known.length < MOST_REQUESTS_OF_CALL) known.push(seen);
  }

  function loose(read: SipMessage, { source, destination }: PacketView, place: FramePlace, at: number): void {
    if (byPlace.size >= MOST_REMEMBERED) return;
    const { cseq, cseqMethod, status } = read;
    const [callId, branch, fromTag] = [read.callId, read.branch, read.fromTag].map(ownCopy) as Texts;
    const response = { callId, cseq, cseqMethod, branch, fromTag, status, source, destination, at, place };
    byPlace.set(placeKey(place), response);
    addTo(looseByCallId, callId, response);
  }

  return {
    request,
    loose,
    requests: (callId) => byCallId.get(callId) ?? [],
    responseAt: (place) => byPlace.get(placeKey(place)) ?? null,
    responsesOf: (callId) => looseByCallId.get(callId) ?? [],
  };
}

function placeKey({ file, frame }: FramePlace): string {
  return `${file} ${frame}`;
}
