import type { Address } from '../address/address.ts';
import type { Candidate, Connection, Session } from '../sdp/session.ts';
import { lastPort } from './transport.ts';

/** Ports at an address that could be opened, with who named them first in a Call-ID. */
export interface Announced {
  readonly address: Address;
  readonly ports: readonly [first: number, last: number];
  /** An outside party did. A host inside that passes them on has not announced itself. */
  readonly outside: boolean;
}

/** What was announced in a Call-ID, oldest first, and may be added to. */
export type Announcements = Announced[];

/** What is kept for one Call-ID. Of an address that is named once more from outside every port counts as named. */
const MOST = 256;
const ALL_PORTS = [0, 65535] as const;

/** Takes down what a description names at addresses that could be opened. */
export function announce(
  list: Announcements,
  { streams }: Session,
  outside: boolean,
  isOpenable: (address: Address) => boolean,
): void {
  for (const stream of streams) {
    const { port, connection, rtcp, candidates } = stream;
    add(list, connection, [port, lastPort(stream)], outside, isOpenable);
    if (rtcp !== null) add(list, rtcp.connection ?? connection, [rtcp.port, rtcp.port], outside, isOpenable);
    announceCandidates(list, candidates, outside, isOpenable);
  }
}

/** The same for candidates (RFC 8839, 8840). */
export function announceCandidates(
  list: Announcements,
  candidates: readonly Candidate[],
  outside: boolean,
  isOpenable: (address: Address) => boolean,
): void {
  for (const { connection, port } of candidates) add(list, connection, [port, port], outside, isOpenable);
}

function add(
  list: Announcements,
  connection: Connection,
  ports: Announced['ports'],
  outside: boolean,
  isOpenable: (address: Address) => boolean,
): void {
  if (ports[0] === 0 || connection.kind !== 'address' || !isOpenable(connection.address)) return;
  const { address } = connection;
  if (isCovered(list, address, ports)) return;
  if (list.length < MOST) list.push({ address, ports, outside });
  else if (outside && list.length < 2 * MOST) list.push({ address, ports: ALL_PORTS, outside });
}

/** Adds what another firewall has taken down for the same Call-ID, after what is known here. */
export function mergeAnnounced(list: Announcements, theirs: readonly Announced[]): void {
  for (const one of theirs) {
    if (isCovered(list, one.address, one.ports)) continue;
    if (list.length < (one.outside ? 2 * MOST : MOST)) list.push(one);
  }
}

/** Whether one entry has all of these ports. */
function isCovered(list: readonly Announced[], address: Address, [first, last]: Announced['ports']): boolean {
  return list.some((one) => one.address === address && one.ports[0] <= first && last <= one.ports[1]);
}

/** Whether one of these ports was named by an outside party before anybody else named it. */
export function isNamedOutside(
  list: readonly Announced[],
  connection: Connection,
  ports: Announced['ports'],
): boolean {
  if (connection.kind !== 'address' || !list.some(({ outside }) => outside)) return false;
  const own = list.filter(({ address }) => address === connection.address);
  for (let port = ports[0]; port <= ports[1]; port++) {
    const first = own.find((one) => one.ports[0] <= port && port <= one.ports[1]);
    if (first?.outside === true) return true;
  }
  return false;
}
