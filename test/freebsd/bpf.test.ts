import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as bpf from '../../native-bindings/freebsd/bpf.ts';
import { InterceptError } from '../../src/intercept/interceptor.ts';
import { openBpfPassive } from '../../src/intercept/passive/bpf.ts';
import { openPflog } from '../../src/intercept/pflog.ts';
import { fakeFreebsd } from '../native-bindings/fake-libc.ts';
import { udpPacket } from '../packets.ts';
import { host } from '../scene.ts';

/** net/bpf.h of FreeBSD 15.1, compiled for amd64 by clang 19: sizes, offsets, and the numbers of the requests. */
const COMPILED = {
  bpf_program: { size: 16, bf_len: [0, 4], bf_insns: [8, 8] },
  bpf_hdr: {
    size: 32,
    tv_sec: [0, 8],
    tv_usec: [8, 8],
    bh_caplen: [16, 4],
    bh_datalen: [20, 4],
    bh_hdrlen: [24, 2],
  },
  bpf_stat: { size: 8, bs_recv: [0, 4], bs_drop: [4, 4] },
} as const;
const REQUESTS = {
  BIOCSBLEN: 0xc0044266,
  BIOCSETF: 0x80104267,
  BIOCGDLT: 0x4004426a,
  BIOCSETIF: 0x8020426c,
  BIOCSRTIMEOUT: 0x8010426d,
  BIOCGSTATS: 0x4008426f,
  BIOCIMMEDIATE: 0x80044270,
  BIOCSDIRECTION: 0x80044277,
} as const;

const ETHERNET = 1;
const PFLOG = 117;
/** SIZEOF_BPF_HDR, padded so that what follows the link layer's header is aligned (net/bpf.c, bpf_hdrlen). */
const headerLength = (link: number) => Math.ceil((link + 26) / 8) * 8 - link;
const LINKS: Readonly<Record<number, number>> = { [ETHERNET]: 14, [PFLOG]: 72 };

/** A frame as the kernel puts it into a buffer, up to where the next one begins. */
function record(frame: Uint8Array, time: number, link = ETHERNET): Buffer {
  const header = headerLength(LINKS[link]!);
  const bytes = Buffer.alloc(Math.ceil((header + frame.length) / 8) * 8);
  bytes.writeBigUInt64LE(BigInt(Math.floor(time / 1e6)), 0);
  bytes.writeBigUInt64LE(BigInt(time % 1e6), 8);
  bytes.writeUInt32LE(frame.length, 16);
  bytes.writeUInt32LE(frame.length, 20);
  bytes.writeUInt16LE(header, 24);
  bytes.set(frame, header);
  return bytes;
}

const ethernet = (packet: Uint8Array) =>
  Buffer.concat([Buffer.from('02005e00000202005e0000010800', 'hex'), packet]);

/** struct pfloghdr of 15.1: 69 bytes, three of padding; family, and what became of the packet. */
function pflog(packet: Uint8Array): Buffer {
  const header = Buffer.alloc(72);
  header.set([69, 2, 1]);
  return Buffer.concat([header, packet]);
}

