import type { Datagram } from './capture.ts';
import { ADDRESSES, type Host, SIP_PORTS } from './network.ts';

/** What one side sent and the other got, by the captures at both. */
export interface Way {
  readonly media: { readonly sent: number; readonly received: number };
  /** Media streams (source and destination with their ports) and how many of them lost their first packet. */
  readonly streams: { readonly all: number; readonly firstLost: number };
  /** `modified`: bytes that differ. A message that did not arrive counts with all of its bytes. */
  readonly sip: { readonly sent: number; readonly received: number; readonly modified: number };
  /** ms that each SIP message took from one host to the other. */
  readonly transit: readonly number[];
}

export type Captures = Readonly<Record<Host, readonly Datagram[]>>;

const isSip = ({ sourcePort, destinationPort }: Datagram): boolean =>
  [sourcePort, destinationPort].some((port) => port >= SIP_PORTS.first && port <= SIP_PORTS.last);

/** Compares the datagrams that left one host with those that arrived at the other. */
export function compareWay(sent: readonly Datagram[], received: readonly Datagram[]): Way {
  const sip = { sent: sent.filter(isSip), received: received.filter(isSip) };
  const media = { sent: sent.filter((one) => !isSip(one)), received: received.filter((one) => !isSip(one)) };
  const streams = byStream(media.sent);
  const arrived = byStream(media.received);
  let firstLost = 0;
  for (const [name, [first]] of streams) {
    if (!arrived.get(name)?.[0]?.payload.equals(first!.payload)) firstLost++;
  }
  return {
    media: { sent: media.sent.length, received: media.received.length },
    streams: { all: streams.size, firstLost },
    ...compareSip(sip.sent, sip.received),
  };
}

/** What went from one address to another. */
export function between(datagrams: readonly Datagram[], from: string, to: string): Datagram[] {
  return datagrams.filter(({ source, destination }) => source === from && destination === to);
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
    const { source, sourcePort, destination, destinationPort } = datagram;
    const name = `${source} ${sourcePort} ${destination} ${destinationPort}`;
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
