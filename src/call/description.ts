import { type Address, familyOf } from '../address/address.ts';
import { printable } from '../printable.ts';
import { type Connection, isSession, type SdpError, type Session, type Stream } from '../sdp/session.ts';
import type { Refusal } from './refusal.ts';
import { isEnabled, transportClass } from './transport.ts';

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
  const { streams, streamsDropped } = session;
  if (streams.length === 1 && streamsDropped === 0) return describeStream(streams[0]!);
  const phrases = streams.slice(0, MAX_STREAMS).map(describeStream);
  const more = streams.length + streamsDropped - phrases.length;
  if (more > 0) phrases.push(`${more} more`);
  return phrases.length === 0 ? 'no media' : phrases.join(', ');
}

/** The description of a message in one phrase, or what is wrong with it; null when there is none. */
export function describeReading(session: Session | SdpError | Refusal | null): string | null {
  if (session === null) return null;
  return isSession(session) ? describeSession(session) : `unusable SDP: ${session.detail}`;
}

/** Built by appending: it is done for each description on the packet path. */
function describeStream(stream: Stream): string {
  const { media, port, rtcp, direction, candidates } = stream;
  const name = printable(media, 16);
  if (!isEnabled(stream)) return `${name} off`;
  const kind = transportClass(stream.proto);
  let text = `${name} ${place(stream.connection, port, stream.portCount)}`;
  if (kind === 'rtp') {
    if (stream.rtcpMuxOnly) text += ' rtcp-mux-only';
    else if (stream.rtcpMux) text += ' rtcp-mux';
    if (rtcp !== null && rtcp.connection !== null && !same(rtcp.connection, stream.connection)) {
      text += ` rtcp ${place(rtcp.connection, rtcp.port, 1)}`;
    } else if (rtcp !== null || !stream.rtcpMux) {
      text += ` rtcp ${rtcp?.port ?? port + 1}`;
    }
  } else {
    text += ` ${kind ?? printable(stream.proto, 24)}`;
  }
  if (direction !== 'sendrecv') text += ` ${direction}`;
  if (candidates.length > 0) text += ` ${candidates.length} candidate${candidates.length === 1 ? '' : 's'}`;
  return text;
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
