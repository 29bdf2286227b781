/** The daemon's own nftables table: its sets, and the chains that mark what matches them. */
import {
  NF_ACCEPT,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFT_CMP_EQ,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_NAT_DNAT,
  NFT_NAT_SNAT,
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
  lookupIn,
  setMeta,
  translate,
  verdict,
} from '../../../native-bindings/linux/nft-expressions.ts';
import type { KeyType, NftBatch } from '../../../native-bindings/linux/nftables.ts';
import { type SetShape, setShapes } from './elements.ts';
import { type MapShape, mapShapes } from './translations.ts';

/** The set with one line of text for each pinhole; no rule looks into it. Key: number of the pinhole, part. */
export const RECORDS = 'pinholes';

const CHAINS = [
  { name: 'forward', hook: NF_INET_FORWARD },
  { name: 'input', hook: NF_INET_LOCAL_IN },
  { name: 'output', hook: NF_INET_LOCAL_OUT },
] as const;

/** NF_IP_PRI_NAT_DST and NF_IP_PRI_NAT_SRC of linux/netfilter_ipv4.h: nft's `dstnat` and `srcnat`. */
const NF_IP_PRI_NAT_DST = -100;
const NF_IP_PRI_NAT_SRC = 100;

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

/** The chains that translate. They are there from the first pinhole that needs them. */
export const NAT_CHAINS = [
  { name: 'dnat', hook: NF_INET_PRE_ROUTING, priority: NF_IP_PRI_NAT_DST - 1 },
  { name: 'snat', hook: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC - 1 },
] as const;

/**
 * Puts the maps and the chains that translate into a batch: before a ruleset's own nat chains, for the first to
 * translate a connection is the only one.
 */
export function addTranslation(batch: NftBatch, table: string): void {
  for (const shape of mapShapes) {
    const { name, family } = shape;
    const data = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
    batch.addSet({ table, name, key: mapKeyTypes(shape), data });
  }
  for (const { name, hook, priority } of NAT_CHAINS) {
    batch.addChain({ table, name, hook, priority, policy: NF_ACCEPT, type: 'nat' });
    batch.flushChain(table, name);
    for (const shape of mapShapes) if (shape.kind === name) batch.addRule(table, name, natRule(shape));
  }
}

function mapKeyTypes({ family, kind, party }: MapShape): KeyType[] {
  const address: KeyType = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  const other = party ? [address] : [];
  return kind === 'dnat'
    ? ['inet_proto', ...other, address, 'inet_service']
    : ['inet_proto', address, 'inet_service', ...other];
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
  const { next, address, port } = fieldLoader(family);
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

/** Family, fields into registers, lookup; then the translation, which ends the evaluation. */
function natRule({ name, family, kind, party }: MapShape): Expression[] {
  const header = headers[family];
  const { next, address, port } = fieldLoader(family);
  const own = kind === 'dnat' ? header.destination : header.source;
  const other = kind === 'dnat' ? header.source : header.destination;
  const ownFields = (): Expression[] => [
    address(own),
    port(kind === 'dnat' ? DESTINATION_PORT : SOURCE_PORT),
  ];
  const type = kind === 'dnat' ? NFT_NAT_DNAT : NFT_NAT_SNAT;
  return [
    loadMeta(NFT_META_NFPROTO, NFT_REG_1),
    compare(NFT_REG_1, NFT_CMP_EQ, Buffer.from([header.protocol])),
    loadMeta(NFT_META_L4PROTO, next(1)),
    ...(party && kind === 'dnat' ? [address(other)] : []),
    ...ownFields(),
    ...(party && kind === 'snat' ? [address(other)] : []),
    lookupIn(name, NFT_REG32_00, NFT_REG_1),
    translate(type, header.protocol, NFT_REG_1),
  ];
}

/** Loads fields into one register after another. */
function fieldLoader(family: 4 | 6) {
  const { size } = headers[family];
  let register = NFT_REG32_00;
  const next = (bytes: number): number => {
    const here = register;
    register += Math.ceil(bytes / 4);
    return here;
  };
  return {
    next,
    address: (offset: number) => loadPayload(NFT_PAYLOAD_NETWORK_HEADER, offset, size, next(size)),
    port: (offset: number) => loadPayload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2, next(2)),
  };
}

/** 32 bits in host order, as marks are kept. */
function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
