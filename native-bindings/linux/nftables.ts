/** nf_tables over netlink: tables, chains, rules and sets changed in atomic batches, and sets read back. */
import { SystemError } from '../errno.ts';
import {
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
  NFPROTO_INET,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  NFT_SET_CONCAT,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_POLICY,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_DATA_VALUE,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
  NFTA_LIST_ELEM,
  NFTA_RULE_CHAIN,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_TABLE,
  NFTA_SET_DATA_LEN,
  NFTA_SET_DATA_TYPE,
  NFTA_SET_DESC,
  NFTA_SET_DESC_CONCAT,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ELEM_USERDATA,
  NFTA_SET_EXPR,
  NFTA_SET_FIELD_LEN,
  NFTA_SET_FLAGS,
  NFTA_SET_ID,
  NFTA_SET_KEY_LEN,
  NFTA_SET_KEY_TYPE,
  NFTA_SET_NAME,
  NFTA_SET_TABLE,
  NFTA_TABLE_FLAGS,
  NFTA_TABLE_HANDLE,
  NFTA_TABLE_NAME,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REQUEST,
} from './constants.ts';
import { type ElementInPlace, elementsIn, nested, walkElements } from './in-place.ts';
import {
  ATTRIBUTE_MAX,
  attributes,
  attributeText,
  findAttribute,
  type Message,
  type MessageWriter,
  messageWriter,
  NETFILTER_HEADER,
  type NetlinkSocket,
  NLMSG_HDRLEN,
  valueEnd,
} from './netlink.ts';
import { counter, type Expression } from './nft-expressions.ts';

/** One field of a set's key, by nft's name of its type: number in nft's userland, and bytes. */
const keyTypes = {
  ipv4_addr: { type: 7, size: 4 },
  ipv6_addr: { type: 8, size: 16 },
  inet_proto: { type: 12, size: 1 },
  inet_service: { type: 13, size: 2 },
  mark: { type: 19, size: 4 },
} as const;

export type KeyType = keyof typeof keyTypes;

/** nft shifts the types of a concatenation by this many bits. */
const TYPE_BITS = 6;

/** A set whose key is a concatenation of fields, each padded to four bytes. */
interface SetDefinition {
  readonly table: string;
  readonly name: string;
  readonly key: readonly KeyType[];
  /** Elements may have ranges in each field. A hash otherwise. */
  readonly interval?: boolean;
  /** Every element counts its packets and bytes. */
  readonly counter?: boolean;
  /** A map: each element has a value of this type. */
  readonly data?: KeyType;
}

export interface SetElement {
  readonly key: Uint8Array;
  /** The last key of a range, in sets with intervals: each field's end. */
  readonly keyEnd?: Uint8Array;
  /** Its value, in a map. */
  readonly data?: Uint8Array;
  /** At most 254 bytes; nft shows it. */
  readonly comment?: string;
}

export interface SetElementReadBack extends SetElement {
  readonly key: Buffer;
  readonly data?: Buffer;
  /** Null where the set has no counters. */
  readonly traffic: { readonly packets: bigint; readonly bytes: bigint } | null;
}

interface ChainDefinition {
  readonly table: string;
  readonly name: string;
  /** NF_INET_ hook and the order among the hook's chains; priority filter is 0. */
  readonly hook: number;
  readonly priority: number;
  /** NF_ACCEPT or NF_DROP. */
  readonly policy: number;
  /** `filter` unless given. Chains of type nat see the first packet of a connection only. */
  readonly type?: 'filter' | 'nat';
}

/** Changes to tables of family inet, sent as one transaction: all of them take effect or none. */
export interface NftBatch {
  /** `flags`: NFT_TABLE_F_. */
  addTable(table: string, flags?: number): void;
  /** ENOENT at commit when there is none. */
  deleteTable(table: string): void;
  addChain(chain: ChainDefinition): void;
  addSet(set: SetDefinition): void;
  /** Removes all rules of a chain. */
  flushChain(table: string, chain: string): void;
  /** Appends a rule. */
  addRule(table: string, chain: string, expressions: readonly Expression[]): void;
  /** EEXIST at commit for an element that is there already. */
  addElements(table: string, set: string, elements: readonly SetElement[]): void;
  /** ENOENT at commit for an element that is not there. With `echo`, `commit` tells how each of them left. */
  deleteElements(table: string, set: string, elements: readonly SetElement[], echo?: boolean): void;
  /**
   * Makes the changes. When it returns the kernel has made all of them; SystemError: it has made none. `deleted`
   * is called with what is told of deleted elements: the set, and the element with its last count.
   */
  commit(deleted?: (set: string, element: SetElementReadBack) => void): void;
  /** Forgets the changes. */
  reset(): void;
}

