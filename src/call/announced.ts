import type { Address } from '../address/address.ts';
import { type PortRange, portRange } from '../address/ports.ts';
import { extended } from '../lists.ts';
import type { Candidate, Connection, Session } from '../sdp/session.ts';
import { lastPort } from './transport.ts';

/** Ports at an address that could be opened, with who named them first in a Call-ID. */
export interface Announced {
  readonly address: Address;
  readonly ports: PortRange;
  /** An outside party did. A host inside that passes them on has not announced itself. */
  readonly outside: boolean;
}

/** What was announced in a Call-ID, oldest first. With each addition another list: it is kept as long as the call. */
export type Announcements = readonly Announced[];

export const NOTHING_ANNOUNCED: Announcements = [];

/**
 * What is kept for one Call-ID. Of an address that is named once more from outside every port counts as named, and, when
 * there are as many of those, every port of every address that nobody had named before.
 */
const MOST = 256;
const ALL_PORTS = portRange(0, 65535);

/** Takes down what a description names at addresses that could be opened. */
export function announce(
  before: Announcements,
  { streams }: Session,
  outside: boolean,
  isOpenable: (address: Address) => boolean,
): Announcements {
  let list = before;
  for (const stream of streams) {
    const { port, connection, rtcp, candidates } = stream;
    list = withPorts(list, connection, portRange(port, lastPort(stream)), outside, isOpenable);
    if (rtcp !== null) {
      const ports = portRange(rtcp.port, rtcp.port);
      list = withPorts(list, rtcp.connection ?? connection, ports, outside, isOpenable);
    }
    list = announceCandidates(list, candidates, outside, isOpenable);
  }
  return list;
}

/** The same for candidates (RFC 8839, 8840). */
export function announceCandidates(
  before: Announcements,
  candidates: readonly Candidate[],
  outside: boolean,
  isOpenable: (address: Address) => boolean,
): Announcements {
  let list = before;
  for (const { connection, port } of candidates) {
    list = withPorts(list, connection, portRange(port, port), outside, isOpenable);
  }
  return list;
}

function withPorts(
  list: Announcements,
  connection: Connection,
  ports: PortRange,
  outside: boolean,
  isOpenable: (address: Address) => boolean,
): Announcements {
  if (ports[0] === 0 || connection.kind !== 'address' || !isOpenable(connection.address)) return list;
  const { address } = connection;
  if (isCovered(list, address, ports)) return list;
  if (list.length < MOST) return extended(list, { address, ports, outside });
  return outside && list.length < 2 * MOST ? extended(list, { address, ports: ALL_PORTS, outside }) : list;
}

/** With what another firewall has taken down for the same Call-ID, after what is known here. */
export function mergeAnnounced(own: Announcements, theirs: Announcements): Announcements {
  let list = own;
  for (const one of theirs) {
    if (isCovered(list, one.address, one.ports)) continue;
    if (list.length < (one.outside ? 2 * MOST : MOST)) list = extended(list, one);
  }
  return list;
}

/** Whether one entry has all of these ports. */
function isCovered(list: Announcements, address: Address, [first, last]: PortRange): boolean {
  return list.some((one) => one.address === address && one.ports[0] <= first && last <= one.ports[1]);
}

/** Whether one of these ports was named by an outside party before anybody else named it. */
export function isNamedOutside(list: Announcements, connection: Connection, ports: PortRange): boolean {
  if (connection.kind !== 'address' || !list.some(({ outside }) => outside)) return false;
  const isFull = list.length >= 2 * MOST;
  const own = list.filter(({ address }) => address === connection.address);
  for (let port = ports[0]; port <= ports[1]; port++) {
    const first = own.find((one) => one.ports[0] <= port && port <= one.ports[1]);
    if (first === undefined ? isFull : first.outside) return true;
  }
  return false;
}