/** Devices in memory: what waits in each, by the order in which they were opened, and what was asked of it. */
function devices(linkType: number) {
  const opened: { waiting: (Buffer | string)[]; asked: string[]; interface: string; lost: number }[] = [];
  const names = new Map<number, string>(Object.entries(REQUESTS).map(([name, value]) => [value, name]));
  const one = (fd: unknown) => opened[(fd as number) - 10]!;
  const libc = fakeFreebsd({
    open: (path) => {
      assert.equal(path, '/dev/bpf');
      opened.push({ waiting: [], asked: [], interface: '', lost: 0 });
      return 9 + opened.length;
    },
    close: (fd) => one(fd).asked.push('closed') * 0,
    ioctl(fd, request, argument) {
      const bytes = argument as Buffer;
      const name = names.get(request as number) ?? `${request}`;
      const device = one(fd);
      if (name === 'BIOCSETIF') {
        device.interface = bytes.toString('latin1', 0, bytes.indexOf(0));
        if (device.interface === 'none') {
          libc.setErrno('ENXIO');
          return -1;
        }
      }
      device.asked.push(
        name === 'BIOCSDIRECTION' || name === 'BIOCIMMEDIATE' ? `${name} ${bytes.readUInt32LE()}` : name,
      );
      if (name === 'BIOCGDLT') bytes.writeUInt32LE(linkType);
      if (name === 'BIOCSBLEN') bytes.writeUInt32LE(4096);
      if (name === 'BIOCGSTATS') bytes.writeUInt32LE(device.lost, 4);
      return 0;
    },
    read(fd, into, size) {
      assert.equal(size, 4096, 'a read asks for a whole buffer');
      const next = one(fd).waiting.shift();
      if (next === undefined || typeof next === 'string') {
        libc.setErrno(next ?? 'EAGAIN');
        return -1;
      }
      next.copy(into as Buffer);
      return next.length;
    },
    poll: () => 0,
  });
  return { libc, opened };
}

const datagram = (text: string) => udpPacket(host('192.0.2.10', 5060), host('198.51.100.10', 5060), text);

describe('bpf(4)', () => {
  it('has structs and requests as the C compiler has them', () => {
    for (const { name, size, members } of [bpf.bpfProgram, bpf.bpfHdr, bpf.bpfStat]) {
      const { size: real, ...fields } = COMPILED[name as keyof typeof COMPILED];
      assert.equal(size, real, name);
      const own = Object.entries(members).map(([member, { offset, field }]) => [
        member,
        [offset, field.size],
      ]);
      assert.deepEqual(Object.fromEntries(own), fields);
    }
    assert.deepEqual(bpf.bpfIoctls, REQUESTS);
  });

  it('finds each frame of a buffer, of any length, and stops where the buffer does', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 14, maxLength: 90 })), fc.nat(40), (frames, cut) => {
        const times = frames.map((_, index) => 1_700_000_000_000_000 + index * 999_999);
        const whole = Buffer.concat(frames.map((frame, index) => record(frame, times[index]!)));
        const seen: [string, number][] = [];
        const look = (frame: Buffer, time: number) => void seen.push([frame.toString('hex'), time]);
        bpf.forEachFrame(whole, look);
        const expected = frames.map((frame, index) => [Buffer.from(frame).toString('hex'), times[index]]);
        assert.deepEqual(seen, expected);
        seen.length = 0;
        bpf.forEachFrame(whole.subarray(0, Math.max(0, whole.length - cut)), look);
        assert.deepEqual(seen, expected.slice(0, seen.length));
      }),
    );
  });

  it('takes any bytes for a buffer, and comes to an end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        let frames = 0;
        bpf.forEachFrame(Buffer.from(bytes), () => frames++);
        assert.ok(frames <= bytes.length);
      }),
    );
  });
});