/** The fields of a key one after another, each padded to four bytes with zeros behind. */
export function concatenate(fields: readonly Uint8Array[]): Buffer {
  const key = Buffer.alloc(fields.reduce((size, field) => size + padded(field.length), 0));
  let at = 0;
  for (const field of fields) {
    key.set(field, at);
    at += padded(field.length);
  }
  return key;
}

function padded(size: number): number {
  return (size + 3) & ~3;
}

function messageType(type: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | type;
}

/** nft keeps a comment as type, length and text with its NUL. */
const COMMENT = 0;
const COMMENT_MAX = 254;

/** What comes before the text. */
function commentHead(comment: string): readonly number[] {
  const length = Buffer.byteLength(comment);
  if (length > COMMENT_MAX)
    throw new RangeError(`comment of ${length} bytes: expected at most ${COMMENT_MAX}`);
  return [COMMENT, length + 1];
}

/** Bytes of one element in a message at most, for the split into several messages. */
function elementSize({ key, keyEnd, data, comment }: SetElement): number {
  const userdata = comment === undefined ? 0 : 8 + Buffer.byteLength(comment);
  const nested = (value: Uint8Array | undefined) => (value === undefined ? 0 : 8 + padded(value.length));
  return 4 + nested(key) + nested(keyEnd) + nested(data) + padded(userdata);
}

