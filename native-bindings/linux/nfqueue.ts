/** nfnetlink_queue: packets that an NFQUEUE target handed over, and the verdicts on them. */
import type { Libc } from '../engine.ts';
import { errnoSymbol, SystemError } from '../errno.ts';
import { messageBatch } from '../message-batch.ts';
import { at, be16, be32, struct, u8 } from '../struct.ts';
import {
  AF_UNSPEC,
  MSG_DONTWAIT,
  MSG_PEEK,
  NFNL_SUBSYS_QUEUE,
  NFQA_CAP_LEN,
  NFQA_CFG_CMD,
  NFQA_CFG_F_FAIL_OPEN,
  NFQA_CFG_F_GSO,
  NFQA_CFG_FLAGS,
  NFQA_CFG_MASK,
  NFQA_CFG_PARAMS,
  NFQA_CFG_QUEUE_MAXLEN,
  NFQA_IFINDEX_INDEV,
  NFQA_IFINDEX_OUTDEV,
  NFQA_IFINDEX_PHYSINDEV,
  NFQA_MARK,
  NFQA_MAX,
  NFQA_PACKET_HDR,
  NFQA_PAYLOAD,
  NFQA_SKB_INFO,
  NFQA_VERDICT_HDR,
  NFQNL_CFG_CMD_BIND,
  NFQNL_COPY_PACKET,
  NFQNL_MSG_CONFIG,
  NFQNL_MSG_PACKET,
  NFQNL_MSG_VERDICT,
  NFQNL_MSG_VERDICT_BATCH,
  NLA_TYPE_MASK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
} from './constants.ts';
import { messageWriter, NETFILTER_HEADER, NLMSG_HDRLEN, openNetlink } from './netlink.ts';

/** struct nfqnl_msg_packet_hdr (linux/netfilter/nfnetlink_queue.h), packed. */
export const packetHeader = struct('nfqnl_msg_packet_hdr', 7, {
  packet_id: at(0, be32),
  hw_protocol: at(4, be16),
  hook: at(6, u8),
});

/** struct nfqnl_msg_verdict_hdr. */
export const verdictHeader = struct('nfqnl_msg_verdict_hdr', 8, {
  verdict: at(0, be32),
  id: at(4, be32),
});

/** struct nfqnl_msg_config_cmd. */
export const configCommand = struct('nfqnl_msg_config_cmd', 4, {
  command: at(0, u8),
  pf: at(2, be16),
});

/** struct nfqnl_msg_config_params, packed. */
export const configParams = struct('nfqnl_msg_config_params', 5, {
  copy_range: at(0, be32),
  copy_mode: at(4, u8),
});

export interface QueueOptions {
  /** Packets the kernel holds for us at most; more are dropped, or accepted where `failOpen`. */
  readonly length?: number;
  /** A full queue accepts packets instead of dropping them. */
  readonly failOpen?: boolean;
  /** Packets taken by one `receive` at most. */
  readonly batch?: number;
  /** Bytes of the socket's receive buffer. */
  readonly bufferSize?: number;
}

/** A bound queue. The packets of a `receive` are numbered from 0 and valid until the next. */
export interface NfQueue {
  readonly fd: number;
  readonly number: number;
  /**
   * Takes the packets that wait, without blocking. Returns how many (possibly 0), or -1 with `libc.failure()`:
   * EAGAIN when none waits, ENOBUFS when the kernel had to drop some because this socket was full.
   */
  receive(): number;
  /** The kernel's number of the packet, for its verdict. */
  id(index: number): number;
  /** The packet from its IP header on: a view. */
  payload(index: number): Buffer;
  /** Bytes the packet really has; more than `payload` where it was cut. */
  length(index: number): number;
  /** The packet's mark. */
  mark(index: number): number;
  /** Interface indices, 0 where there is none: in (prerouting, input, forward), out (forward, output, postrouting). */
  inDevice(index: number): number;
  outDevice(index: number): number;
  /** The port of a bridge that it came in through, where it crosses one; else 0. */
  bridgePort(index: number): number;
  /** NFQA_SKB_ bits: checksum still to be computed, not yet segmented. */
  info(index: number): number;
  /** Puts a verdict (NF_ACCEPT, NF_DROP) among those to send. */
  verdict(id: number, verdict: number): void;
  /** One verdict on every packet up to and with `id` that has none yet. */
  verdictUpTo(id: number, verdict: number): void;
  /** Sends the verdicts. Returns -1 with `libc.failure()` when the kernel takes none. */
  flush(): number;
  /** Verdicts the kernel refused (a packet it no longer has), and the last reason. */
  refused(): { readonly count: number; readonly code: string };
  close(): void;
}

