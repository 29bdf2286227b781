/** packet(7): copies of IP packets as they pass, for who holds up none of them. */
import type { Libc } from '../engine.ts';
import { encodeProgram, type FilterInstruction } from '../filter-program.ts';
import { at, be16, bytes, i32, struct, u8, u16, u64 } from '../struct.ts';
import { MSG_DONTWAIT, SO_RCVBUFFORCE, SOCK_CLOEXEC, SOL_SOCKET } from './constants.ts';

const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const ETH_P_ALL = 0x0003;
const SO_ATTACH_FILTER = 26;
const RECEIVE_BUFFER = 8 * 1024 * 1024;

/** struct sockaddr_ll (linux/if_packet.h). */
export const sockaddrLl = struct('sockaddr_ll', 20, {
  sll_family: at(0, u16),
  sll_protocol: at(2, be16),
  sll_ifindex: at(4, i32),
  sll_hatype: at(8, u16),
  sll_pkttype: at(10, u8),
  sll_halen: at(11, u8),
  sll_addr: at(12, bytes(8)),
});

/** `sll_pkttype` of what this host sends: what it forwards is seen a second time so. */
export const PACKET_OUTGOING = 4;

/** struct sock_fprog (linux/filter.h). */
export const sockFprog = struct('sock_fprog', 16, { len: at(0, u16), filter: at(8, u64) });

/**
 * Opens a packet socket for what the program takes, from the network header on, of every interface. Needs CAP_NET_RAW, then
 * and not later. Throws SystemError: EPERM, EINVAL where the kernel does not take the program.
 */
export function openPacketSocket(libc: Libc, program: readonly FilterInstruction[]): number {
  // For no protocol at first: nothing comes before the filter is there.
  const fd = libc.check('socket', libc.socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'AF_PACKET');
  try {
    const code = encodeProgram(program);
    const argument = sockFprog.encode({ len: program.length, filter: libc.address(code) });
    libc.check(
      'setsockopt',
      libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, argument, argument.length),
      'SO_ATTACH_FILTER',
    );
    const size = Buffer.alloc(4);
    size.writeInt32LE(RECEIVE_BUFFER);
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
    const name = sockaddrLl.encode({ sll_family: AF_PACKET, sll_protocol: ETH_P_ALL });
    libc.check('bind', libc.bind(fd, name, name.length), 'AF_PACKET');
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** The next packet into `packet` and where it passed into `name`, without waiting; -1 with `libc.failure()` where none waits. */
export function receivePacket(libc: Libc, fd: number, packet: Buffer, name: Buffer): number {
  const length = Buffer.from([sockaddrLl.size, 0, 0, 0]);
  return libc.recvfrom(fd, packet, packet.length, MSG_DONTWAIT, name, length);
}