/** A batch over `socket`, to be used again after every commit. */
export function nftBatch(socket: NetlinkSocket): NftBatch {
  const writer = messageWriter(16 * 1024);
  let setId = 0;
  let changes = 0;
  let last = '';

  const marker = (type: number): void => {
    writer.message(type, NLM_F_REQUEST, socket.sequence(), 0, NFNL_SUBSYS_NFTABLES);
  };
  const change = (name: string, type: number, flags: number): void => {
    if (changes++ === 0) marker(NFNL_MSG_BATCH_BEGIN);
    last = name;
    writer.message(messageType(type), NLM_F_REQUEST | flags, socket.sequence(), NFPROTO_INET, 0);
  };
  const reset = (): void => {
    writer.reset();
    changes = 0;
  };
  const value = (type: number, bytes: Uint8Array): void => {
    const begun = writer.begin(type);
    writer.bytes(NFTA_DATA_VALUE, bytes);
    writer.end(begun);
  };
  const element = ({ key, keyEnd, data, comment }: SetElement): void => {
    const begun = writer.begin(NFTA_LIST_ELEM);
    value(NFTA_SET_ELEM_KEY, key);
    if (keyEnd !== undefined) value(NFTA_SET_ELEM_KEY_END, keyEnd);
    if (data !== undefined) value(NFTA_SET_ELEM_DATA, data);
    if (comment !== undefined) writer.text(NFTA_SET_ELEM_USERDATA, comment, commentHead(comment));
    writer.end(begun);
  };
  const elements = (
    name: string,
    type: number,
    flags: number,
    table: string,
    set: string,
    all: readonly SetElement[],
  ): void => {
    let next = 0;
    while (next < all.length) {
      change(name, type, flags);
      writer.text(NFTA_SET_ELEM_LIST_TABLE, table);
      writer.text(NFTA_SET_ELEM_LIST_SET, set);
      const list = writer.begin(NFTA_SET_ELEM_LIST_ELEMENTS);
      const from = writer.length;
      while (next < all.length && writer.length - from + elementSize(all[next]!) <= ATTRIBUTE_MAX) {
        element(all[next++]!);
      }
      writer.end(list);
    }
  };

  return {
    addTable(table, flags = 0) {
      change('NFT_MSG_NEWTABLE', NFT_MSG_NEWTABLE, NLM_F_CREATE);
      writer.text(NFTA_TABLE_NAME, table);
      writer.be32(NFTA_TABLE_FLAGS, flags);
    },
    deleteTable(table) {
      change('NFT_MSG_DELTABLE', NFT_MSG_DELTABLE, 0);
      writer.text(NFTA_TABLE_NAME, table);
    },
    addChain({ table, name, hook, priority, policy, type = 'filter' }) {
      change('NFT_MSG_NEWCHAIN', NFT_MSG_NEWCHAIN, NLM_F_CREATE);
      writer.text(NFTA_CHAIN_TABLE, table);
      writer.text(NFTA_CHAIN_NAME, name);
      writer.nest(NFTA_CHAIN_HOOK, () => {
        writer.be32(NFTA_HOOK_HOOKNUM, hook);
        writer.be32(NFTA_HOOK_PRIORITY, priority >>> 0);
      });
      writer.be32(NFTA_CHAIN_POLICY, policy);
      writer.text(NFTA_CHAIN_TYPE, type);
    },
    addSet({ table, name, key, interval, counter: counted, data }) {
      change('NFT_MSG_NEWSET', NFT_MSG_NEWSET, NLM_F_CREATE);
      const fields = key.map((field) => keyTypes[field]);
      writer.text(NFTA_SET_TABLE, table);
      writer.text(NFTA_SET_NAME, name);
      const ranges = interval === true ? NFT_SET_INTERVAL | NFT_SET_CONCAT : 0;
      writer.be32(NFTA_SET_FLAGS, ranges | (data === undefined ? 0 : NFT_SET_MAP));
      writer.be32(
        NFTA_SET_KEY_TYPE,
        fields.reduce((type, field) => (type << TYPE_BITS) | field.type, 0),
      );
      writer.be32(
        NFTA_SET_KEY_LEN,
        fields.reduce((size, field) => size + padded(field.size), 0),
      );
      if (data !== undefined) {
        writer.be32(NFTA_SET_DATA_TYPE, keyTypes[data].type);
        writer.be32(NFTA_SET_DATA_LEN, keyTypes[data].size);
      }
      writer.be32(NFTA_SET_ID, ++setId);
      if (interval === true) {
        writer.nest(NFTA_SET_DESC, () =>
          writer.nest(NFTA_SET_DESC_CONCAT, () => {
            for (const { size } of fields) {
              writer.nest(NFTA_LIST_ELEM, () => writer.be32(NFTA_SET_FIELD_LEN, size));
            }
          }),
        );
      }
      if (counted === true) writer.nest(NFTA_SET_EXPR, () => counter()(writer));
    },
    flushChain(table, chain) {
      change('NFT_MSG_DELRULE', NFT_MSG_DELRULE, 0);
      writer.text(NFTA_RULE_TABLE, table);
      writer.text(NFTA_RULE_CHAIN, chain);
    },
    addRule(table, chain, expressions) {
      change('NFT_MSG_NEWRULE', NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
      writer.text(NFTA_RULE_TABLE, table);
      writer.text(NFTA_RULE_CHAIN, chain);
      writer.nest(NFTA_RULE_EXPRESSIONS, () => {
        for (const write of expressions) writer.nest(NFTA_LIST_ELEM, () => write(writer));
      });
    },
    addElements: (table, set, all) =>
      elements('NFT_MSG_NEWSETELEM', NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, table, set, all),
    deleteElements: (table, set, all, echo = false) =>
      elements('NFT_MSG_DELSETELEM', NFT_MSG_DELSETELEM, echo ? NLM_F_ECHO : 0, table, set, all),
    commit(deleted = () => {}) {
      if (changes === 0) return;
      writer.addFlags(NLM_F_ACK);
      marker(NFNL_MSG_BATCH_END);
      try {
        socket.transact(last, writer.contents(), (message) => {
          if (message.type === messageType(NFT_MSG_DELSETELEM)) eachElement(message, deleted);
        });
      } finally {
        reset();
      }
    },
    reset,
  };
}

/** A table as the kernel has it. */
interface TableState {
  /** NFT_TABLE_F_ bits. */
  readonly flags: number;
  /** The kernel's number of the table: another table of the same name has another. */
  readonly handle: bigint;
}

/** Asks one thing and visits the answer. Throws SystemError: ENOENT where there is no such thing. */
function ask(
  socket: NetlinkSocket,
  name: string,
  type: number,
  request: (writer: MessageWriter) => void,
  visit: (members: Map<number, Buffer>) => void,
): void {
  const writer = messageWriter(256);
  writer.message(messageType(type), NLM_F_REQUEST | NLM_F_ACK, socket.sequence(), NFPROTO_INET, 0);
  request(writer);
  socket.dump(name, writer.contents(), ({ bytes, start, end }) =>
    visit(attributes(bytes, start + NETFILTER_HEADER - NLMSG_HDRLEN, end)),
  );
}

function isNotThere(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'ENOENT';
}

/** The table, or null where there is none. Throws SystemError. */
export function readTable(socket: NetlinkSocket, table: string): TableState | null {
  let state: TableState | null = null;
  try {
    ask(
      socket,
      'NFT_MSG_GETTABLE',
      NFT_MSG_GETTABLE,
      (writer) => writer.text(NFTA_TABLE_NAME, table),
      (members) => {
        const handle = members.get(NFTA_TABLE_HANDLE);
        state = {
          flags: members.get(NFTA_TABLE_FLAGS)?.readUInt32BE() ?? 0,
          handle: handle?.length === 8 ? handle.readBigUInt64BE() : 0n,
        };
      },
    );
  } catch (error) {
    if (!isNotThere(error)) throw error;
  }
  return state;
}

/** Whether the set has this element now. Throws SystemError. */
export function hasElement(socket: NetlinkSocket, table: string, set: string, key: Uint8Array): boolean {
  try {
    ask(
      socket,
      'NFT_MSG_GETSETELEM',
      NFT_MSG_GETSETELEM,
      (writer) => {
        writer.text(NFTA_SET_ELEM_LIST_TABLE, table);
        writer.text(NFTA_SET_ELEM_LIST_SET, set);
        writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS, () =>
          writer.nest(NFTA_LIST_ELEM, () =>
            writer.nest(NFTA_SET_ELEM_KEY, () => writer.bytes(NFTA_DATA_VALUE, key)),
          ),
        );
      },
      () => undefined,
    );
    return true;
  } catch (error) {
    if (isNotThere(error)) return false;
    throw error;
  }
}

