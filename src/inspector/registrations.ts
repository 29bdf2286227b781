import type { Buffer } from 'node:buffer';
import { LONGEST_REGISTRATION } from '../call/standing.ts';
import { ownCopy } from '../own-copy.ts';
import type { PacketView } from '../packet/ip.ts';
import type { SipMessage } from '../sip/message.ts';
import { bindingsIn } from '../sip/registration.ts';
import type { StaticPair, StaticPeers } from './static-peers.ts';

/** What a 2xx to a REGISTER made of a registration. */
export interface Registered {
  readonly pair: StaticPair;
  readonly callId: string;
  /** ms that it lives; 0: there is none any more. */
  readonly life: number;
}

/** REGISTERs whose responses are awaited, and the seconds that they ask for; null where they leave that to the registrar. */
type Waiting = Map<string, number | null>;

/** REGISTERs without a response that are remembered, of each way: what anybody may send from outside pushes out none from inside. */
const MOST_WAITING = 1024;
/** RFC 3261 10.2.1.1: what a registrar that says nothing may mean is an hour. */
const USUAL_SECONDS = 3600;

/** REGISTERs between peers of `static-media` and hosts inside, and what their responses grant (RFC 3261 10.2, 10.3). */
export function createRegistrations(peers: Pick<StaticPeers, 'pairOf'>) {
  const [fromHosts, fromPeers]: readonly [Waiting, Waiting] = [new Map(), new Map()];

  /** Takes any message; null where it is no answer that counts. It has to answer a request seen the other way. */
  return (message: SipMessage, bytes: Buffer, packet: PacketView): Registered | null => {
    if (message.method !== 'REGISTER' && message.cseqMethod !== 'REGISTER') return null;
    const pair = peers.pairOf(packet);
    if (pair === null) return null;
    const { callId, cseq, branch, status } = message;
    const key = `${pair.peer} ${pair.host} ${cseq} ${branch} ${callId}`;
    if (status === 0) {
      ask(pair.isFromHost ? fromHosts : fromPeers, key, message, bytes);
      return null;
    }
    const waiting = pair.isFromHost ? fromPeers : fromHosts;
    const wanted = waiting.get(key);
    if (wanted === undefined || status < 200) return null;
    waiting.delete(key);
    return status < 300 ? { pair, callId: ownCopy(callId), life: granted(wanted, message, bytes) } : null;
  };
}

function ask(waiting: Waiting, key: string, { expires }: SipMessage, bytes: Buffer): void {
  const { contacts, seconds } = bindingsIn(bytes);
  if (contacts === 0) return;
  waiting.set(ownCopy(key), seconds ?? expires);
  if (waiting.size > MOST_WAITING) waiting.delete(waiting.keys().next().value!);
}

function granted(wanted: number | null, { expires }: SipMessage, bytes: Buffer): number {
  if (wanted === 0) return 0;
  const { contacts, seconds } = bindingsIn(bytes);
  if (contacts === 0) return 0;
  return Math.min((seconds ?? expires ?? wanted ?? USUAL_SECONDS) * 1000, LONGEST_REGISTRATION);
}
