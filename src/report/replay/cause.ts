import type { Address } from '../../address/address.ts';
import type { Refusal } from '../../call/refusal.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { PinholeSearch, PinholeTrace } from '../../history/pinholes.ts';
import type { RefusedHappening } from '../../inspector/happening.ts';
import type { Announcement, AnnouncementIndex } from './announced.ts';

/** Why a packet was blocked, as far as it can be said at that moment. Equal keys are equal causes. */
export type Cause = { readonly key: string } & (
  | {
      /** There were pinholes for its destination, but none for its source. */
      readonly kind: 'wrong-source';
      readonly pinholes: readonly PinholeTrace[];
      /** Whether the call had its answer already. */
      readonly agreed: boolean;
    }
  | { readonly kind: 'closed'; readonly pinhole: PinholeTrace }
  | { readonly kind: 'refused'; readonly announcement: Announcement; readonly refusal: Refusal }
  | { readonly kind: 'not-opened'; readonly announcement: Announcement }
  | { readonly kind: 'unannounced' }
);

/** What was refused, by the transport address or the message it was about. */
export interface RefusalIndex {
  add(event: RefusedHappening, place: FramePlace): void;
  /** The refusal for which nothing was opened for this port of an announcement. */
  of(announcement: Announcement, address: Address, port: number): Refusal | null;
  /** The refusal of the whole message. */
  ofMessage(place: FramePlace): Refusal | null;
}

/** More ports of one refused transport are not looked at one by one. */
const MAX_PORTS = 32;
/** Refusals of one message that are kept. */
const MAX_OF_MESSAGE = 16;

/** Refusals of one stream, or of one line, of a description whose other streams may well be open. */
const OF_STREAM: ReadonlySet<Refusal['reason']> = new Set([
  'no-address',
  'hostname-address',
  'on-hold',
  'unusable-address',
  'unknown-transport',
  'tcp-media',
  'extra-stream',
  'fewer-streams',
  'too-many-streams',
]);
/** Said beside a message, not instead of what it asks for. */
const BESIDE: ReadonlySet<Refusal['reason']> = new Set(['missing-ack', 'not-inside']);

export function createRefusalIndex(): RefusalIndex {
  const byPort = new Map<string, Refusal>();
  const byMessage = new Map<string, Refusal[]>();

  function add({ refusal, transport }: RefusedHappening, place: FramePlace): void {
    if (transport === null) {
      const key = `${place.file} ${place.frame}`;
      const list = byMessage.get(key);
      if (list === undefined) byMessage.set(key, [refusal]);
      else if (list.length < MAX_OF_MESSAGE) list.push(refusal);
    } else if (transport.address !== null) {
      const [first, last] = transport.ports;
      for (let port = first; port <= last && port < first + MAX_PORTS; port++) {
        byPort.set(`${transport.address} ${port} ${transport.owner}`, refusal);
      }
    }
  }

  function refusalsAt({ file, frame }: FramePlace): readonly Refusal[] {
    return byMessage.get(`${file} ${frame}`) ?? [];
  }

  function ofMessage(place: FramePlace): Refusal | null {
    return refusalsAt(place).find(({ reason }) => !OF_STREAM.has(reason) && !BESIDE.has(reason)) ?? null;
  }

  function of({ place, owner, media, ports }: Announcement, address: Address, port: number): Refusal | null {
    const own = ofMessage(place) ?? byPort.get(`${address} ${port} ${owner}`);
    if (own !== undefined) return own;
    const some = refusalsAt(place).filter(({ reason }) => OF_STREAM.has(reason));
    return (
      some.find(({ detail }) => detail.includes(`m=${media} ${ports[0]}`)) ??
      some.find(({ detail }) => detail.includes(`m=${media}`)) ??
      some.find(({ reason }) => reason === 'fewer-streams' || reason === 'too-many-streams') ??
      null
    );
  }

  return { add, of, ofMessage };
}

/** The cause for which a packet to this destination is blocked right now. */
export function findCause(
  destination: Address,
  port: number,
  announcements: AnnouncementIndex,
  pinholes: PinholeSearch,
  refusals: RefusalIndex,
): Cause {
  const open = pinholes.openAt(destination, port);
  if (open.length > 0) {
    const agreed = open.some((one) => one.agreed);
    const key = `wrong-source ${agreed} ${open.map(({ legId, id }) => `${legId} ${id}`).join()}`;
    return { kind: 'wrong-source', key, pinholes: open, agreed };
  }
  const closed = pinholes.closedAt(destination, port);
  const announcement = announcements.at(destination, port).at(-1);
  if (closed !== null && (announcement === undefined || announcement.at <= closed.openedAt)) {
    return { kind: 'closed', key: `closed ${closed.legId} ${closed.id} ${closed.closedAt}`, pinhole: closed };
  }
  if (announcement === undefined) return { kind: 'unannounced', key: 'unannounced' };
  const { file, frame } = announcement.place;
  const refusal = refusals.of(announcement, destination, port);
  if (refusal !== null) {
    return { kind: 'refused', key: `refused ${refusal.reason} ${file} ${frame}`, announcement, refusal };
  }
  if (closed !== null && closed.legId === announcement.legId) {
    return { kind: 'closed', key: `closed ${closed.legId} ${closed.id} ${closed.closedAt}`, pinhole: closed };
  }
  return { kind: 'not-opened', key: `not-opened ${file} ${frame}`, announcement };
}