describe('packets that pass by, through bpf(4)', () => {
  const ports = [[5060, 5060]] as const;

  it('opens each interface for either way, at once, with its program after its interface', () => {
    const { libc, opened } = devices(ETHERNET);
    openBpfPassive(libc, { ports, interfaces: ['em1', 'em2'] }).close();
    assert.deepEqual(
      opened.map((device) => [device.interface, device.asked]),
      ['em1', 'em1', 'em2', 'em2'].map((name, index) => [
        name,
        [
          ...['BIOCSBLEN', 'BIOCIMMEDIATE 1', `BIOCSDIRECTION ${index % 2 === 0 ? 0 : 2}`],
          ...['BIOCSETIF', 'BIOCGDLT', 'BIOCSETF', 'closed'],
        ],
      ]),
    );
  });

  it('hands over what both ways have, in the order in which it passed, and where it came in', () => {
    const { libc, opened } = devices(ETHERNET);
    const interceptor = openBpfPassive(libc, { ports, interfaces: ['vtnet10.100'] });
    const [inward, outward] = opened;
    inward!.waiting.push(
      Buffer.concat([record(ethernet(datagram('1')), 1), record(ethernet(datagram('4')), 4)]),
    );
    outward!.waiting.push(
      Buffer.concat([record(ethernet(datagram('2')), 2), record(ethernet(datagram('3')), 3)]),
    );
    const packets = interceptor.receive(0);
    assert.deepEqual(
      packets.map(({ bytes, entered }) => [bytes.toString('latin1', 28), entered]),
      [
        ['1', 'vtnet10'],
        ['2', undefined],
        ['3', undefined],
        ['4', 'vtnet10'],
      ],
    );
    assert.deepEqual(interceptor.receive(0), []);
  });

  it('does not let what came meanwhile overtake, nor what it provoked', () => {
    const { libc, opened } = devices(ETHERNET);
    const interceptor = openBpfPassive(libc, { ports, interfaces: ['em1'] });
    const [inward, outward] = opened;
    // Nothing is there when what comes in is asked for; then a request comes in, and its answer goes out.
    inward!.waiting.push(
      'EAGAIN',
      Buffer.concat([record(ethernet(datagram('request')), 10), record(ethernet(datagram('later')), 30)]),
    );
    outward!.waiting.push(record(ethernet(datagram('answer')), 20));
    const texts = () => interceptor.receive(0).map(({ bytes }) => bytes.toString('latin1', 28));
    assert.deepEqual(texts(), ['request', 'answer']);
    assert.deepEqual(texts(), ['later']);
    assert.deepEqual(texts(), []);
  });

  it('counts what found no room, and ends with its interface', () => {
    const { libc, opened } = devices(ETHERNET);
    const interceptor = openBpfPassive(libc, { ports, interfaces: ['em1'] });
    assert.deepEqual(interceptor.counters(), {});
    opened[0]!.lost = 3;
    opened[1]!.lost = 4;
    assert.deepEqual(interceptor.counters(), { 'lost-queue-full': 7 });
    opened[0]!.waiting.push('ENXIO');
    assert.throws(
      () => interceptor.receive(0),
      (error) =>
        error instanceof InterceptError && error.code === 'ENXIO' && /bpf on em1/.test(error.message),
    );
  });

  it('leaves nothing open where one interface is missing, or is of a kind that is not read', () => {
    const { libc, opened } = devices(ETHERNET);
    assert.throws(() => openBpfPassive(libc, { ports, interfaces: ['em1', 'none'] }), /none/);
    assert.ok(opened.every(({ asked }) => asked.at(-1) === 'closed'));
    const other = devices(127);
    assert.throws(
      () => openBpfPassive(other.libc, { ports, interfaces: ['wlan0'] }),
      /does not read wlan0: link type 127/,
    );
    assert.equal(other.opened[0]!.asked.at(-1), 'closed');
  });
});

describe('pflog(4)', () => {
  it('gives the packets of its frames, as many as are wanted', () => {
    const { libc, opened } = devices(PFLOG);
    const source = openPflog(libc, 'pflog0', [[1024, 65_535]]);
    const frames = ['a', 'b', 'c'].map((text, at) => record(pflog(datagram(text)), at, PFLOG));
    opened[0]!.waiting.push(Buffer.concat(frames.slice(0, 2)), frames[2]!, Buffer.concat(frames));
    const texts = (most: number) => source.take(most).map((packet) => packet.toString('latin1', 28));
    assert.deepEqual(texts(10), ['a', 'b', 'c']);
    assert.deepEqual(texts(2), ['a', 'b']);
    assert.deepEqual(texts(2), []);
  });

  it('says what is missing where there is no such interface, or it is another', () => {
    assert.throws(() => openPflog(devices(PFLOG).libc, 'none', [[1, 2]]), /none.*kldload pflog/);
    assert.throws(() => openPflog(devices(ETHERNET).libc, 'em0', [[1, 2]]), /em0 is not one of pflog/);
  });
});
