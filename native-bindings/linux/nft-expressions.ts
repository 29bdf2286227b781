/** nf_tables' expressions, of which a rule is a list. Each function gives one, to be written by a batch. */
import {
  NFT_REG_VERDICT,
  NFTA_BITWISE_DREG,
  NFTA_BITWISE_LEN,
  NFTA_BITWISE_MASK,
  NFTA_BITWISE_SREG,
  NFTA_BITWISE_XOR,
  NFTA_CMP_DATA,
  NFTA_CMP_OP,
  NFTA_CMP_SREG,
  NFTA_DATA_VALUE,
  NFTA_DATA_VERDICT,
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  NFTA_IMMEDIATE_DATA,
  NFTA_IMMEDIATE_DREG,
  NFTA_LOOKUP_DREG,
  NFTA_LOOKUP_SET,
  NFTA_LOOKUP_SREG,
  NFTA_META_DREG,
  NFTA_META_KEY,
  NFTA_META_SREG,
  NFTA_NAT_FAMILY,
  NFTA_NAT_REG_ADDR_MIN,
  NFTA_NAT_TYPE,
  NFTA_PAYLOAD_BASE,
  NFTA_PAYLOAD_DREG,
  NFTA_PAYLOAD_LEN,
  NFTA_PAYLOAD_OFFSET,
  NFTA_VERDICT_CODE,
} from './constants.ts';
import type { MessageWriter } from './netlink.ts';

/** Writes itself as the inside of one NFTA_LIST_ELEM. */
export type Expression = (writer: MessageWriter) => void;

function expression(name: string, data: Expression): Expression {
  return (writer) => {
    writer.text(NFTA_EXPR_NAME, name);
    writer.nest(NFTA_EXPR_DATA, () => data(writer));
  };
}

/** Loads a property of the packet (NFT_META_) into a register. */
export function loadMeta(key: number, register: number): Expression {
  return expression('meta', (writer) => {
    writer.be32(NFTA_META_KEY, key);
    writer.be32(NFTA_META_DREG, register);
  });
}

/** Stores a register as a property of the packet. */
export function setMeta(key: number, register: number): Expression {
  return expression('meta', (writer) => {
    writer.be32(NFTA_META_KEY, key);
    writer.be32(NFTA_META_SREG, register);
  });
}

/** Loads `length` bytes at `offset` of a header (NFT_PAYLOAD_) into a register. A packet without them ends the rule. */
export function loadPayload(base: number, offset: number, length: number, register: number): Expression {
  return expression('payload', (writer) => {
    writer.be32(NFTA_PAYLOAD_DREG, register);
    writer.be32(NFTA_PAYLOAD_BASE, base);
    writer.be32(NFTA_PAYLOAD_OFFSET, offset);
    writer.be32(NFTA_PAYLOAD_LEN, length);
  });
}

/** Compares a register with `data` by NFT_CMP_; a rule goes on where it holds. */
export function compare(register: number, operator: number, data: Uint8Array): Expression {
  return expression('cmp', (writer) => {
    writer.be32(NFTA_CMP_SREG, register);
    writer.be32(NFTA_CMP_OP, operator);
    writer.nest(NFTA_CMP_DATA, () => writer.bytes(NFTA_DATA_VALUE, data));
  });
}

/** Looks the registers from `register` on up in a set; a rule goes on where they are in it. */
export function lookup(set: string, register: number): Expression {
  return expression('lookup', (writer) => {
    writer.text(NFTA_LOOKUP_SET, set);
    writer.be32(NFTA_LOOKUP_SREG, register);
  });
}

/** Looks the registers from `register` on up in a map, and loads what is there into `to`; else the rule ends. */
export function lookupIn(map: string, register: number, to: number): Expression {
  return expression('lookup', (writer) => {
    writer.text(NFTA_LOOKUP_SET, map);
    writer.be32(NFTA_LOOKUP_SREG, register);
    writer.be32(NFTA_LOOKUP_DREG, to);
  });
}

/**
 * Gives a new connection the address in a register: of its destination (NFT_NAT_DNAT) or its source (NFT_NAT_SNAT).
 * Ports stay as they are unless they are taken. `family`: NFPROTO_. Ends the evaluation.
 */
export function translate(type: number, family: number, register: number): Expression {
  return expression('nat', (writer) => {
    writer.be32(NFTA_NAT_TYPE, type);
    writer.be32(NFTA_NAT_FAMILY, family);
    writer.be32(NFTA_NAT_REG_ADDR_MIN, register);
  });
}

/** `(from & mask) ^ xor` into `to`. */
export function bitwise(from: number, to: number, mask: Uint8Array, xor: Uint8Array): Expression {
  return expression('bitwise', (writer) => {
    writer.be32(NFTA_BITWISE_SREG, from);
    writer.be32(NFTA_BITWISE_DREG, to);
    writer.be32(NFTA_BITWISE_LEN, mask.length);
    writer.nest(NFTA_BITWISE_MASK, () => writer.bytes(NFTA_DATA_VALUE, mask));
    writer.nest(NFTA_BITWISE_XOR, () => writer.bytes(NFTA_DATA_VALUE, xor));
  });
}

/** Counts packets and bytes. */
export function counter(): Expression {
  return expression('counter', () => undefined);
}

/** Ends the evaluation with a verdict: NF_ACCEPT, NF_DROP. */
export function verdict(code: number): Expression {
  return expression('immediate', (writer) => {
    writer.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    writer.nest(NFTA_IMMEDIATE_DATA, () =>
      writer.nest(NFTA_DATA_VERDICT, () => writer.be32(NFTA_VERDICT_CODE, code)),
    );
  });
}
