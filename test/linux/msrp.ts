/** Media over TCP, as MSRP has it (RFC 4145, 4975): offered, connected, and what of it the firewall lets through. */
import { mediaFlows } from '../../lab/kernel.ts';
import type { Stage } from '../../lab/stage.ts';
import { accept, connect, expect, listen, write } from '../../lab/steps.ts';
import type { HostName, Topology } from '../../lab/topology.ts';
import type { TransportAddress } from '../../src/address/address.ts';
import { checksummed, tcpPacket } from '../packets.ts';
import type { SdpLine } from '../scene.ts';

const SYN = 2;

/** `setup`: null for a line without `a=setup`. */
export function messageLine(port: number, setup: string | null): SdpLine {
  return {
    media: 'message',
    port,
    proto: 'TCP/MSRP',
    attributes: setup === null ? [] : [`setup:${setup}`],
  };
}

/** The first packet of a connection. */
export function attemptFrom(source: TransportAddress, destination: TransportAddress): Buffer {
  return tcpPacket(source, destination, { seq: 1, flags: SYN });
}

/** How many of these packets the firewall lets through: a flow that it drops is none to conntrack. */
export async function through(
  topology: Topology,
  stage: Stage,
  tries: readonly (readonly [from: HostName, packet: Buffer])[],
): Promise<number> {
  const known = new Set(mediaFlows(topology).map(ends));
  await stage.play(...tries.map(([from, packet]) => stage.raw(from, checksummed(packet))));
  return mediaFlows(topology).filter((flow) => !known.has(ends(flow))).length;
}

/** Addresses and ports of a conntrack entry's first direction. */
function ends(flow: string): string {
  return /src=\S+ dst=\S+ sport=\d+ dport=\d+/.exec(flow)?.[0] ?? flow;
}

interface Ends {
  readonly owner: HostName;
  /** Where the owner listens; no two connections of a topology have one port. */
  readonly listensAt: TransportAddress;
  readonly entitled: HostName;
  readonly from: TransportAddress;
  /** Where the entitled host finds the owner. */
  readonly to: TransportAddress;
}

/** Has one host connect to the other, and a message sent and answered. */
export async function talkOver({ actors }: Topology, ways: Ends): Promise<{ sendMore(): Promise<void> }> {
  const { owner, listensAt, entitled, from, to } = ways;
  const [here, there, listener] = ['here', 'there', 'listener'].map((word) => `${word}${listensAt.port}`) as [
    string,
    string,
    string,
  ];
  await actors[owner].run([listen(listener, listensAt)]);
  await Promise.all([
    actors[entitled].run([
      connect(here, from, to),
      write(here, 'MSRP a786 SEND'),
      expect(here, 'MSRP a786 200 OK'),
    ]),
    actors[owner].run([
      accept(there, listener),
      expect(there, 'MSRP a786 SEND'),
      write(there, 'MSRP a786 200 OK'),
    ]),
  ]);
  return {
    async sendMore() {
      await actors[entitled].run([write(here, 'MSRP a787 SEND')]);
      await actors[owner].run([write(there, 'MSRP a788 SEND')]);
    },
  };
}
