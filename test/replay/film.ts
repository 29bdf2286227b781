import { Buffer } from 'node:buffer';
import { defaults } from '../../src/config/load.ts';
import type { InspectorSettings } from '../../src/inspector.ts';
import { type Frame, makeFrame } from '../../src/intercept/capture/frame.ts';
import type { FlowReport, ReplayReport } from '../../src/report/replay/model.ts';
import { createReplay, type ReplayOptions } from '../../src/report/replay/replay.ts';
import { udpPacket } from '../packets.ts';
import { type Host, type Message, sdp, sip } from '../scene.ts';

/** LINKTYPE_RAW: frames are IP packets. */
const RAW = 101;
/** The time of the first frame, in seconds since the epoch. */
export const START = 1_782_900_000;

export interface Film {
  /** A SIP message `at` seconds after the start. */
  say(at: number, from: Host, to: Host, start: string, message?: Message): Film;
  /** `count` RTP packets, 20 ms apart. */
  talk(at: number, from: Host, to: Host, count?: number): Film;
  /** Any datagram. */
  send(at: number, from: Host, to: Host, payload: Buffer | string): Film;
  /** Any IP packet. */
  packet(at: number, bytes: Buffer): Film;
  frames(): readonly Frame[];
  run(settings?: Partial<InspectorSettings>, options?: Partial<ReplayOptions>): ReplayReport;
}

/** A capture made up on the spot: frames 1, 2, 3... of one file, in the order they are told. */
export function film(): Film {
  const frames: Frame[] = [];
  let sequence = 0;

  function send(at: number, from: Host, to: Host, payload: Buffer | string): Film {
    return packet(at, udpPacket(from, to, payload));
  }

  function packet(at: number, bytes: Buffer): Film {
    const micros = Math.round(at * 1e6);
    const seconds = START + Math.floor(micros / 1e6);
    frames.push(
      makeFrame('film', frames.length + 1, seconds, (micros % 1e6) * 1000, RAW, bytes, bytes.length),
    );
    return self;
  }

  const self: Film = {
    send,
    packet,
    say: (at, from, to, start, message) => send(at, from, to, sip(start, message)),
    talk: (at, from, to, count = 1) => {
      for (let i = 0; i < count; i++) send(at + i * 0.02, from, to, rtp(sequence++));
      return self;
    },
    frames: () => frames,
    run: (settings = {}, options = {}) => {
      const { frame, finish } = createReplay({
        files: ['film'],
        settings: { ...defaults(), inside: 'any', ...settings },
        tunnels: false,
        sipPorts: null,
        window: { from: null, to: null },
        ...options,
      });
      for (const one of frames) frame(one);
      return finish([]);
    },
  };
  return self;
}

/** RFC 3550 5.1: version 2, PCMU, 160 bytes of it. */
export function rtp(sequence: number, ssrc = 0x1234_5678): Buffer {
  const packet = Buffer.alloc(172, 0xff);
  packet.writeUInt16BE(0x8000, 0);
  packet.writeUInt16BE(sequence & 0xffff, 2);
  packet.writeUInt32BE(sequence * 160, 4);
  packet.writeUInt32BE(ssrc, 8);
  return packet;
}

/** INVITE, 200 and ACK within a second; each side announces its port on the address given. */
export function answeredCall(
  one: Film,
  caller: Host,
  callee: Host,
  offer: { readonly address: string; readonly port: number },
  answer: { readonly address: string; readonly port: number },
): Film {
  return one
    .say(0, caller, callee, 'INVITE', { body: sdp(offer.address, [offer.port]) })
    .say(0.5, callee, caller, '200 INVITE', { to: 'b', body: sdp(answer.address, [answer.port]) })
    .say(0.6, caller, callee, 'ACK', { to: 'b' });
}

export function flowOf(report: ReplayReport, from: Host, to: Host): FlowReport {
  const flow = report.media.find(
    (one) =>
      one.source === from.address &&
      one.sourcePort === from.port &&
      one.destination === to.address &&
      one.destinationPort === to.port,
  );
  if (flow === undefined)
    throw new Error(`no flow from ${from.address}:${from.port} to ${to.address}:${to.port}`);
  return flow;
}
