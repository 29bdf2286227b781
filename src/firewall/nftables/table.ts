/** The daemon's own nftables table: its sets, and the chains that mark what matches them. */
import {
  NF_ACCEPT,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFT_CMP_EQ,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_REG_1,
  NFT_REG32_00,
} from '../../../native-bindings/linux/constants.ts';
import {
  bitwise,
  compare,
  type Expression,
  loadMeta,
  loadPayload,
  lookup,
  setMeta,
  verdict,
} from '../../../native-bindings/linux/nft-expressions.ts';
import type { KeyType, NftBatch } from '../../../native-bindings/linux/nftables.ts';
import { type SetShape, setShapes } from './elements.ts';

/** The set with one line of text for each pinhole; no rule looks into it. Key: number of the pinhole, part. */
export const RECORDS = 'pinholes';

const CHAINS = [
  { name: 'forward', hook: NF_INET_FORWARD },
  { name: 'input', hook: NF_INET_LOCAL_IN },
  { name: 'output', hook: NF_INET_LOCAL_OUT },
] as const;

/** Just before a ruleset's own `filter` chains, which then find the mark. */
export const PRIORITY = -1;

/**
 * Puts everything but elements into a batch. What is there already stays as it is, elements above all; the rules
 * are made anew. `flags` are the table's (NFT_TABLE_F_); `mark` is the bits to set.
 */
export function addTable(batch: NftBatch, table: string, flags: number, mark: number): void {
  batch.addTable(table, flags);
  for (const shape of setShapes) {
    batch.addSet({ table, name: shape.name, key: keyTypes(shape), counter: true });
  }
  batch.addSet({ table, name: RECORDS, key: ['mark', 'mark'] });
  for (const { name, hook } of CHAINS) {
    batch.addChain({ table, name, hook, priority: PRIORITY, policy: NF_ACCEPT });
    batch.flushChain(table, name);
    for (const shape of setShapes) batch.addRule(table, name, rule(shape, mark));
  }
}

function keyTypes({ family, source, sourcePort }: SetShape): KeyType[] {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  return [
    'inet_proto',
    ...(source ? [address] : []),
    ...(sourcePort ? ['inet_service'] : []),
    address,
    'inet_service',
  ] as KeyType[];
}

/** Where the fields of a set's key are in a packet (RFC 791, RFC 8200; ports at the same place in UDP and TCP). */
const headers = {
  4: { protocol: NFPROTO_IPV4, size: 4, source: 12, destination: 16 },
  6: { protocol: NFPROTO_IPV6, size: 16, source: 8, destination: 24 },
} as const;
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;

/** Family, fields into registers, lookup; then the mark, and no further rule of this chain. */
function rule({ name, family, source, sourcePort }: SetShape, mark: number): Expression[] {
  const header = headers[family];
  let register = NFT_REG32_00;
  const next = (bytes: number): number => {
    const here = register;
    register += Math.ceil(bytes / 4);
    return here;
  };
  const address = (offset: number) =>
    loadPayload(NFT_PAYLOAD_NETWORK_HEADER, offset, header.size, next(header.size));
  const port = (offset: number) => loadPayload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2, next(2));
  return [
    loadMeta(NFT_META_NFPROTO, NFT_REG_1),
    compare(NFT_REG_1, NFT_CMP_EQ, Buffer.from([header.protocol])),
    loadMeta(NFT_META_L4PROTO, next(1)),
    ...(source ? [address(header.source)] : []),
    ...(sourcePort ? [port(SOURCE_PORT)] : []),
    address(header.destination),
    port(DESTINATION_PORT),
    lookup(name, NFT_REG32_00),
    loadMeta(NFT_META_MARK, NFT_REG_1),
    bitwise(NFT_REG_1, NFT_REG_1, word(~mark), word(mark)),
    setMeta(NFT_META_MARK, NFT_REG_1),
    verdict(NF_ACCEPT),
  ];
}

/** 32 bits in host order, as marks are kept. */
function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
