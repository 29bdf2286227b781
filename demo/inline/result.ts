import type { Datagram } from './capture.ts';
import { ADDRESSES, type Host, SIP_PORTS } from './network.ts';

/** What one side sent and the other got, by the captures at both. */
export interface Way {
  readonly from: Host;
  readonly to: Host;
  readonly media: { readonly sent: number; readonly received: number };
  /** Media streams (one source and destination port) and how many of them lost their first packet. */
  readonly streams: { readonly all: number; readonly firstLost: number };
  /** `modified`: bytes that differ. A message that did not arrive counts with all of its bytes. */
  readonly sip: { readonly sent: number; readonly received: number; readonly modified: number };
  /** ms that each SIP message took from one host to the other. */
  readonly transit: readonly number[];
}

export type Captures = Readonly<Record<Host, readonly Datagram[]>>;

const isSip = ({ sourcePort, destinationPort }: Datagram): boolean =>
  [sourcePort, destinationPort].some((port) => port >= SIP_PORTS.first && port <= SIP_PORTS.last);

/** Compares what left one host with what arrived at the other. */
export function compareWay(captures: Captures, from: Host, to: Host): Way {
  const between = ({ source, destination }: Datagram) =>
    source === ADDRESSES[from] && destination === ADDRESSES[to];
  const sent = captures[from].filter(between);
  const received = captures[to].filter(between);
  const sip = { sent: sent.filter(isSip), received: received.filter(isSip) };
  const media = { sent: sent.filter((one) => !isSip(one)), received: received.filter((one) => !isSip(one)) };
  const streams = byStream(media.sent);
  const arrived = byStream(media.received);
  let firstLost = 0;
  for (const [name, [first]] of streams) {
    if (!arrived.get(name)?.[0]?.payload.equals(first!.payload)) firstLost++;
  }
  return {
    from,
    to,
    media: { sent: media.sent.length, received: media.received.length },
    streams: { all: streams.size, firstLost },
    ...compareSip(sip.sent, sip.received),
  };
}

/** UDP through one queue stays in order: the nth that left is the nth that arrived. */
function compareSip(sent: readonly Datagram[], received: readonly Datagram[]): Pick<Way, 'sip' | 'transit'> {
  let modified = 0;
  const transit: number[] = [];
  for (let n = 0; n < Math.max(sent.length, received.length); n++) {
    const [before, after] = [sent[n], received[n]];
    modified += differing(before?.payload ?? Buffer.alloc(0), after?.payload ?? Buffer.alloc(0));
    if (before !== undefined && after !== undefined) transit.push(after.at - before.at);
  }
  return { sip: { sent: sent.length, received: received.length, modified }, transit };
}

function differing(one: Buffer, other: Buffer): number {
  let count = Math.abs(one.length - other.length);
  for (let at = 0; at < Math.min(one.length, other.length); at++) if (one[at] !== other[at]) count++;
  return count;
}

function byStream(datagrams: readonly Datagram[]): Map<string, Datagram[]> {
  const streams = new Map<string, Datagram[]>();
  for (const datagram of datagrams) {
    const name = `${datagram.sourcePort} ${datagram.destinationPort}`;
    const stream = streams.get(name);
    if (stream === undefined) streams.set(name, [datagram]);
    else stream.push(datagram);
  }
  return streams;
}

/** What the stranger sent, and what of it the others got. */
export function compareStranger(captures: Captures): { readonly sent: number; readonly arrived: number } {
  const own = (one: Datagram) => one.source === ADDRESSES.stranger;
  return {
    sent: captures.stranger.filter(own).length,
    arrived: [...captures.client, ...captures.server].filter(own).length,
  };
}
