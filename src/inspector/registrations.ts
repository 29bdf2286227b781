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
  /** How long it lives; 0: there is none any more. */
  readonly seconds: number;
}

/** A REGISTER whose response is awaited. */
interface Pending {
  readonly pair: StaticPair;
  readonly callId: string;
  /** Seconds that it asks for; null where it leaves that to the registrar. */
  readonly wanted: number | null;
}

/** REGISTERs without a response that are remembered, of each way: what anybody may send from outside pushes out none from inside. */
const MOST_PENDING = 1024;
/** RFC 3261 10.2.1.1: what a registrar that says nothing may mean is an hour. */
const USUAL_SECONDS = 3600;

/** REGISTERs between peers of `static-media` and hosts inside, and what their responses grant (RFC 3261 10.2, 10.3). */
export function createRegistrations(peers: Pick<StaticPeers, 'pairOf'>) {
  const waiting = { fromHosts: new Map<string, Pending>(), fromPeers: new Map<string, Pending>() };

  function ask(key: string, pair: StaticPair, { callId, expires }: SipMessage, bytes: Buffer): void {
    const { contacts, seconds } = bindingsIn(bytes);
    if (contacts === 0) return;
    const pending = pair.isFromHost ? waiting.fromHosts : waiting.fromPeers;
    pending.set(ownCopy(key), { pair, callId: ownCopy(callId), wanted: seconds ?? expires });
    if (pending.size > MOST_PENDING) pending.delete(pending.keys().next().value!);
  }

  /** Takes any message; null where it is no answer that counts. It has to answer a request seen the other way. */
  return (message: SipMessage, bytes: Buffer, packet: PacketView): Registered | null => {
    if (message.method !== 'REGISTER' && message.cseqMethod !== 'REGISTER') return null;
    const pair = peers.pairOf(packet);
    if (pair === null) return null;
    const key = `${message.callId} ${message.cseq} ${message.branch}`;
    if (message.status === 0) {
      ask(key, pair, message, bytes);
      return null;
    }
    const pending = pair.isFromHost ? waiting.fromPeers : waiting.fromHosts;
    const asked = pending.get(key);
    if (asked === undefined || !isBetween(asked.pair, pair) || message.status < 200) return null;
    pending.delete(key);
    if (message.status >= 300) return null;
    return { pair, callId: asked.callId, seconds: granted(asked, message, bytes) };
  };
}

function isBetween(asked: StaticPair, { peer, host }: StaticPair): boolean {
  return asked.peer === peer && asked.host === host;
}

function granted({ wanted }: Pending, { expires }: SipMessage, bytes: Buffer): number {
  if (wanted === 0) return 0;
  const { contacts, seconds } = bindingsIn(bytes);
  if (contacts === 0) return 0;
  return Math.min(seconds ?? expires ?? wanted ?? USUAL_SECONDS, LONGEST_REGISTRATION / 1000);
}
