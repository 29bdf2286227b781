import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DivertSocket } from '../../native-bindings/freebsd/divert.ts';
import { namesIn } from '../../native-bindings/freebsd/interfaces.ts';
import { createLoopGuard } from '../../src/intercept/divert/loop-guard.ts';
import { createWayBack } from '../../src/intercept/divert/way-back.ts';
import { createDivertInterceptor } from '../../src/intercept/divert.ts';
import { InterceptError } from '../../src/intercept/interceptor.ts';
import { fakeFreebsd } from '../native-bindings/fake-libc.ts';

const IN = 1;
const OUT = 2;

/** The sixteen bytes as the kernel fills them (ip_divert.c, divert_packet). */
function address(direction: number, ip: readonly number[], name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes[0] = 16;
  bytes[1] = 2;
  bytes.writeUInt16LE(direction, 2);
  bytes.set(ip, 4);
  bytes.write(name.slice(0, 7), 8, 'latin1');
  return bytes;
}

function packet(size: number, version = 4, fill = 0): Buffer {
  const bytes = Buffer.alloc(size, fill);
  bytes[0] = version << 4;
  return bytes;
}

interface Sent {
  readonly bytes: string;
  readonly address: string;
}

/** An interceptor over a socket in memory: what waits in it, what was sent back, and how sending fails. */
function scene(names: readonly string[] = ['vtnet1', 'vtnet2']) {
  const waiting: ({ bytes: Buffer; address: Buffer } | string)[] = [];
  const sent: Sent[] = [];
  let now = 0;
  let refusal: string | null = null;
  let poll = () => 0;
  /** System calls by which packets are asked for, in order. */
  const calls: ('poll' | 'recvfrom')[] = [];
  const libc = fakeFreebsd({
    poll() {
      calls.push('poll');
      return poll();
    },
  });
  const socket: DivertSocket = {
    fd: 5,
    port: 8668,
    receiveBuffer: 65536,
    reportsLoss: true,
    receive(into, where) {
      calls.push('recvfrom');
      const next = waiting.shift();
      if (next === undefined || typeof next === 'string') {
        libc.setErrno(next ?? 'EAGAIN');
        return -1;
      }
      next.bytes.copy(into);
      next.address.copy(where);
      return next.bytes.length;
    },
    send(bytes, where) {
      if (refusal !== null) {
        libc.setErrno(refusal);
        return -1;
      }
      sent.push({ bytes: Buffer.from(bytes).toString('hex'), address: where.toString('hex') });
      return bytes.length;
    },
    close() {},
  };
  const interfaces = {
    names: () => [...names],
    mtu: (name: string) => (names.includes(name) ? 1500 : null),
    close() {},
  };
  const interceptor = createDivertInterceptor(libc, socket, interfaces, () => now);
  return {
    interceptor,
    waiting,
    calls,
    sent,
    libc,
    refuse: (code: string | null) => {
      refusal = code;
    },
    onPoll: (act: () => number) => {
      poll = act;
    },
    wait: (ms: number) => {
      now += ms;
    },
  };
}

