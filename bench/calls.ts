/** Calls that benchmarks make up. */
import type { Buffer } from 'node:buffer';
import type { Stamp } from '../src/daemon/peers/stamp.ts';
import { writeCall } from '../src/inspector/record.ts';
import type { Inspector } from '../src/inspector.ts';
import { udpPacket } from '../test/packets.ts';
import { host, sdp, sip } from '../test/scene.ts';

export const CLIENT = host('192.0.2.10');
export const SERVER = host('198.51.100.20');

/** What is in a call's messages beside what there has to be: lines of headers, and attributes of its audio. */
export interface Dress {
  readonly headers?: readonly string[];
  readonly attributes?: readonly string[];
}

/** The seven messages of a call from CLIENT to SERVER, as packets. */
export function callPackets(number: number, { headers = [], attributes = [] }: Dress = {}): Buffer[] {
  const to = `t${number}`;
  const port = 10_000 + ((number * 2) % 40_000);
  const make = (start: string, more: Parameters<typeof sip>[1] = {}) =>
    sip(start, { callId: `bench-${number}@example.com`, from: `f${number}`, headers, ...more });
  const body = ({ address }: typeof CLIENT) => sdp(address, [{ port, attributes }]);
  return [
    udpPacket(CLIENT, SERVER, make('INVITE', { body: body(CLIENT) })),
    udpPacket(SERVER, CLIENT, make('100 INVITE')),
    udpPacket(SERVER, CLIENT, make('180 INVITE', { to })),
    udpPacket(SERVER, CLIENT, make('200 INVITE', { to, body: body(SERVER) })),
    udpPacket(CLIENT, SERVER, make('ACK', { to, branch: `z9hG4bK-ack-${number}` })),
    udpPacket(CLIENT, SERVER, make('BYE', { to, cseq: 2 })),
    udpPacket(SERVER, CLIENT, make('200 BYE', { to, cseq: 2 })),
  ];
}

/** Has `count` calls answered, from this number on: of 250 telephones by 250 trunks, two ports of each for a call. */
export function callsUp(inspector: Inspector, first: number, count: number): void {
  for (let number = first; number < first + count; number++) {
    const phone = host(`192.0.2.${1 + (number % 250)}`);
    const trunk = host(`198.51.100.${1 + (Math.floor(number / 250) % 250)}`);
    const port = 10_000 + 2 * (Math.floor(number / 250) % 20_000);
    const given = { callId: `there-${number}@example.com`, from: `f${number}` };
    const offer = sip('INVITE', { ...given, body: sdp(phone.address, [port]) });
    const answer = sip('200 INVITE', { ...given, to: 'b', body: sdp(trunk.address, [port]) });
    inspector.inspect(udpPacket(phone, trunk, offer), 1, null);
    inspector.inspect(udpPacket(trunk, phone, answer), 1, null);
    inspector.inspect(udpPacket(phone, trunk, sip('ACK', { ...given, to: 'b' })), 1, null);
  }
}

/** The firewall that writes calls down, and reads them. */
export const SCRIBE = { machine: '000000ff', boot: null, now: () => 1, wall: Date.now };

export function stampOf(version: number): Stamp {
  return { generation: 0, phase: 1, version, machine: SCRIBE.machine };
}

/** Its calls as a store has them. */
export function recordsOf(inspector: Inspector): readonly { readonly name: string; readonly text: string }[] {
  return [...inspector.calls()].map(({ legId }) => ({
    name: legId,
    text: writeCall(inspector.dump(legId)!, SCRIBE),
  }));
}
