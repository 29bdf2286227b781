import type { Address } from '../../../address/address.ts';
import { isEnabled, transportClass } from '../../../call/transport.ts';
import type { FramePlace } from '../../../history/call-report.ts';
import { printable } from '../../../printable.ts';
import type { Connection, Session, Stream } from '../../../sdp/session.ts';
import { addTo, MOST_REMEMBERED } from './bounds.ts';

/** A stream that a description announced without an address that anything could be sent to, or over nothing that is known. */
export interface Unaddressed {
  readonly owner: Address;
  readonly ports: readonly [first: number, last: number];
  /** Media type of its m= line, escaped. */
  readonly media: string;
  readonly connection: Connection;
  /** Its transport, where that is none that is known, or TCP, escaped; null otherwise. */
  readonly unknownTransport: string | null;
  readonly isTcp: boolean;
  readonly legId: string | null;
  readonly summary: string;
  readonly place: FramePlace;
  readonly at: number;
}

/** Where a description came from, as far as a stream without an address needs it. */
export type UnaddressedOrigin = Pick<Unaddressed, 'owner' | 'legId' | 'summary' | 'place' | 'at'>;

interface UnaddressedStreams {
  /** Looks in a description for streams without an address. */
  add(session: Session, origin: UnaddressedOrigin): void;
  /** The one that this host announced for this port. */
  at(owner: Address, port: number): Unaddressed | null;
  /** Those of a leg. */
  of(legId: string): readonly Unaddressed[];
}

/** Streams that were announced at a name, or nowhere. */
export function createUnaddressedStreams(): UnaddressedStreams {
  const byHost = new Map<Address, Unaddressed[]>();
  const byLeg = new Map<string, Unaddressed[]>();
  let kept = 0;

  function add({ streams }: Session, origin: UnaddressedOrigin): void {
    for (const stream of streams) {
      if (!isEnabled(stream)) continue;
      const { connection, port, portCount, media, proto, candidates } = stream;
      const ports = [port, port + Math.max(1, portCount) * 2 - 1] as const;
      const kind = transportClass(proto);
      const isTcp = kind === 'tcp' || kind === 'msrp' || kind === 'bfcp';
      const unknown = kind === null || isTcp ? printable(proto, 40) : null;
      note(connection, ports, media, origin, unknown, isTcp);
      for (const one of candidates) note(one.connection, [one.port, one.port], media, origin);
    }
  }

  function note(
    connection: Connection,
    ports: Unaddressed['ports'],
    media: Stream['media'],
    origin: UnaddressedOrigin,
    unknownTransport: string | null = null,
    isTcp = false,
  ): void {
    if (connection.kind === 'address' && unknownTransport === null) return;
    if (++kept > MOST_REMEMBERED) return;
    const one: Unaddressed = {
      ...{ ...origin, connection, ports, unknownTransport, isTcp },
      media: printable(media, 20),
    };
    addTo(byHost, one.owner, one);
    if (one.legId !== null) addTo(byLeg, one.legId, one);
  }

  return {
    add,
    at: (owner, port) =>
      byHost.get(owner)?.findLast(({ ports: [first, end] }) => first <= port && port <= end) ?? null,
    of: (legId) => byLeg.get(legId) ?? [],
  };
}
