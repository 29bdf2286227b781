/** bpf(4): copies of what passes an interface, for who holds up none of it. */
import type { Libc } from '../engine.ts';
import { encodeProgram, type FilterInstruction } from '../filter-program.ts';
import { at, cstring, pointer, struct, u16, u32, u64 } from '../struct.ts';
import { IFNAMSIZ, O_CLOEXEC } from './constants.ts';
import { ior, iow, iowr } from './ioctls.ts';

/** struct bpf_program (net/bpf.h): `bf_insns` points to `bf_len` instructions. */
export const bpfProgram = struct('bpf_program', 16, { bf_len: at(0, u32), bf_insns: at(8, pointer) });

/** struct bpf_hdr: seconds and microseconds since the epoch, bytes captured, bytes on the wire, bytes of the header itself. */
export const bpfHdr = struct('bpf_hdr', 32, {
  tv_sec: at(0, u64),
  tv_usec: at(8, u64),
  bh_caplen: at(16, u32),
  bh_datalen: at(20, u32),
  bh_hdrlen: at(24, u16),
});

/** struct bpf_stat. */
export const bpfStat = struct('bpf_stat', 8, { bs_recv: at(0, u32), bs_drop: at(4, u32) });

/** struct ifreq (net/if.h), by the name alone. */
const ifreq = struct('ifreq', 32, { ifr_name: at(0, cstring(IFNAMSIZ)) });
/** struct timeval (sys/time.h). */
const timeval = struct('timeval', 16, { tv_sec: at(0, u64), tv_usec: at(8, u64) });

export const bpfIoctls = {
  BIOCSBLEN: iowr('B', 102, 4),
  BIOCSETF: iow('B', 103, bpfProgram.size),
  BIOCGDLT: ior('B', 106, 4),
  BIOCSETIF: iow('B', 108, ifreq.size),
  BIOCSRTIMEOUT: iow('B', 109, timeval.size),
  BIOCGSTATS: ior('B', 111, bpfStat.size),
  BIOCIMMEDIATE: iow('B', 112, 4),
  BIOCSDIRECTION: iow('B', 119, 4),
} as const;

/** enum bpf_direction. */
const DIRECTIONS = { in: 0, both: 1, out: 2 } as const;
/** BPF_ALIGNMENT is sizeof(long). */
const ALIGNMENT = 8;
const O_RDONLY = 0;
const O_NONBLOCK = 4;

export interface BpfOptions {
  readonly interface: string;
  /** What the interface receives, what it sends, or both. */
  readonly direction: keyof typeof DIRECTIONS;
  /** The program for frames of a link type (DLT_). Throws where it does not know that. */
  readonly program: (linkType: number) => readonly FilterInstruction[];
  /** Bytes of each of the kernel's two buffers; net.bpf.maxbufsize at most. */
  readonly bufferSize: number;
  /** `at once` (BIOCIMMEDIATE), or ms after which a buffer that is not full is handed over (BIOCSRTIMEOUT). */
  readonly delivery: 'at once' | number;
}

export interface BpfDevice {
  readonly fd: number;
  /** DLT_: what a frame begins with. */
  readonly linkType: number;
  /**
   * Hands each frame that waits to `visit`, in the order in which they passed, with the time of its passing in µs since the
   * epoch. A frame is good until the next call. Does not wait. Throws SystemError: ENXIO where the interface is gone.
   */
  read(visit: (frame: Buffer, time: number) => void): void;
  /** Frames that the program took for which there was no room, since it was opened. */
  lost(): number;
  close(): void;
}

/**
 * Opens a device of its own (/dev/bpf makes one for each open) on one interface. Needs root, then and not later. Throws
 * SystemError: ENXIO where there is no such interface, EINVAL where the kernel does not take the program.
 */
export function openBpf(libc: Libc, options: BpfOptions): BpfDevice {
  const { interface: name, direction, program, bufferSize, delivery } = options;
  const fd = libc.check('open', libc.open('/dev/bpf', O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0), '/dev/bpf');
  const number = Buffer.alloc(4);
  const ask = (request: keyof typeof bpfIoctls, argument: Buffer): Buffer => {
    libc.check(request, libc.ioctl(fd, bpfIoctls[request], argument), name);
    return argument;
  };
  const set = (request: keyof typeof bpfIoctls, value: number): number => {
    number.writeUInt32LE(value);
    return ask(request, number).readUInt32LE();
  };
  try {
    // A read has to ask for as many bytes as a buffer has.
    const buffer = Buffer.alloc(set('BIOCSBLEN', bufferSize));
    if (delivery === 'at once') set('BIOCIMMEDIATE', 1);
    else ask('BIOCSRTIMEOUT', timeval.encode(milliseconds(delivery)));
    set('BIOCSDIRECTION', DIRECTIONS[direction]);
    ask('BIOCSETIF', ifreq.encode({ ifr_name: name }));
    const linkType = ask('BIOCGDLT', number).readUInt32LE();
    const instructions = program(linkType);
    const code = encodeProgram(instructions);
    // It empties the buffers, too: nothing that came before it is left.
    ask('BIOCSETF', bpfProgram.encode({ bf_len: instructions.length, bf_insns: libc.address(code) }));
    return {
      fd,
      linkType,
      read(visit) {
        const size = libc.read(fd, buffer, buffer.length);
        if (size >= 0) return forEachFrame(buffer.subarray(0, size), visit);
        const why = libc.failure();
        if (why !== 'EAGAIN' && why !== 'EINTR') throw libc.error('read', `bpf on ${name}`);
      },
      lost: () => bpfStat.get('bs_drop', ask('BIOCGSTATS', Buffer.alloc(bpfStat.size))),
      close: () => void libc.close(fd),
    };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function milliseconds(ms: number) {
  return { tv_sec: BigInt(Math.floor(ms / 1000)), tv_usec: BigInt(Math.round((ms % 1000) * 1000)) };
}

/** The frames in one buffer: a header with its own length, the frame, and room up to the next multiple of eight bytes. */
export function forEachFrame(buffer: Buffer, visit: (frame: Buffer, time: number) => void): void {
  let offset = 0;
  while (offset + bpfHdr.size <= buffer.length) {
    const { tv_sec, tv_usec, bh_caplen, bh_hdrlen } = bpfHdr.decode(buffer, offset);
    const start = offset + bh_hdrlen;
    const end = start + bh_caplen;
    if (bh_hdrlen === 0 || end > buffer.length) return;
    visit(buffer.subarray(start, end), Number(tv_sec) * 1e6 + Number(tv_usec));
    offset += Math.ceil((bh_hdrlen + bh_caplen) / ALIGNMENT) * ALIGNMENT;
  }
}
