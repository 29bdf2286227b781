import { type Address, familyOf } from '../address/address.ts';
import { printable } from '../printable.ts';
import type { Connection, Session, Stream } from '../sdp/session.ts';
import { isEnabled } from './call.ts';
import { transportClass } from './transport.ts';

/** `192.0.2.10:49170`, `[2001:db8::1]:49170`. */
export function transportText(address: Address, port: number | string): string {
  return familyOf(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `49170`, `49170-49171`. */
export function portsText([first, last]: readonly [number, number]): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

const MAX_STREAMS = 6;

/**
 * A session description in one phrase: `audio 192.0.2.10:49170 rtcp 49171, video off`. Text of the sender is
 * escaped.
 */
export function describeSession(session: Session): string {
  const phrases = session.streams.slice(0, MAX_STREAMS).map(describeStream);
  const more = session.streams.length + session.streamsDropped - phrases.length;
  if (more > 0) phrases.push(`${more} more`);
  return phrases.length === 0 ? 'no media' : phrases.join(', ');
}

function describeStream(stream: Stream): string {
  const { media, port, rtcp, direction, candidates } = stream;
  const name = printable(media, 16);
  if (!isEnabled(stream)) return `${name} off`;
  const kind = transportClass(stream.proto);
  const words = [name, place(stream.connection, port, stream.portCount)];
  if (kind === 'rtp') {
    if (stream.rtcpMuxOnly) words.push('rtcp-mux-only');
    else if (stream.rtcpMux) words.push('rtcp-mux');
    if (rtcp !== null && rtcp.connection !== null && !same(rtcp.connection, stream.connection)) {
      words.push(`rtcp ${place(rtcp.connection, rtcp.port, 1)}`);
    } else if (rtcp !== null || !stream.rtcpMux) {
      words.push(`rtcp ${rtcp?.port ?? port + 1}`);
    }
  } else {
    words.push(kind ?? printable(stream.proto, 24));
  }
  if (direction !== 'sendrecv') words.push(direction);
  if (candidates.length > 0)
    words.push(`${candidates.length} candidate${candidates.length === 1 ? '' : 's'}`);
  return words.join(' ');
}

function place(connection: Connection, port: number, count: number): string {
  const ports = count > 1 ? `${port}/${count}` : `${port}`;
  switch (connection.kind) {
    case 'address':
      return transportText(connection.address, ports);
    case 'unspecified':
      return `0.0.0.0:${ports}`;
    case 'hostname':
      return `${printable(connection.name, 40)}:${ports}`;
    case 'none':
      return `?:${ports}`;
  }
}

function same(a: Connection, b: Connection): boolean {
  return a.kind === 'address' && b.kind === 'address' && a.address === b.address;
}
