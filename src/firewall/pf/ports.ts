import { PF_OP_EQ, PF_OP_RRG } from '../../../native-bindings/freebsd/constants.ts';

/** The ports of a rule's end: `port 5060`, or `port 10000:10999` with both ends included. Host order. */
export function portRange([first, last]: readonly [first: number, last: number]): {
  readonly port: [number, number];
  readonly port_op: number;
} {
  return first === last
    ? { port: [first, 0], port_op: PF_OP_EQ }
    : { port: [first, last], port_op: PF_OP_RRG };
}