/**
 * Reads a set's elements back. Throws SystemError: ENOENT where there is no such set, EINTR when anything in
 * nf_tables changed meanwhile.
 *
 * While the kernel moves a set into a larger or smaller table, it lists some elements twice, and as it resumes a listing
 * by how many it has listed, leaves out as many at most (rhashtable_walk_next, net/netfilter/nft_set_hash.c): a listing
 * that names one twice is asked for again.
 */
export function readElements(socket: NetlinkSocket, table: string, set: string): SetElementReadBack[] {
  const found = new Map<string, SetElementReadBack>();
  for (let reading = 0; reading < LISTINGS; reading++) {
    let listed = 0;
    found.clear();
    walkElements(socket, table, set, (place) => {
      const element = copyOf(place);
      found.set(element.key.toString('latin1'), element);
      listed++;
    });
    if (listed === found.size) return [...found.values()];
  }
  throw new SystemError('linux', 'NFT_MSG_GETSETELEM', 4, 'the set is being moved');
}

/** How often a set is listed before it is said that it does not come to rest. */
const LISTINGS = 8;

/** Visits the elements in one message of the kernel, with the name of their set. */
function eachElement(message: Message, visit: (set: string, element: SetElementReadBack) => void): void {
  const { bytes, start, end } = message;
  const set = findAttribute(bytes, start + NETFILTER_HEADER - NLMSG_HDRLEN, end, NFTA_SET_ELEM_LIST_SET);
  if (set < 0) return;
  const name = attributeText(bytes.subarray(set, valueEnd(bytes, set)));
  elementsIn(message, (place) => visit(name, copyOf(place)));
}

function copyOf(place: ElementInPlace): SetElementReadBack {
  const { bytes, keyStart, commentStart, commentEnd, isCounted, packets, octets } = place;
  const last = dataValue(place, NFTA_SET_ELEM_KEY_END);
  const data = dataValue(place, NFTA_SET_ELEM_DATA);
  return {
    key: Buffer.from(bytes.subarray(keyStart, place.keyEnd)),
    ...(last === undefined ? {} : { keyEnd: last }),
    ...(data === undefined ? {} : { data }),
    ...(commentStart === commentEnd ? {} : { comment: bytes.toString('utf8', commentStart, commentEnd) }),
    traffic: isCounted ? { packets: BigInt(packets), bytes: BigInt(octets) } : null,
  };
}

/** A copy, for the buffer it lies in is used again. */
function dataValue({ bytes, start, end }: ElementInPlace, type: number): Buffer | undefined {
  const value = nested(bytes, start, end, type, NFTA_DATA_VALUE);
  return value < 0 ? undefined : Buffer.from(bytes.subarray(value, valueEnd(bytes, value)));
}
