/** pf's states, as DIOCGETSTATESV2 tells them (net/pfvar.h, netpfil/pf/pf_ioctl.c, pf_state_export). */
import { array, at, be16, be32, bytes, type ContentsOf, pointer, struct, u8, u32, u64 } from '../struct.ts';
import { AF_INET, PF_IN } from './constants.ts';

/** PF_STATE_VERSION: the layout below, FreeBSD 14 and later. */
export const PF_STATE_VERSION = 20230404n;

/** struct pfioc_states_v2: DIOCGETSTATESV2. `ps_buf` points to `ps_len` bytes; with 0 the kernel says how many it has. */
export const pfiocStatesV2 = struct('pfioc_states_v2', 24, {
  ps_len: at(0, u32),
  ps_req_version: at(8, u64),
  ps_buf: at(16, pointer),
});

/** struct pf_state_key_export, which is laid out as pfsync_state_key is: two addresses of 16 bytes, two ports. */
export const pfStateKey = struct('pfsync_state_key', 36, {
  addr: at(0, bytes(32)),
  port: at(32, array(be16, 2)),
});

/** struct pf_state_export, as far as it is read. `creation` is its age in seconds. Counters are in host order. */
export const pfStateExport = struct('pf_state_export', 384, {
  id: at(8, u64),
  /** PF_SK_WIRE, as it is on the wire, and PF_SK_STACK, as the machine itself has it: they differ by nat and rdr. */
  key: at(48, array(pfStateKey, 2)),
  creation: at(212, be32),
  packets: at(224, array(u64, 2)),
  bytes: at(240, array(u64, 2)),
  creatorid: at(256, u32),
  af: at(264, u8),
  proto: at(265, u8),
  direction: at(266, u8),
});

/** What tells a state from all others, for DIOCKILLSTATESNV. */
export interface StateHandle {
  readonly id: bigint;
  readonly creatorid: number;
}

/** One end of a state. */
export interface StateEnd {
  /** 4 or 16 bytes, as Latin-1 text: to be compared. */
  readonly address: string;
  readonly port: number;
}

/** From the end that began it to the other. */
export interface StateEnds {
  readonly source: StateEnd;
  readonly destination: StateEnd;
}

/**
 * A state, its ends as the machine has them: the address of a host behind nat or rdr, not that of the firewall.
 * Packets and bytes are from the end that began it, and back.
 */
export interface PfState extends StateEnds {
  readonly handle: StateHandle;
  /** Its ends as they are on the wire of its interface; the same object where nothing is translated. */
  readonly wire: StateEnds;
  readonly protocol: number;
  /** PF_IN or PF_OUT: which way it began through its interface. */
  readonly direction: number;
  readonly packets: readonly [along: number, back: number];
  readonly bytes: readonly [along: number, back: number];
  /** Seconds since it was made. */
  readonly age: number;
}

const WIRE = pfStateExport.members.key.offset;
const STACK = WIRE + pfStateKey.size;
const PORTS = pfStateKey.members.port.offset;

/** The states among `memory`, structs one after the other, that have one of these ports at one end, translated or not. */
export function* statesWith(ports: ReadonlySet<number>, memory: Buffer): Generator<PfState> {
  for (let offset = 0; offset + pfStateExport.size <= memory.length; offset += pfStateExport.size) {
    if (hasPort(ports, memory, offset + STACK) || hasPort(ports, memory, offset + WIRE)) {
      yield stateAt(memory, offset);
    }
  }
}

function hasPort(ports: ReadonlySet<number>, memory: Buffer, key: number): boolean {
  return ports.has(memory.readUInt16BE(key + PORTS)) || ports.has(memory.readUInt16BE(key + PORTS + 2));
}

function stateAt(memory: Buffer, offset: number): PfState {
  const {
    id,
    key: [wire, stack],
    creation,
    packets,
    bytes: octets,
    creatorid,
    af,
    proto,
    direction,
  } = pfStateExport.decode(memory, offset);
  const size = af === AF_INET ? 4 : 16;
  const isSame =
    memory.compare(
      memory,
      offset + WIRE,
      offset + STACK,
      offset + STACK,
      offset + STACK + pfStateKey.size,
    ) === 0;
  const ends = endsOf(stack!, size, direction);
  return {
    ...ends,
    wire: isSame ? ends : endsOf(wire!, size, direction),
    handle: { id, creatorid },
    protocol: proto,
    direction,
    packets: [Number(packets[0]), Number(packets[1])],
    bytes: [Number(octets[0]), Number(octets[1])],
    age: creation,
  };
}

function endsOf({ addr, port }: ContentsOf<typeof pfStateKey>, size: number, direction: number): StateEnds {
  const end = (index: number): StateEnd => ({
    address: addr.toString('latin1', index * 16, index * 16 + size),
    port: port[index]!,
  });
  // pf_setup_pdesc: the source is at index 0 on the way in, at index 1 on the way out.
  const source = direction === PF_IN ? 0 : 1;
  return { source: end(source), destination: end(1 - source) };
}
