import { addressBytes, type TransportAddress } from '../../address/address.ts';
import { createInspector, type InspectorSettings } from '../../inspector.ts';

/** Of networks for documentation (RFC 5737). */
const CALLER: TransportAddress = { address: '192.0.2.1', port: 5060 };
const CALLEE: TransportAddress = { address: '198.51.100.1', port: 5060 };
const CALLS = 3;

/**
 * Inspects some calls of nobody's, of which nothing remains, before the first packet is waited for. The code that a packet
 * needs is compiled as it is used first: a slow machine, or one that starts with many other things, would take longer over
 * its first call than the supervisor waits for a heartbeat. Returns how many pinholes these calls would have opened and closed.
 */
export function warmUp(settings: InspectorSettings): { readonly opened: number; readonly closed: number } {
  let opened = 0;
  let closed = 0;
  const inspector = createInspector(() => ({ ...settings, inside: 'any' }));
  for (let call = 1; call <= CALLS; call++) {
    const messages = [
      { from: CALLER, to: CALLEE, text: message('INVITE', call, '', CALLER) },
      { from: CALLEE, to: CALLER, text: message('200 INVITE', call, ';tag=b', CALLEE) },
      { from: CALLER, to: CALLEE, text: message('ACK', call, ';tag=b', null) },
      { from: CALLER, to: CALLEE, text: message('BYE', call, ';tag=b', null) },
      { from: CALLEE, to: CALLER, text: message('200 BYE', call, ';tag=b', null) },
    ];
    for (const [index, { from, to, text }] of messages.entries()) {
      const { change } = inspector.inspect(datagram(from, to, text), call * 1000 + index);
      opened += change?.open.length ?? 0;
      closed += change?.close.length ?? 0;
    }
  }
  closed += inspector.tick(CALLS * 1000 + settings.timers.drain + 1000).change?.close.length ?? 0;
  return { opened, closed };
}

/** A request, or with a status before its method a response, and a session description of `media`. */
function message(start: string, call: number, toTag: string, media: TransportAddress | null): string {
  const [first = '', of] = start.split(' ');
  const method = of ?? first;
  const cseq = method === 'BYE' ? 2 : 1;
  const body =
    media === null
      ? ''
      : `v=0\r\no=- 1 1 IN IP4 ${media.address}\r\ns=-\r\nc=IN IP4 ${media.address}\r\nt=0 0\r\n` +
        `m=audio ${20_000 + 10 * call} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n`;
  return [
    of === undefined ? `${method} sip:b@${CALLEE.address} SIP/2.0` : `SIP/2.0 ${first} OK`,
    `Via: SIP/2.0/UDP ${CALLER.address}:5060;branch=z9hG4bK-${call}-${cseq}-${method}`,
    `From: <sip:a@${CALLER.address}>;tag=a`,
    `To: <sip:b@${CALLEE.address}>${toTag}`,
    `Call-ID: warm-up-${call}`,
    `CSeq: ${cseq} ${method}`,
    `Contact: <sip:${CALLER.address}>`,
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

/** IPv4 with UDP (RFC 791, RFC 768), without checksums, which nobody looks at. */
function datagram(from: TransportAddress, to: TransportAddress, text: string): Buffer {
  const packet = Buffer.alloc(28 + text.length);
  packet.writeUInt8(0x45, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt8(64, 8);
  packet.writeUInt8(17, 9);
  packet.set(addressBytes(from.address), 12);
  packet.set(addressBytes(to.address), 16);
  packet.writeUInt16BE(from.port, 20);
  packet.writeUInt16BE(to.port, 22);
  packet.writeUInt16BE(8 + text.length, 24);
  packet.write(text, 28, 'latin1');
  return packet;
}
