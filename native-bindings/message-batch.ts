import type { Libc } from './engine.ts';
import type { OperatingSystem } from './platform.ts';
import { at, i32, pointer, struct, u32, u64 } from './struct.ts';

const iovec = struct('iovec', 16, {
  iov_base: at(0, pointer),
  iov_len: at(8, u64),
});

const freebsdMsghdr = struct('msghdr', 48, {
  msg_name: at(0, pointer),
  msg_namelen: at(8, u32),
  msg_iov: at(16, pointer),
  msg_iovlen: at(24, i32),
  msg_control: at(32, pointer),
  msg_controllen: at(40, u32),
  msg_flags: at(44, i32),
});

const linuxMsghdr = struct('msghdr', 56, {
  msg_name: at(0, pointer),
  msg_namelen: at(8, u32),
  msg_iov: at(16, pointer),
  msg_iovlen: at(24, u64),
  msg_control: at(32, pointer),
  msg_controllen: at(40, u64),
  msg_flags: at(48, i32),
});

/** struct mmsghdr is a msghdr and the length of the message: ssize_t on FreeBSD, unsigned int on Linux. */
interface MessageLayout {
  readonly msghdr: typeof freebsdMsghdr | typeof linuxMsghdr;
  readonly iovec: typeof iovec;
  readonly mmsghdr: { readonly size: number; readonly lengthAt: number };
}

/** The layouts of recvmmsg(2)'s arguments (sys/socket.h). */
export const messageLayouts = {
  freebsd: { msghdr: freebsdMsghdr, iovec, mmsghdr: { size: 56, lengthAt: 48 } },
  linux: { msghdr: linuxMsghdr, iovec, mmsghdr: { size: 64, lengthAt: 56 } },
} as const satisfies Record<OperatingSystem, MessageLayout>;

/** The waiting messages of a socket, taken by one call into buffers that are laid out once. */
export interface MessageBatch {
  /** Where message `index` of the last `receive` lies: a view, valid until the next. */
  message(index: number): Buffer;
  /** The sender's address of that message, `addressSize` bytes: a view, valid until the next `receive`. */
  address(index: number): Buffer;
  /**
   * Takes as many messages as wait, up to `count`, without blocking. Returns how many, or -1 with
   * `libc.failure()`: EAGAIN when none waits. What does not fit `messageSize` is cut.
   */
  receive(fd: number): number;
}

const MSG_DONTWAIT = { freebsd: 0x80, linux: 0x40 } as const;

/** Room for `count` messages of `messageSize` bytes with addresses of `addressSize` bytes (0: not wanted). */
export function messageBatch(
  libc: Libc,
  count: number,
  messageSize: number,
  addressSize: number,
): MessageBatch {
  const { system } = libc.platform;
  const { msghdr, mmsghdr } = messageLayouts[system];
  const nameLengthAt = msghdr.members.msg_namelen.offset;
  // One allocation, so that nothing the headers point to can be collected while the headers live.
  const vectorsAt = count * mmsghdr.size;
  const messagesAt = vectorsAt + count * iovec.size;
  const addressesAt = messagesAt + count * messageSize;
  const memory = Buffer.alloc(addressesAt + count * addressSize);
  const base = libc.address(memory);
  const pointerTo = (offset: number): bigint => base + BigInt(offset);

  for (let index = 0; index < count; index++) {
    const vectorAt = vectorsAt + index * iovec.size;
    iovec.encode(
      { iov_base: pointerTo(messagesAt + index * messageSize), iov_len: BigInt(messageSize) },
      memory,
      vectorAt,
    );
    const msg_name = addressSize === 0 ? 0n : pointerTo(addressesAt + index * addressSize);
    const msg_iov = pointerTo(vectorAt);
    if (system === 'freebsd') {
      freebsdMsghdr.encode({ msg_name, msg_iov, msg_iovlen: 1 }, memory, index * mmsghdr.size);
    } else {
      linuxMsghdr.encode({ msg_name, msg_iov, msg_iovlen: 1n }, memory, index * mmsghdr.size);
    }
  }
  const addresses = Array.from({ length: count }, (_, index) =>
    memory.subarray(addressesAt + index * addressSize, addressesAt + (index + 1) * addressSize),
  );
  return {
    message(index) {
      const length = memory.readUInt32LE(index * mmsghdr.size + mmsghdr.lengthAt);
      const start = messagesAt + index * messageSize;
      return memory.subarray(start, start + Math.min(length, messageSize));
    },
    address: (index) => addresses[index]!,
    receive(fd) {
      for (let index = 0; index < count; index++) {
        memory.writeUInt32LE(addressSize, index * mmsghdr.size + nameLengthAt);
      }
      return libc.recvmmsg(fd, memory, count, MSG_DONTWAIT[system], null);
    },
  };
}