describe('intercept/divert', () => {
  it('puts back what another process received, where that would have', () => {
    const one = scene();
    const { succession } = one.interceptor;
    const came = [
      { bytes: packet(400, 4, 1), address: address(IN, [192, 0, 2, 1], 'vtnet1') },
      { bytes: packet(500, 4, 2), address: address(OUT, [0, 0, 0, 0], 'vtnet2') },
    ];
    one.waiting.push(...came);
    const left = one.interceptor.receive(0).map((held) => ({
      bytes: Buffer.from(held.bytes),
      way: Buffer.from(succession!.wayOf(held)),
    }));
    const other = scene();
    const taken = left.map(({ bytes, way }) => other.interceptor.succession!.takeOver(bytes, way));
    assert.deepEqual(
      taken.map(({ entered }) => entered),
      ['vtnet1', 'vtnet2'],
    );
    const fresh = { bytes: packet(300, 4, 3), address: address(IN, [192, 0, 2, 3], 'vtnet1') };
    other.waiting.push(fresh);
    for (const held of other.interceptor.receive(0)) other.interceptor.release(held);
    for (const held of taken) other.interceptor.release(held);
    assert.deepEqual(
      other.sent,
      [fresh, ...came].map(({ bytes, address: way }) => ({
        bytes: bytes.toString('hex'),
        address: way.toString('hex'),
      })),
    );
  });

  it('gives back every packet with the bytes and the address it came with, in any order', () => {
    const one = fc.record({
      size: fc.integer({ min: 20, max: 1400 }),
      direction: fc.constantFrom(IN, OUT),
      name: fc.constantFrom('vtnet1', 'vtnet2'),
      host: fc.nat(255),
      fill: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 80 }), fc.infiniteStream(fc.nat(1000)), (all, order) => {
        const { interceptor, waiting, sent, wait } = scene();
        const expected: Sent[] = [];
        for (const { size, direction, name, host, fill } of all) {
          const entry = {
            bytes: packet(size, 4, fill),
            address: address(direction, direction === IN ? [192, 0, 2, host || 1] : [0, 0, 0, 0], name),
          };
          waiting.push(entry);
          expected.push({ bytes: entry.bytes.toString('hex'), address: entry.address.toString('hex') });
        }
        for (let rounds = 0; rounds < 3; rounds++) {
          const held = [...interceptor.receive(0)].sort(() => (order.next().value % 3) - 1);
          for (const each of held) {
            wait(100);
            interceptor.release(each);
          }
        }
        const text = ({ bytes, address: where }: Sent) => `${where} ${bytes}`;
        assert.deepEqual(sent.map(text).sort(), expected.map(text).sort());
        assert.deepEqual(interceptor.counters(), {});
      }),
      { numRuns: 50 },
    );
  });

  it('counts errors of sending by their name, says so once a minute, and goes on', () => {
    const { interceptor, waiting, refuse, wait } = scene();
    for (const code of ['EACCES', 'EHOSTUNREACH', 'ENETUNREACH', 'EMSGSIZE', 'ENOBUFS', 'EACCES']) {
      waiting.push({ bytes: packet(700), address: address(OUT, [0, 0, 0, 0], 'vtnet1') });
      refuse(code);
      for (const each of interceptor.receive(0)) interceptor.release(each);
      wait(100);
    }
    assert.deepEqual(interceptor.counters(), {
      'refused-EACCES': 2,
      'refused-EHOSTUNREACH': 1,
      'refused-ENETUNREACH': 1,
      'refused-EMSGSIZE': 1,
      'refused-ENOBUFS': 1,
    });
    assert.equal(interceptor.news().length, 5);
    assert.deepEqual(interceptor.news(), []);
    wait(60_000);
    waiting.push({ bytes: packet(700), address: address(OUT, [0, 0, 0, 0], 'vtnet1') });
    refuse('EACCES');
    for (const each of interceptor.receive(0)) interceptor.release(each);
    assert.deepEqual(interceptor.news(), [
      'the kernel refused a packet of 700 bytes going out: EACCES (3 times so far)',
    ]);
  });

  it('counts an overflow of the queue and takes what is left', () => {
    const { interceptor, waiting } = scene();
    const entry = { bytes: packet(700), address: address(OUT, [0, 0, 0, 0], 'vtnet1') };
    waiting.push(entry, 'ENOBUFS', 'EINTR', entry);
    assert.equal(interceptor.receive(0).length, 2);
    assert.equal(interceptor.counters()['lost-queue-full'], 1);
    assert.match(interceptor.news()[0]!, /packets were lost/);
  });

  describe('asks for packets', () => {
    const entry = { bytes: packet(700), address: address(OUT, [0, 0, 0, 0], 'vtnet1') };

    /** One that has seen packets come one at a time, so many of them. */
    function quiet(packets: number) {
      const made = scene();
      made.onPoll(() => made.waiting.push(entry));
      for (let taken = 0; taken < packets; taken++)
        assert.equal(made.interceptor.receive(100).length, 1, `${taken}`);
      made.onPoll(() => (made.waiting.length > 0 ? 1 : 0));
      return made;
    }

    it('with one call beside the wait where they come one at a time', () => {
      const { calls } = quiet(33);
      assert.equal(calls.filter((call) => call === 'poll').length, 33);
      // One before the first wait, and one after sixteen of them, twice.
      assert.equal(calls.filter((call) => call === 'recvfrom').length, 33 + 3);
      assert.deepEqual(calls.slice(0, 5), ['recvfrom', 'poll', 'recvfrom', 'poll', 'recvfrom']);
    });

    it('without a wait where they queue up, and 64 at most in a turn', () => {
      const { interceptor, waiting, calls } = quiet(1);
      for (let more = 0; more < 1000; more++) waiting.push(entry);
      calls.length = 0;
      const turns: number[] = [];
      while (waiting.length > 0) turns.push(interceptor.receive(100).length);
      assert.equal(
        turns.reduce((sum, count) => sum + count),
        1000,
      );
      assert.equal(Math.max(...turns), 64);
      assert.equal(calls.filter((call) => call === 'poll').length, 15);
      // The last of all says that none is left.
      assert.equal(calls.filter((call) => call === 'recvfrom').length, 1000 + 1);
      assert.deepEqual(interceptor.receive(100), []);
    });

    it('without a wait as soon as the queue has overflowed', () => {
      const { interceptor, waiting } = quiet(1);
      waiting.push('ENOBUFS', ...Array.from({ length: 10 }, () => entry));
      assert.equal(interceptor.receive(100).length, 0);
      assert.equal(interceptor.receive(100).length, 10);
    });

    it('without a wait where there is no time for one', () => {
      const { interceptor, waiting, calls } = quiet(1);
      waiting.push(entry, entry);
      calls.length = 0;
      assert.equal(interceptor.receive(0).length, 2);
      assert.deepEqual(interceptor.receive(0), []);
      assert.ok(!calls.includes('poll'));
    });

    it('in their order, whatever comes when, and leaves none that is there', () => {
      const arrivals = fc.array(fc.tuple(fc.nat(70), fc.nat(3), fc.boolean()), { maxLength: 60 });
      fc.assert(
        fc.property(arrivals, (turns) => {
          const { interceptor, waiting, onPoll } = scene();
          let late = 0;
          let made = 0;
          const arrive = (count: number) => {
            for (let more = 0; more < count; more++) {
              const bytes = packet(60);
              bytes.writeUInt32LE(made++, 20);
              waiting.push({ bytes, address: entry.address });
            }
          };
          onPoll(() => {
            arrive(late);
            return waiting.length > 0 ? 1 : 0;
          });
          const taken: number[] = [];
          const turn = (timeout: number) => {
            const held = interceptor.receive(timeout);
            assert.ok(held.length <= 64);
            assert.ok(held.length > 0 || waiting.length === 0);
            for (const { bytes } of held) taken.push(bytes.readUInt32LE(20));
          };
          for (const [before, during, waits] of turns) {
            arrive(before);
            late = during;
            turn(waits ? 100 : 0);
          }
          late = 0;
          while (waiting.length > 0) turn(100);
          assert.deepEqual(
            taken,
            Array.from({ length: made }, (_, index) => index),
          );
        }),
        { numRuns: 200 },
      );
    });
  });

  it('throws when the socket is gone, and only then', () => {
    const { interceptor, waiting, onPoll, libc } = scene();
    waiting.push('EBADF');
    assert.throws(() => interceptor.receive(0), InterceptError);
    onPoll(() => {
      libc.setErrno('EINTR');
      return -1;
    });
    assert.deepEqual(interceptor.receive(10), []);
    onPoll(() => {
      libc.setErrno('EBADF');
      return -1;
    });
    assert.throws(() => interceptor.receive(10), InterceptError);
  });

  it('stops putting back a packet that comes again and again, and lets every other pass', () => {
    const { interceptor, waiting, sent } = scene();
    const looping = { bytes: packet(700, 4, 7), address: address(IN, [192, 0, 2, 1], 'vtnet2') };
    const other = { bytes: packet(700, 4, 9), address: address(IN, [192, 0, 2, 1], 'vtnet2') };
    for (let times = 0; times < 20; times++) waiting.push(looping);
    waiting.push(other);
    for (const each of interceptor.receive(0)) interceptor.release(each);
    assert.equal(sent.filter(({ bytes }) => bytes === looping.bytes.toString('hex')).length, 7);
    assert.equal(sent.at(-1)!.bytes, other.bytes.toString('hex'));
    assert.equal(interceptor.counters()['dropped-looping'], 13);
    assert.match(interceptor.news()[0]!, /272770/);
  });
});