/** The largest netlink message a packet makes: 65,531 bytes of payload and the attributes before it. */
const SLOT = 0xffff + 512;
const DEFAULT_LENGTH = 4096;
const DEFAULT_BATCH = 32;
const DEFAULT_BUFFER = 16 * 1024 * 1024;
const VERDICT_SIZE = NETFILTER_HEADER + 4 + verdictHeader.size;

/**
 * Binds queue `number`, copying whole packets, segments left as the network card made them. Needs CAP_NET_ADMIN,
 * then and for every verdict. Throws SystemError: EPERM without it or where another process has the queue.
 */
export function openQueue(libc: Libc, number: number, options: QueueOptions = {}): NfQueue {
  return useQueue(libc, bindQueue(libc, number, options), number, options.batch);
}

/**
 * As `openQueue`, without reading: the descriptor of a socket that has the queue for as long as a process holds it.
 * Packets wait meanwhile, those that have no verdict yet included.
 */
export function bindQueue(libc: Libc, number: number, options: QueueOptions = {}): number {
  const socket = openNetlink(libc, options.bufferSize ?? DEFAULT_BUFFER);
  configure(libc, socket.fd, number, options, socket.send, socket.close);
  return socket.fd;
}

/** Takes packets from queue `number` through a descriptor of `bindQueue`, made by this process or another. */
export function useQueue(libc: Libc, fd: number, number: number, batchSize = DEFAULT_BATCH): NfQueue {
  const slots = messageBatch(libc, batchSize, SLOT, 0);
  // For each packet, where its attributes' values lie in its message, by type; 0 is none.
  const places = Array.from({ length: batchSize }, () => new Int32Array(NFQA_MAX + 1));
  const ends = Array.from({ length: batchSize }, () => new Int32Array(NFQA_MAX + 1));
  const packets: Buffer[] = new Array(batchSize).fill(Buffer.alloc(0));
  let refusedCount = 0;
  let refusedCode = '';

  const verdicts = Buffer.alloc(batchSize * VERDICT_SIZE);
  for (let at = 0; at < verdicts.length; at += VERDICT_SIZE) {
    verdicts.writeUInt32LE(VERDICT_SIZE, at);
    verdicts.writeUInt16LE(NLM_F_REQUEST, at + 6);
    verdicts.writeUInt16BE(number, at + 18);
    verdicts.writeUInt16LE(4 + verdictHeader.size, at + NETFILTER_HEADER);
    verdicts.writeUInt16LE(NFQA_VERDICT_HDR, at + NETFILTER_HEADER + 2);
  }
  const views = Array.from({ length: batchSize + 1 }, (_, count) =>
    verdicts.subarray(0, count * VERDICT_SIZE),
  );
  let waiting = 0;

  const flush = (): number => {
    if (waiting === 0) return 0;
    const messages = views[waiting]!;
    waiting = 0;
    return libc.send(fd, messages, messages.length, 0);
  };
  const add = (type: number, id: number, verdict: number): void => {
    if (waiting === batchSize) flush();
    const at = waiting * VERDICT_SIZE;
    verdicts.writeUInt16LE((NFNL_SUBSYS_QUEUE << 8) | type, at + 4);
    verdicts.writeUInt32BE(verdict, at + NETFILTER_HEADER + 4);
    verdicts.writeUInt32BE(id, at + NETFILTER_HEADER + 8);
    waiting++;
  };
  const be32At = (index: number, type: number, absent: number): number => {
    const place = places[index]![type]!;
    return place === 0 ? absent : packets[index]!.readUInt32BE(place);
  };
  const payload = (index: number): Buffer =>
    packets[index]!.subarray(places[index]![NFQA_PAYLOAD]!, ends[index]![NFQA_PAYLOAD]!);

  return {
    fd,
    number,
    receive() {
      const count = slots.receive(fd);
      let taken = 0;
      for (let slot = 0; slot < count; slot++) {
        const message = slots.message(slot);
        if (message.length < NETFILTER_HEADER) continue;
        const type = message.readUInt16LE(4);
        if (type === NLMSG_ERROR) {
          const error = -message.readInt32LE(NLMSG_HDRLEN);
          if (error === 0) continue;
          refusedCount++;
          refusedCode = errnoSymbol('linux', error);
        } else if (type === ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET)) {
          if (!indexPacket(message, places[taken]!, ends[taken]!)) continue;
          packets[taken++] = message;
        }
      }
      return count < 0 ? count : taken;
    },
    id: (index) => be32At(index, NFQA_PACKET_HDR, 0),
    payload,
    length: (index) => be32At(index, NFQA_CAP_LEN, payload(index).length),
    mark: (index) => be32At(index, NFQA_MARK, 0),
    inDevice: (index) => be32At(index, NFQA_IFINDEX_INDEV, 0),
    outDevice: (index) => be32At(index, NFQA_IFINDEX_OUTDEV, 0),
    bridgePort: (index) => be32At(index, NFQA_IFINDEX_PHYSINDEV, 0),
    info: (index) => be32At(index, NFQA_SKB_INFO, 0),
    verdict: (id, verdict) => add(NFQNL_MSG_VERDICT, id, verdict),
    verdictUpTo: (id, verdict) => add(NFQNL_MSG_VERDICT_BATCH, id, verdict),
    flush,
    refused: () => ({ count: refusedCount, code: refusedCode }),
    close() {
      libc.close(fd);
    },
  };
}

