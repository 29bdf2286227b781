/** Port operators of a rule's end (pf.conf(5)): none, `port 5060`, `port 10000:10999` with both ends included. Host order. */
import {
  PF_OP_EQ,
  PF_OP_GE,
  PF_OP_GT,
  PF_OP_IRG,
  PF_OP_LE,
  PF_OP_LT,
  PF_OP_NE,
  PF_OP_NONE,
  PF_OP_RRG,
  PF_OP_XRG,
} from '../../../native-bindings/freebsd/constants.ts';
import type { RuleEnd } from '../../../native-bindings/freebsd/pf-nv.ts';

type Operated = Pick<RuleEnd, 'port' | 'port_op'>;

export function portRange([first, last]: readonly [first: number, last: number]): {
  readonly port: [number, number];
  readonly port_op: number;
} {
  return first === last
    ? { port: [first, 0], port_op: PF_OP_EQ }
    : { port: [first, last], port_op: PF_OP_RRG };
}

/** Null where the rule asks for no port, or with another operator. */
export function rangeOf({ port, port_op }: Operated): readonly [first: number, last: number] | null {
  if (port_op === PF_OP_EQ) return [port[0]!, port[0]!];
  return port_op === PF_OP_RRG ? [port[0]!, port[1]!] : null;
}

/** The one port; null for any, undefined for anything else. */
export function onePortOf({ port, port_op }: Operated): number | null | undefined {
  if (port_op === PF_OP_NONE) return null;
  return port_op === PF_OP_EQ ? port[0]! : undefined;
}

/** Whether a rule with this end is for the port (pf.c, pf_match_port). */
export function hasPortOf({ port, port_op }: Operated, asked: number): boolean {
  const [first, last] = port as [number, number];
  switch (port_op) {
    case PF_OP_NONE:
      return true;
    case PF_OP_EQ:
      return asked === first;
    case PF_OP_NE:
      return asked !== first;
    case PF_OP_LT:
      return asked < first;
    case PF_OP_LE:
      return asked <= first;
    case PF_OP_GT:
      return asked > first;
    case PF_OP_GE:
      return asked >= first;
    case PF_OP_IRG:
      return first < asked && asked < last;
    case PF_OP_XRG:
      return asked < first || asked > last;
    case PF_OP_RRG:
      return first <= asked && asked <= last;
    default:
      return true;
  }
}
