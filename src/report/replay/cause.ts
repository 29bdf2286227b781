import type { Address } from '../../address/address.ts';
import type { Refusal } from '../../call/refusal.ts';
import type { Wanted } from '../../call/wanted.ts';
import type { Announcement, Announcements } from './announced.ts';
import type { Place } from './model.ts';
import type { PinholeJournal, PinholeRecord } from './pinholes.ts';

/** Why a packet was blocked, as far as it can be said at that moment. Equal keys are equal causes. */
export type Cause = { readonly key: string } & (
  | {
      /** There were pinholes for its destination, but none for its source. */
      readonly kind: 'wrong-source';
      readonly pinholes: readonly PinholeRecord[];
      /** Whether the call had its answer already. */
      readonly agreed: boolean;
    }
  | { readonly kind: 'closed'; readonly pinhole: PinholeRecord }
  | { readonly kind: 'refused'; readonly announcement: Announcement; readonly refusal: Refusal }
  | { readonly kind: 'not-opened'; readonly announcement: Announcement }
  | { readonly kind: 'unannounced' }
);

/** What was refused, by the transport address or the message it was about. */
export interface RefusalIndex {
  add(refusal: Refusal, wanted: Wanted | null, place: Place): void;
  of(announcement: Announcement, address: Address, port: number): Refusal | null;
}

/** More ports of one refused transport are not looked at one by one. */
const MAX_PORTS = 32;

export function createRefusalIndex(): RefusalIndex {
  const byPort = new Map<string, Refusal>();
  const byMessage = new Map<string, Refusal>();

  function add(refusal: Refusal, wanted: Wanted | null, place: Place): void {
    if (wanted === null) {
      byMessage.set(`${place.file} ${place.frame}`, refusal);
    } else if (wanted.connection.kind === 'address') {
      const [first, last] = wanted.ports;
      for (let port = first; port <= last && port < first + MAX_PORTS; port++) {
        byPort.set(`${wanted.connection.address} ${port} ${wanted.owner}`, refusal);
      }
    }
  }

  return {
    add,
    of: ({ place, owner }, address, port) =>
      byMessage.get(`${place.file} ${place.frame}`) ?? byPort.get(`${address} ${port} ${owner}`) ?? null,
  };
}

/** The cause for which a packet to this destination is blocked right now. */
export function findCause(
  destination: Address,
  port: number,
  announcements: Announcements,
  pinholes: PinholeJournal,
  refusals: RefusalIndex,
): Cause {
  const open = [...pinholes.openAt(destination, port)];
  if (open.length > 0) {
    const agreed = open.some(({ held }) => held?.agreed === true);
    const key = `wrong-source ${agreed} ${open.map(({ call, id }) => `${call} ${id}`).join()}`;
    return { kind: 'wrong-source', key, pinholes: open, agreed };
  }
  const closed = pinholes.closedAt(destination, port);
  const announcement = announcements.at(destination, port).at(-1);
  if (closed !== null && (announcement === undefined || announcement.at <= closed.openedAt)) {
    return { kind: 'closed', key: `closed ${closed.call} ${closed.id} ${closed.closedAt}`, pinhole: closed };
  }
  if (announcement === undefined) return { kind: 'unannounced', key: 'unannounced' };
  const { file, frame } = announcement.place;
  const refusal = refusals.of(announcement, destination, port);
  if (refusal !== null) {
    return { kind: 'refused', key: `refused ${refusal.reason} ${file} ${frame}`, announcement, refusal };
  }
  if (closed !== null && closed.call === announcement.call) {
    return { kind: 'closed', key: `closed ${closed.call} ${closed.id} ${closed.closedAt}`, pinhole: closed };
  }
  return { kind: 'not-opened', key: `not-opened ${file} ${frame}`, announcement };
}
