// A capture of many calls, made up: what a trunk with telephones behind it looks like, in whatever size is wanted.
import { Buffer } from 'node:buffer';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { TransportAddress } from '../src/address/address.ts';
import { fileHeader } from '../src/report/pcap/write.ts';
import { udpPacket } from '../test/packets.ts';

export interface Shape {
  readonly calls: number;
  /** RTP packets of each direction of a call, 20 ms apart. */
  readonly packets: number;
  /** Calls that begin in a second. */
  readonly perSecond: number;
}

const PHONES = 500;
const GATEWAYS = 4;
/** 27 November 2026. */
const START = 1_795_737_600;
const ETHERNET = 1;
const CHUNK = 8 << 20;
/** ms ahead of which nothing is planned: longer than any pause within a call. */
const HORIZON = 4096;

/** Private telephones that call out by four gateways: caller, its media, gateway and its media. */
function endsOf(call: number): Record<'phone' | 'audio' | 'gateway' | 'relay', TransportAddress> {
  const phone = `10.20.${(call % PHONES) >> 8}.${(call % PHONES) & 0xff}`;
  const gateway = `203.0.113.${1 + (call % GATEWAYS)}`;
  return {
    phone: { address: phone, port: 5060 },
    audio: { address: phone, port: 10_000 + 2 * (Math.floor(call / PHONES) % 20_000) },
    gateway: { address: gateway, port: 5060 },
    relay: { address: gateway, port: 16_384 + 2 * (Math.floor(call / GATEWAYS) % 20_000) },
  };
}

/** The seven messages of a call: ms after its beginning, who speaks, start line, whose media address it announces. */
const SCRIPT = [
  [0, 'phone', 'INVITE', 'audio'],
  [8, 'gateway', '100 Trying', null],
  [180, 'gateway', '180 Ringing', null],
  [900, 'gateway', '200 OK', 'relay'],
  [910, 'phone', 'ACK', null],
  [-1, 'phone', 'BYE', null],
  [-1, 'gateway', '200 OK', null],
] as const;
const FIRST_OF_END = 5;
const TALK_AT = 920;

function messageOf(call: number, index: number): Buffer {
  const [, speaker, start, announces] = SCRIPT[index]!;
  const ends = endsOf(call);
  const method = index >= FIRST_OF_END ? 'BYE' : index === 4 ? 'ACK' : 'INVITE';
  const user = `sip:${200 + (call % PHONES)}@${ends.phone.address}`;
  const called = `sip:+4930${String(1_000_000 + ((call * 7919) % 9_000_000))}@${ends.gateway.address}`;
  const id = Math.imul(call + 1, 0x9e3779b1) >>> 0;
  const body =
    announces === null
      ? ''
      : [
          'v=0',
          `o=- ${id} 1 IN IP4 ${ends[announces].address}`,
          's=-',
          `c=IN IP4 ${ends[announces].address}`,
          't=0 0',
          `m=audio ${ends[announces].port} RTP/AVP 0 101`,
          'a=rtpmap:101 telephone-event/8000',
          '',
        ].join('\r\n');
  const lines = [
    index === 0 || index === 4 || index === FIRST_OF_END ? `${start} ${called} SIP/2.0` : `SIP/2.0 ${start}`,
    `Via: SIP/2.0/UDP ${ends.phone.address}:5060;branch=z9hG4bK${id.toString(16)}${method}`,
    `From: "Desk ${200 + (call % PHONES)}" <${user}>;tag=${id.toString(36)}`,
    `To: <${called}>${index < 2 ? '' : `;tag=${(id ^ 0x5555).toString(36)}`}`,
    `Call-ID: ${id.toString(16)}-${call}@${ends.phone.address}`,
    `CSeq: ${method === 'BYE' ? 2 : 1} ${method}`,
    `Contact: <sip:${ends[speaker].address}>`,
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    `Content-Length: ${body.length}`,
    '',
    body,
  ];
  const [from, to] = speaker === 'phone' ? [ends.phone, ends.gateway] : [ends.gateway, ends.phone];
  return framed(udpPacket(from, to, lines.join('\r\n')));
}