describe('loop guard', () => {
  it('takes no retransmission for a loop, however often it comes', () => {
    const guard = createLoopGuard();
    const same = packet(900, 4, 3);
    for (let times = 0; times < 100; times++) assert.equal(guard.loops(same, IN, times * 500), false);
  });

  it('takes no packets for one another that differ only in their body', () => {
    const guard = createLoopGuard();
    for (let times = 0; times < 100; times++) {
      const bytes = packet(900, 4, 3);
      bytes.writeUInt32LE(times, 800);
      assert.equal(guard.loops(bytes, IN, 0), false);
    }
  });
});

describe('way back', () => {
  const names = ['igb0', 'igb0.10', 'igb0.100', 'vlan1234', 'ixl0.200', 'lagg0.7'];
  const back = () => createWayBack({ names: () => names, mtu: (name) => (name === 'igb0' ? 9000 : 1500) });
  const correct = (where: Buffer, bytes = packet(700)) => {
    const given = Buffer.from(where);
    return [back().correct(given, bytes, 0), given] as const;
  };

  it('leaves alone what the kernel can use', () => {
    for (const name of ['igb0', 'lagg0.7']) {
      const where = address(IN, [192, 0, 2, 1], name);
      assert.deepEqual(correct(where), ['none', where]);
    }
    const out = address(OUT, [0, 0, 0, 0], 'igb0.10');
    assert.deepEqual(correct(out, packet(9000, 6)), ['none', out]);
  });

  it('clears a name that may be the beginning of another: the address decides', () => {
    for (const name of ['igb0.10', 'igb0.100', 'vlan1234', 'ixl0.200']) {
      const [correction, given] = correct(address(IN, [192, 0, 2, 1], name));
      assert.equal(correction, 'long-name');
      assert.deepEqual(given, address(IN, [192, 0, 2, 1], ''));
    }
  });

  it('gives an interface without IPv4 some address, so that the packet does not go out', () => {
    const [correction, given] = correct(address(IN, [0, 0, 0, 0], 'igb0'), packet(700, 6));
    assert.equal(correction, 'no-ipv4');
    assert.deepEqual(given, address(IN, [127, 0, 0, 1], 'igb0'));
  });

  it('says where there is no right way', () => {
    assert.equal(correct(address(IN, [0, 0, 0, 0], 'igb0.100'))[0], 'no-way-back');
  });

  it('gives IPv6 that is larger than its interface takes back as going out', () => {
    const [correction, given] = correct(address(IN, [192, 0, 2, 1], 'lagg0.7'), packet(1501, 6));
    assert.equal(correction, 'oversize-ipv6');
    assert.deepEqual(given, address(IN, [0, 0, 0, 0], 'lagg0.7'));
    assert.equal(correct(address(IN, [192, 0, 2, 1], 'lagg0.7'), packet(1500, 6))[0], 'none');
    assert.equal(correct(address(IN, [192, 0, 2, 1], 'igb0'), packet(9000, 6))[0], 'none');
    assert.equal(correct(address(IN, [192, 0, 2, 1], 'lagg0.7'), packet(4000, 4))[0], 'none');
  });
});

describe('names of interfaces', () => {
  it('are read from entries of any length', () => {
    const entry = (name: string, length: number) => {
      const bytes = Buffer.alloc(16 + Math.max(16, length));
      bytes.write(name);
      bytes[16] = length;
      return bytes;
    };
    const list = Buffer.concat([
      entry('vtnet0', 54),
      entry('vtnet0', 16),
      entry('vtnet0', 28),
      entry('bridge0', 0),
      entry('igb0.1000', 16),
    ]);
    assert.deepEqual(namesIn(list), ['vtnet0', 'bridge0', 'igb0.1000']);
    assert.deepEqual(namesIn(list.subarray(0, list.length - 20)), ['vtnet0', 'bridge0']);
  });
});
