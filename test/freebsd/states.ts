/** pf's states as DIOCGETSTATESV2 tells them. */
import { AF_INET, AF_INET6, IPPROTO_UDP, PF_IN, PF_OUT } from '../../native-bindings/freebsd/constants.ts';
import { type Address, addressBytes, familyOf } from '../../src/address/address.ts';
import type { StateValues } from './fake-pf.ts';

export type End = readonly [address: Address, port: number];

export const PHONE: End = ['192.0.2.10', 12_000];
export const TRUNK: End = ['198.51.100.20', 30_000];
export const PUBLIC: End = ['203.0.113.1', 54_321];
let ids = 0n;

export function newId(): bigint {
  return ++ids;
}

export interface Flow {
  readonly id?: bigint;
  readonly from: End;
  readonly to: End;
  readonly packets: readonly [along: number, back: number];
  readonly age?: number;
  /** Source on the wire where that is another. */
  readonly nat?: End;
}

/** The state of a flow on one interface, as pf_state_export fills it: 100 bytes a packet. */
export function state(
  direction: number,
  { id = newId(), from, to, packets, age = 0, nat = from }: Flow,
): StateValues {
  const key = (source: End, destination: End) => {
    const ends = direction === PF_IN ? [source, destination] : [destination, source];
    const addr = Buffer.alloc(32);
    for (const [index, [address]] of ends.entries()) addr.set(addressBytes(address), index * 16);
    return { addr, port: ends.map(([, port]) => port) };
  };
  return {
    id,
    key: [key(nat, to), key(from, to)],
    creation: age,
    packets: packets.map(BigInt),
    bytes: packets.map((count) => BigInt(count * 100)),
    af: familyOf(to[0]) === 4 ? AF_INET : AF_INET6,
    proto: IPPROTO_UDP,
    direction,
  };
}

/** A packet that is forwarded passes two states. */
export function forwarded(flow: Flow): StateValues[] {
  return [state(PF_IN, { ...flow, nat: flow.from }), state(PF_OUT, flow)];
}