/** The record of a frame in the file, without its time: 16 bytes, then Ethernet. */
function framed(packet: Buffer): Buffer {
  const record = Buffer.alloc(30);
  record.writeUInt32LE(14 + packet.length, 8);
  record.writeUInt32LE(14 + packet.length, 12);
  record.writeUInt16BE(0x0800, 28);
  return Buffer.concat([record, packet]);
}

const IP = 30;
const RTP = IP + 28;

/** Both directions of a call's audio (RFC 3550, PCMU): noise, the two sources 20 ms apart each. */
function audioOf(call: number): readonly [Buffer, Buffer] {
  const { audio, relay } = endsOf(call);
  const payload = Buffer.alloc(172);
  payload[0] = 0x80;
  for (let at = 12; at < payload.length; at++) payload[at] = Math.imul(at + call, 0x9e3779b1) >>> 24;
  return [framed(udpPacket(audio, relay, payload)), framed(udpPacket(relay, audio, payload))];
}

interface Talk {
  readonly call: number;
  readonly audio: readonly [Buffer, Buffer];
  packet: number;
}

/**
 * Writes the capture (pcap, Ethernet, microseconds); the same for the same shape. Returns its frames and bytes. Packets come
 * up to 5 ms late; of each thousand of one direction one is lost.
 */
export function writeCalls(
  path: string,
  { calls, packets, perSecond }: Shape,
): { frames: number; bytes: number } {
  const file = openSync(path, 'w');
  const chunk = Buffer.alloc(CHUNK);
  let filled = fileHeader(ETHERNET).copy(chunk);
  let bytes = 0;
  let frames = 0;
  const numbers = new Uint16Array(1 << 16);
  const planned: (() => void)[][] = Array.from({ length: HORIZON }, () => []);
  let now = 0;
  let ofThisMs = 0;
  let under = 0;

  function flush(): void {
    writeSync(file, chunk, 0, filled);
    bytes += filled;
    filled = 0;
  }

  function put(record: Buffer): void {
    if (filled + record.length > CHUNK) flush();
    record.copy(chunk, filled);
    chunk.writeUInt32LE(START + Math.floor(now / 1000), filled);
    chunk.writeUInt32LE((now % 1000) * 1000 + Math.min(999, ofThisMs++), filled + 4);
    // RFC 791's identification: each host numbers its packets.
    const host = record.readUInt16BE(IP + 14);
    numbers[host]!++;
    chunk.writeUInt16BE(numbers[host]!, filled + IP + 4);
    filled += record.length;
    frames++;
  }

  function plan(after: number, what: () => void): void {
    planned[(now + after) % HORIZON]!.push(what);
  }

  function begin(call: number): void {
    under++;
    for (const [index, [at]] of SCRIPT.entries()) if (at >= 0) plan(at, () => put(messageOf(call, index)));
    const talk: Talk = { call, audio: audioOf(call), packet: 0 };
    plan(TALK_AT, () => speak(talk));
  }

  function speak(talk: Talk): void {
    for (const [way, record] of talk.audio.entries()) {
      const chance = Math.imul(talk.call * 2 + way + talk.packet * 977, 0x9e3779b1) >>> 0;
      if (chance % 1000 === 0) continue;
      const number = talk.packet;
      plan(1 + (chance % 6), () => {
        record.writeUInt16BE(number & 0xffff, RTP + 2);
        record.writeUInt32BE(number * 160, RTP + 4);
        record.writeUInt32BE((Math.imul(talk.call + 1, 0x85ebca6b) ^ way) >>> 0, RTP + 8);
        put(record);
      });
    }
    talk.packet++;
    if (talk.packet < packets) {
      plan(20, () => speak(talk));
      return;
    }
    plan(60, () => put(messageOf(talk.call, FIRST_OF_END)));
    plan(68, () => {
      put(messageOf(talk.call, FIRST_OF_END + 1));
      under--;
    });
  }

  for (let begun = 0; begun < calls || under > 0; now++) {
    while (begun < calls && begun * 1000 <= now * perSecond) begin(begun++);
    ofThisMs = 0;
    const due = planned[now % HORIZON]!.splice(0);
    for (const what of due) what();
  }
  flush();
  closeSync(file);
  return { frames, bytes };
}