/** Bytes that the attributes in use take at least. */
const sizes = new Uint8Array(NFQA_MAX + 1);
sizes[NFQA_PACKET_HDR] = packetHeader.size;
for (const type of [
  NFQA_MARK,
  NFQA_IFINDEX_INDEV,
  NFQA_IFINDEX_OUTDEV,
  NFQA_IFINDEX_PHYSINDEV,
  NFQA_CAP_LEN,
  NFQA_SKB_INFO,
]) {
  sizes[type] = 4;
}

/** Notes where each attribute of a packet's message lies. False when it lacks its header, or is cut. */
function indexPacket(message: Buffer, places: Int32Array, ends: Int32Array): boolean {
  places.fill(0);
  ends.fill(0);
  const end = Math.min(message.readUInt32LE(0), message.length);
  let at = NETFILTER_HEADER;
  while (at + 4 <= end) {
    const length = message.readUInt16LE(at);
    if (length < 4 || length > end - at) return false;
    const type = message.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    if (type <= NFQA_MAX && length - 4 >= sizes[type]!) {
      places[type] = at + 4;
      ends[type] = at + length;
    }
    at += (length + 3) & ~3;
  }
  return places[NFQA_PACKET_HDR] !== 0;
}

/** Binds and sets everything up in one message, so that no packet meets a queue that is half set up. */
function configure(
  libc: Libc,
  fd: number,
  number: number,
  options: QueueOptions,
  send: (call: string, messages: Buffer) => void,
  close: () => void,
): void {
  const flags = NFQA_CFG_F_GSO | (options.failOpen === true ? NFQA_CFG_F_FAIL_OPEN : 0);
  const writer = messageWriter(256);
  writer.message((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_CONFIG, NLM_F_REQUEST, 0, AF_UNSPEC, number);
  writer.bytes(NFQA_CFG_CMD, configCommand.encode({ command: NFQNL_CFG_CMD_BIND }));
  writer.bytes(NFQA_CFG_PARAMS, configParams.encode({ copy_range: 0xffff, copy_mode: NFQNL_COPY_PACKET }));
  writer.be32(NFQA_CFG_QUEUE_MAXLEN, options.length ?? DEFAULT_LENGTH);
  writer.be32(NFQA_CFG_FLAGS, flags);
  writer.be32(NFQA_CFG_MASK, NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN);
  const call = 'NFQNL_MSG_CONFIG';
  send(call, writer.contents());
  // A refusal is the first thing in the socket; where there is none the first thing is a packet, left there.
  const answer = Buffer.alloc(64);
  const length = libc.recv(fd, answer, answer.length, MSG_PEEK | MSG_DONTWAIT);
  if (length >= NLMSG_HDRLEN + 4 && answer.readUInt16LE(4) === NLMSG_ERROR) {
    close();
    throw new SystemError('linux', call, -answer.readInt32LE(NLMSG_HDRLEN), `queue ${number}`);
  }
}
