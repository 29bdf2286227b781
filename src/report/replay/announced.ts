import type { Address } from '../../address/address.ts';
import { endpointsOf } from '../../call/transport.ts';
import type { MediaKind, Side } from '../../call/wanted.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { PlaceChanges } from '../../pinhole/place-changes.ts';
import { printable } from '../../printable.ts';
import { type Codecs, codecsIn } from '../../sdp/codecs.ts';
import type { Session, Stream } from '../../sdp/session.ts';

/** A transport address that a session description named. */
export interface Announcement {
  readonly address: Address;
  readonly ports: readonly [first: number, last: number];
  readonly kind: MediaKind;
  /** Media type of its m= line, escaped. */
  readonly media: string;
  /** Type of the ICE candidate (host, srflx, relay); null for the address of the stream itself. */
  readonly candidate: string | null;
  /** Source of the packet that said so. */
  readonly owner: Address;
  /** Which party of the leg that was; null when it was none, or there is no leg. */
  readonly side: Side | null;
  /** Of its m= line. */
  readonly codecs: Codecs;
  readonly callId: string;
  /** Id of the leg, null when the message belongs to none. */
  readonly legId: string | null;
  /** `INVITE`, `200 OK`. */
  readonly summary: string;
  readonly place: FramePlace;
  readonly at: number;
}

/** Where a description came from. */
type Origin = Pick<Announcement, 'owner' | 'side' | 'callId' | 'legId' | 'summary' | 'place' | 'at'>;

export interface AnnouncementIndex {
  add(session: Session, origin: Origin): void;
  /** Those that name this port, oldest first. */
  at(address: Address, port: number): readonly Announcement[];
  /** The latest one of this address before `time` (ms), whatever its port; else the first after. */
  near(address: Address, time: number): Announcement | null;
  /** Those of this address that are kept, oldest first: the first and the latest ones. */
  of(address: Address): readonly Announcement[];
  /** The latest one that this host made for this port of some other address. */
  ownedElsewhere(owner: Address, port: number): Announcement | null;
  /** The latest one of this port at any address. */
  ofPort(port: number): Announcement | null;
  /** Whether any description named this address. */
  names(address: Address): boolean;
}

/** How many announcements are kept of one address for `near`: the first and the latest ones. */
const KEPT_OF_ADDRESS = 8;

/**
 * Remembers which transport addresses were announced by whom; one that is said again is kept once. `places` is told where
 * there is another one.
 */
export function createAnnouncements(places: Pick<PlaceChanges, 'changed'>): AnnouncementIndex {
  const byPort = new Map<string, Announcement[]>();
  const byAddress = new Map<Address, Announcement[]>();
  const byOwner = new Map<string, Announcement>();
  const latest = new Map<number, Announcement>();

  function add(session: Session, origin: Origin): void {
    const { owner, side, callId, legId, summary, place, at } = origin;
    for (const stream of session.streams) {
      const codecs = codecsIn(stream.codecs);
      for (const { protocol, connection, ports, kind } of endpointsOf(stream, null, false)) {
        if (protocol !== 'udp' || connection.kind !== 'address') continue;
        addOne({
          address: connection.address,
          ports,
          kind,
          media: printable(stream.media, 20),
          candidate: null,
          codecs,
          owner,
          side,
          callId,
          legId,
          summary,
          place,
          at,
        });
      }
      addCandidates(stream, codecs, origin);
    }
  }

  function addCandidates({ candidates, media }: Stream, codecs: Codecs, origin: Origin): void {
    if (candidates.length === 0) return;
    const { owner, side, callId, legId, summary, place, at } = origin;
    for (const { component, transport, connection, port, type } of candidates) {
      if (transport !== 'udp' || connection.kind !== 'address' || port === 0) continue;
      const known = byPort.get(`${connection.address} ${port}`)?.at(-1);
      if (known !== undefined && known.place === origin.place) continue;
      const kind = component === 2 ? 'rtcp' : 'rtp';
      const ports = [port, port] as const;
      addOne({
        address: connection.address,
        ports,
        kind,
        media: printable(media, 20),
        candidate: type,
        codecs,
        owner,
        side,
        callId,
        legId,
        summary,
        place,
        at,
      });
    }
  }

  function addOne(announcement: Announcement): void {
    const { address, ports, owner } = announcement;
    const known = byPort.get(`${address} ${ports[0]}`)?.at(-1);
    const repeated =
      known !== undefined &&
      known.owner === owner &&
      known.legId === announcement.legId &&
      known.callId === announcement.callId &&
      known.kind === announcement.kind &&
      known.codecs.size === announcement.codecs.size &&
      known.ports[1] === ports[1];
    if (repeated) return;
    for (let port = ports[0]; port <= ports[1]; port++) {
      const key = `${address} ${port}`;
      const list = byPort.get(key);
      if (list === undefined) byPort.set(key, [announcement]);
      else list.push(announcement);
      places.changed(address, port);
      if (address !== owner) byOwner.set(`${owner} ${port}`, announcement);
      latest.set(port, announcement);
    }
    const list = byAddress.get(address) ?? [];
    list.push(announcement);
    if (list.length > KEPT_OF_ADDRESS) list.splice(1, 1);
    byAddress.set(address, list);
  }

  function near(address: Address, time: number): Announcement | null {
    const list = byAddress.get(address) ?? [];
    return list.findLast(({ at }) => at <= time) ?? list[0] ?? null;
  }

  return {
    add,
    at: (address, port) => byPort.get(`${address} ${port}`) ?? [],
    near,
    of: (address) => byAddress.get(address) ?? [],
    ownedElsewhere: (owner, port) => byOwner.get(`${owner} ${port}`) ?? null,
    ofPort: (port) => latest.get(port) ?? null,
    names: (address) => byAddress.has(address),
  };
}
