import { type Address, familyOf, type TransportAddress } from '../address/address.ts';

/** One call's messages (RFC 3261), without what no rule and no inspector asks for. */
interface Messages {
  invite(body: string): string;
  ok(body: string): string;
  ack(): string;
  bye(): string;
  okBye(): string;
}

/** `from` calls `to`; `callId` and the branches begin with `name`. */
export function messagesOf(name: string, from: TransportAddress, to: TransportAddress): Messages {
  const uri = (who: string, { address, port }: TransportAddress) =>
    `<sip:${who}@${bracketed(address)}:${port}>`;
  const message = (start: string, method: string, cseq: number, tag: string, body: string) =>
    [
      start,
      `Via: SIP/2.0/UDP ${bracketed(from.address)}:${from.port};branch=z9hG4bK${name}${cseq}${method};rport`,
      'Max-Forwards: 70',
      `From: ${uri('pinholed-selftest', from)};tag=${name}a`,
      `To: ${uri('pinholed-selftest', to)}${tag}`,
      `Call-ID: ${name}@pinholed.invalid`,
      `CSeq: ${cseq} ${method}`,
      `Contact: ${uri('pinholed-selftest', start.startsWith('SIP') ? to : from)}`,
      ...(body === '' ? [] : ['Content-Type: application/sdp']),
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n');
  const request = (method: string) =>
    `${method} sip:pinholed-selftest@${bracketed(to.address)}:${to.port} SIP/2.0`;
  const tag = `;tag=${name}b`;
  return {
    invite: (body) => message(request('INVITE'), 'INVITE', 1, '', body),
    ok: (body) => message('SIP/2.0 200 OK', 'INVITE', 1, tag, body),
    ack: () => message(request('ACK'), 'ACK', 1, tag, ''),
    bye: () => message(request('BYE'), 'BYE', 2, tag, ''),
    okBye: () => message('SIP/2.0 200 OK', 'BYE', 2, tag, ''),
  };
}

/** A description of streams of audio at one address, one for each port (RFC 8866). */
export function audioAt(address: Address, ...ports: readonly number[]): string {
  const type = familyOf(address) === 4 ? 'IP4' : 'IP6';
  const session = ['v=0', `o=- 1 1 IN ${type} ${address}`, 's=-', `c=IN ${type} ${address}`, 't=0 0'];
  const streams = ports.map((port) => `m=audio ${port} RTP/AVP 0`);
  return `${[...session, ...streams].join('\r\n')}\r\n`;
}

function bracketed(address: Address): string {
  return familyOf(address) === 4 ? address : `[${address}]`;
}
