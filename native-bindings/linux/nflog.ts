/** nfnetlink_log: copies of packets that a `log group` rule (NFLOG) hands over. */
import type { Libc } from '../engine.ts';
import { SystemError } from '../errno.ts';
import { at, be32, struct, u8 } from '../struct.ts';
import {
  AF_UNSPEC,
  NFNL_SUBSYS_ULOG,
  NFULA_CFG_CMD,
  NFULA_CFG_MODE,
  NFULA_CFG_QTHRESH,
  NFULA_PAYLOAD,
  NFULNL_CFG_CMD_BIND,
  NFULNL_COPY_PACKET,
  NFULNL_MSG_CONFIG,
  NFULNL_MSG_PACKET,
  NLM_F_ACK,
  NLM_F_REQUEST,
} from './constants.ts';
import {
  attributes,
  forEachMessage,
  messageWriter,
  NETFILTER_HEADER,
  NLMSG_HDRLEN,
  openNetlink,
} from './netlink.ts';

/** struct nfulnl_msg_config_cmd (linux/netfilter/nfnetlink_log.h), packed. */
export const logCommand = struct('nfulnl_msg_config_cmd', 1, { command: at(0, u8) });

/** struct nfulnl_msg_config_mode, packed; its last byte is padding. */
export const logMode = struct('nfulnl_msg_config_mode', 6, {
  copy_range: at(0, be32),
  copy_mode: at(4, u8),
});

/** A bound log group. */
export interface LogGroup {
  /**
   * Takes one datagram without blocking and hands each packet in it, from its IP header on, to `visit`: a copy. False where
   * none waited. Packets that the kernel could not hand over are lost without a word.
   */
  receive(visit: (packet: Buffer) => void): boolean;
  close(): void;
}

const DATAGRAM = 128 * 1024;
const BUFFER_SIZE = 1024 * 1024;
const NFNETLINK_HEADER = NETFILTER_HEADER - NLMSG_HDRLEN;

/**
 * Binds log group `group`, whole packets, each at once. Needs CAP_NET_ADMIN, and none to read. Throws SystemError: EPERM
 * without it, EBUSY where another process has the group.
 */
export function openLogGroup(libc: Libc, group: number): LogGroup {
  const socket = openNetlink(libc, BUFFER_SIZE);
  const writer = messageWriter(256);
  const configure = (attribute: number, value: Buffer): void => {
    writer.reset();
    const type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG;
    writer.message(type, NLM_F_REQUEST | NLM_F_ACK, socket.sequence(), AF_UNSPEC, group);
    writer.bytes(attribute, value);
    socket.transact('NFULNL_MSG_CONFIG', writer.contents());
  };
  try {
    configure(NFULA_CFG_CMD, logCommand.encode({ command: NFULNL_CFG_CMD_BIND }));
    configure(NFULA_CFG_MODE, logMode.encode({ copy_range: 0xffff, copy_mode: NFULNL_COPY_PACKET }));
    configure(NFULA_CFG_QTHRESH, Buffer.from([0, 0, 0, 1]));
  } catch (error) {
    socket.close();
    throw error;
  }
  const buffer = Buffer.alloc(DATAGRAM);
  return {
    receive(visit) {
      const length = socket.receive(buffer);
      if (length < 0) {
        const code = libc.failure();
        if (code === 'ENOBUFS' || code === 'EINTR') return true;
        if (code === 'EAGAIN') return false;
        throw new SystemError('linux', 'recv', 5, `log group ${group}: ${code}`);
      }
      forEachMessage(buffer.subarray(0, length), ({ type, bytes, start, end }) => {
        if (type !== ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET)) return;
        const payload = attributes(bytes, start + NFNETLINK_HEADER, end).get(NFULA_PAYLOAD);
        if (payload !== undefined) visit(Buffer.from(payload));
      });
      return true;
    },
    close: socket.close,
  };
}
