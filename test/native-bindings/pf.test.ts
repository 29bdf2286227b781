import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { SystemError } from '../../native-bindings/errno.ts';
import {
  AF_INET,
  IPPROTO_UDP,
  PF_CHANGE_ADD_TAIL,
  PF_LIMIT_ANCHORS,
  PF_OP_EQ,
  PF_OP_RRG,
  PF_RULESET_FILTER,
} from '../../native-bindings/freebsd/constants.ts';
import { openDivert, raiseReceiveBuffer } from '../../native-bindings/freebsd/divert.ts';
import { divertStatistics, sysctlString } from '../../native-bindings/freebsd/kernel.ts';
import { packNvList, unpackNvList } from '../../native-bindings/freebsd/nvlist.ts';
import { openPf, type Pf } from '../../native-bindings/freebsd/pf.ts';
import { killStatesRequest, ruleFromReply, statusFromReply } from '../../native-bindings/freebsd/pf-nv.ts';
import type { PfRuleValues } from '../../native-bindings/freebsd/pf-rule.ts';
import { abi, nvlistBytes, vectorBytes, withoutAbi } from './abi.ts';
import { type FakeLibc, fakeFreebsd } from './fake-libc.ts';

/** A /dev/pf that keeps each request's name and bytes, and answers by `kernel`: 0, or an errno's symbol. */
function recordingPf(kernel: (name: string, memory: Buffer, libc: FakeLibc) => string | 0 = () => 0) {
  const requests: { name: string; bytes: Buffer }[] = [];
  const names = new Map(Object.entries(abi.ioctls).map(([name, number]) => [Number(number), name]));
  const opened: unknown[] = [];
  const libc: FakeLibc = fakeFreebsd({
    open: (...args) => {
      opened.push(args);
      return 9;
    },
    ioctl: (fd, request, memory) => {
      assert.equal(fd, 9);
      const name = names.get(request as number) ?? 'unknown';
      requests.push({ name, bytes: Buffer.from(memory as Buffer) });
      const answer = kernel(name, memory as Buffer, libc);
      if (answer !== 0) libc.setErrno(answer);
      return answer === 0 ? 0 : -1;
    },
  });
  const pf: Pf = openPf(libc);
  return { pf, libc, requests, opened };
}

const mask = Buffer.alloc(4, 0xff);
const vectorRule: PfRuleValues = {
  src: { addr: { 'v.a.addr': Uint8Array.of(198, 51, 100, 20), 'v.a.mask': mask } },
  dst: {
    addr: { 'v.a.addr': Uint8Array.of(192, 0, 2, 10), 'v.a.mask': mask },
    port: [40000, 40001],
    port_op: PF_OP_RRG,
  },
  label: 'pinholed:call-0001',
  rtableid: -1,
  timeout: [0, 0, 0, 0, 0, 0, 60, 30, 60],
  direction: 1,
  quick: 1,
  keep_state: 1,
  af: AF_INET,
  proto: IPPROTO_UDP,
};

describe('pf requests', { skip: withoutAbi }, () => {
  it('opens /dev/pf for reading and writing, not inherited by children', () => {
    const { opened } = recordingPf();
    assert.deepEqual(opened, [['/dev/pf', abi.constants['O_RDWR']! | abi.constants['O_CLOEXEC']!, 0]]);
  });

  it('begins and commits a transaction over its elements', () => {
    const { pf, requests } = recordingPf((name, memory, libc) => {
      const elements = libc.at(memory.readBigUInt64LE(8));
      if (name === 'DIOCXBEGIN') {
        const { size } = abi.structs['pfioc_trans_e']!;
        assert.equal(memory.readInt32LE(0), 2);
        assert.equal(memory.readInt32LE(4), size);
        elements.writeUInt32LE(0x11223344, 1028);
        elements.writeUInt32LE(77, size + 1028);
      } else {
        assert.deepEqual(elements.subarray(0, 1032), vectorBytes('vec_trans_e'));
      }
      return 0;
    });
    const transaction = pf.begin([
      { ruleset: PF_RULESET_FILTER, anchor: 'pinholed/call-0001' },
      { ruleset: PF_RULESET_FILTER, anchor: 'pinholed/02' },
    ]);
    assert.deepEqual(transaction.tickets, [0x11223344, 77]);
    pf.commit(transaction);
    pf.rollback(transaction);
    assert.deepEqual(
      requests.map(({ name }) => name),
      ['DIOCXBEGIN', 'DIOCXCOMMIT', 'DIOCXROLLBACK'],
    );
  });

  it('adds a rule with the bytes the C compiler makes', () => {
    const { pf, requests } = recordingPf((name, memory) => {
      if (name === 'DIOCBEGINADDRS') memory.writeUInt32LE(0x55667788, 4);
      return 0;
    });
    const poolTicket = pf.beginAddrs();
    pf.addRule({ ticket: 0x11223344, poolTicket, anchor: 'pinholed/call-0001', rule: vectorRule });
    assert.deepEqual(requests[1], { name: 'DIOCADDRULE', bytes: vectorBytes('vec_rule_v4') });
  });

  it('leaves nothing of one rule in the next', () => {
    const { pf, requests } = recordingPf();
    pf.addRule({
      ticket: 1,
      poolTicket: 2,
      anchor: 'a'.repeat(900),
      anchorCall: '*',
      rule: { label: 'x'.repeat(63) },
    });
    pf.addRule({
      ticket: 0x11223344,
      poolTicket: 0x55667788,
      anchor: 'pinholed/call-0001',
      rule: vectorRule,
    });
    assert.deepEqual(requests[1]?.bytes, vectorBytes('vec_rule_v4'));
  });

  it('changes single rules: ticket, add at the end, remove by position', () => {
    const { pf, requests } = recordingPf((_, memory) => {
      if (memory.readUInt32LE(0) === abi.constants['PF_CHANGE_GET_TICKET'])
        memory.writeUInt32LE(0x11223344, 4);
      return 0;
    });
    const ticket = pf.changeTicket('pinholed/call-0001');
    pf.insertRule(PF_CHANGE_ADD_TAIL, {
      ticket,
      poolTicket: 0x55667788,
      anchor: 'pinholed/call-0001',
      rule: vectorRule,
    });
    pf.removeRule('pinholed/call-0001', ticket, 513);
    assert.ok(requests.every(({ name }) => name === 'DIOCCHANGERULE'));
    const added = vectorBytes('vec_rule_v4');
    added.writeUInt32LE(abi.constants['PF_CHANGE_ADD_TAIL']!, 0);
    assert.deepEqual(requests[1]?.bytes, added);
    const removed = requests[2]!.bytes;
    assert.deepEqual(
      [removed.readUInt32LE(0), removed.readUInt32LE(4), removed.readUInt32LE(12)],
      [abi.constants['PF_CHANGE_REMOVE'], 0x11223344, 513],
    );
    assert.equal(removed.toString('latin1', 16, 16 + 18), 'pinholed/call-0001');
  });

  it('kills states by label with the bytes of libnv', () => {
    const { pf } = recordingPf((name, memory, libc) => {
      assert.equal(name, 'DIOCKILLSTATESNV');
      const length = Number(memory.readBigUInt64LE(8));
      const data = libc.at(memory.readBigUInt64LE(0));
      assert.deepEqual(data.subarray(0, length), nvlistBytes('kill_by_label'));
      assert.ok(memory.readBigUInt64LE(16) >= 53n);
      const reply = nvlistBytes('reply_killed_3');
      reply.copy(data);
      memory.writeBigUInt64LE(BigInt(reply.length), 8);
      return 0;
    });
    assert.equal(pf.killStates({ label: 'pinholed:call-0001' }), 3);
  });

  it('kills states by the two ends with the bytes of libnv', () => {
    const request = killStatesRequest({
      af: AF_INET,
      proto: IPPROTO_UDP,
      src: { address: Uint8Array.of(192, 0, 2, 10), port: 40026 },
      dst: { address: Uint8Array.of(198, 51, 100, 20), port: 20000 },
    });
    assert.deepEqual(packNvList(request), nvlistBytes('kill_udp_192.0.2.10:40026_198.51.100.20:20000'));
  });

  it('asks again with more room while the kernel says ENOSPC', () => {
    const sizes: bigint[] = [];
    const { pf } = recordingPf((_, memory, libc) => {
      const size = memory.readBigUInt64LE(16);
      sizes.push(size);
      if (size < 100_000n) return 'ENOSPC';
      const reply = packNvList({ killed: 12 });
      reply.copy(libc.at(memory.readBigUInt64LE(0)));
      memory.writeBigUInt64LE(BigInt(reply.length), 8);
      return 0;
    });
    assert.equal(pf.killStates({ label: 'x' }), 12);
    assert.ok(sizes.length > 1 && sizes.length < 6);
    const { pf: never } = recordingPf(() => 'ENOSPC');
    assert.throws(() => never.status(), /DIOCGETSTATUSNV: ENOSPC/);
  });

  it('reads a rule back', () => {
    const end = (address: number[], ports: number[], op: number) => ({
      addr: {
        type: 0,
        iflags: 0,
        addr: { addr: Buffer.from([...address, ...Array(12).fill(0)]) },
        mask: { addr: Buffer.from([255, 255, 255, 255, ...Array(12).fill(0)]) },
      },
      port: ports,
      neg: 0,
      port_op: op,
    });
    const zeros = Object.fromEntries(
      [
        'max_states',
        'prob',
        'log',
        'ifnot',
        'allow_opts',
        'tos',
        'prio',
        'anchor_relative',
        'anchor_wildcard',
        'rule_flag',
        'rt',
        'direction',
        'action',
      ].map((name) => [name, 0]),
    );
    const reply = packNvList({
      nr: 4,
      rule: {
        ...zeros,
        nr: 4,
        src: end([198, 51, 100, 20], [0, 0], 0),
        // 40026 and 40027 as they lie in memory, in network order.
        dst: end([192, 0, 2, 10], [0x5a9c, 0x5b9c], PF_OP_RRG),
        labels: ['pinholed:call-0001', '', '', '', ''],
        ifname: '',
        qname: '',
        pqname: '',
        tagname: 'SIP',
        match_tagname: '',
        evaluations: 10,
        packets: [7, 3],
        bytes: [700, 300],
        rtableid: -1,
        timeout: Array.from({ length: 25 }, (_, index) => index),
        states_cur: 1,
        states_tot: 2,
        quick: 1,
        keep_state: 1,
        af: AF_INET,
        proto: IPPROTO_UDP,
        divert: { addr: { addr: Buffer.alloc(16) }, port: 0xdc21 },
      },
      anchor_call: '',
    });
    const { pf } = recordingPf((name, memory, libc) => {
      assert.equal(name, 'DIOCGETRULENV');
      const data = libc.at(memory.readBigUInt64LE(0));
      const request = unpackNvList(data.subarray(0, Number(memory.readBigUInt64LE(8))));
      assert.deepEqual(
        { ...request },
        { anchor: 'pinholed/02', ruleset: 0n, ticket: 55n, nr: 4n, clear_counter: false },
      );
      reply.copy(data);
      memory.writeBigUInt64LE(BigInt(reply.length), 8);
      return 0;
    });
    const rule = pf.rule('pinholed/02', 55, 4);
    assert.equal(rule.label, 'pinholed:call-0001');
    assert.deepEqual(rule.dst.port, [40026, 40027]);
    assert.deepEqual([rule.rtableid, rule.nr, rule.tagname, rule.divertPort], [-1, 4, 'SIP', 8668]);
    assert.deepEqual([rule.packets, rule.bytes, rule.timeout[8]], [[7n, 3n], [700n, 300n], 8]);
    assert.deepEqual(rule.src.addr['v.a.addr'].subarray(0, 4), Buffer.from([198, 51, 100, 20]));
  });

  it('reads the status: running, reassembly, the reasons of drops', () => {
    const { pf } = recordingPf((_, memory, libc) => {
      const reply = packNvList({
        running: true,
        states: 12,
        reass: 1,
        counters: { counters: [5, 0, 2], names: ['match', 'bad-offset', 'state-insert'], ids: [0, 1, 2] },
      });
      reply.copy(libc.at(memory.readBigUInt64LE(0)));
      memory.writeBigUInt64LE(BigInt(reply.length), 8);
      return 0;
    });
    const status = pf.status();
    assert.deepEqual([status.running, status.states, status.reass], [true, 12, 1]);
    assert.equal(status.counters.get('state-insert'), 2n);
  });

  it('reads all states, also those that came since they were counted; none when there are too many', () => {
    const size = abi.structs['pf_state_export']!.size;
    const lengths: number[] = [];
    let there = 2000;
    const { pf } = recordingPf((name, memory, libc) => {
      assert.equal(name, 'unknown');
      assert.equal(memory.readBigUInt64LE(8), 20230404n);
      const length = memory.readUInt32LE(0);
      lengths.push(length);
      if (length === 0) {
        memory.writeUInt32LE(there * size, 0);
        there = 3000;
        return 0;
      }
      // The kernel fills in what has room.
      const count = Math.min(there, Math.floor(length / size));
      libc.at(memory.readBigUInt64LE(16)).fill(1, 0, count * size);
      memory.writeUInt32LE(count * size, 0);
      return 0;
    });
    assert.equal(pf.states(10_000)?.length, 3000 * size);
    assert.equal(lengths.filter((length) => length === 0).length, 2);
    there = 10_001;
    assert.equal(pf.states(10_000), null);
  });

  it('lists the anchors below a path', () => {
    const children = ['00', '01', 'divert'];
    const { pf, requests } = recordingPf((name, memory) => {
      if (name === 'DIOCGETRULESETS') memory.writeUInt32LE(children.length, 0);
      else memory.write(`${children[memory.readUInt32LE(0)]}\0`, 1028);
      return 0;
    });
    assert.deepEqual(pf.anchors('pinholed'), children);
    assert.equal(requests[0]?.bytes.toString('latin1', 4, 13), 'pinholed\0');
  });

  it('reads and sets the anchor limit', () => {
    const { pf, requests } = recordingPf((name, memory) => {
      if (name === 'DIOCGETLIMIT') memory.writeUInt32LE(512, 4);
      return 0;
    });
    assert.equal(pf.limit(PF_LIMIT_ANCHORS), 512);
    pf.setLimit(PF_LIMIT_ANCHORS, 4096);
    assert.deepEqual(requests[1]?.bytes, vectorBytes('vec_limit'));
  });

  it('says what the kernel refused', () => {
    const { pf } = recordingPf(() => 'EBUSY');
    assert.throws(
      () =>
        pf.addRule({ ticket: 1, poolTicket: 1, anchor: 'pinholed/03', rule: { dst: { port_op: PF_OP_EQ } } }),
      (error) =>
        error instanceof SystemError &&
        error.code === 'EBUSY' &&
        /DIOCADDRULE \(pinholed\/03\)/.test(error.message),
    );
  });
});

/** What a FreeBSD 15.1 kernel (amd64) answered, as hex. */
function kernelReply(name: string): Buffer {
  const hex = readFileSync(new URL(`./replies/${name}.hex`, import.meta.url), 'utf8');
  return Buffer.from(hex.replaceAll('\n', ''), 'hex');
}

describe('replies of a FreeBSD 15.1 kernel', () => {
  it('DIOCGETRULENV of a rule that was added with these members', () => {
    // pass out log quick inet proto udp from 198.51.100.20 to 192.0.2.10 port 40000:40001 label ... tag sip divert-to 8668
    const rule = ruleFromReply(unpackNvList(kernelReply('getrulenv')));
    const { src, dst, timeout, ...rest } = rule;
    assert.deepEqual(src.addr, {
      'v.a.addr': Buffer.from([198, 51, 100, 20, ...Array(12).fill(0)]),
      'v.a.mask': Buffer.from([255, 255, 255, 255, ...Array(12).fill(0)]),
      type: 0,
    });
    assert.deepEqual([src.port, src.port_op, src.neg], [[0, 0], 0, 0]);
    assert.deepEqual(dst.addr['v.a.addr'].subarray(0, 4), Buffer.from([192, 0, 2, 10]));
    assert.deepEqual([dst.port, dst.port_op], [[40000, 40001], PF_OP_RRG]);
    assert.deepEqual(timeout, [0, 0, 0, 0, 0, 0, 60, 30, 60, ...Array(16).fill(0)]);
    assert.deepEqual(rest, {
      label: 'pinholed:call-0001:1',
      ifname: '',
      qname: '',
      pqname: '',
      tagname: 'sip',
      match_tagname: '',
      evaluations: 0n,
      packets: [0n, 0n],
      bytes: [0n, 0n],
      rtableid: -1,
      max_states: 0,
      nr: 0,
      prob: 0,
      states_cur: 0n,
      states_tot: 0n,
      rule_flag: 0,
      rt: 0,
      action: 0,
      direction: 2,
      log: 1,
      quick: 1,
      ifnot: 0,
      keep_state: 1,
      af: AF_INET,
      proto: IPPROTO_UDP,
      allow_opts: 0,
      tos: 0,
      prio: 0,
      anchor_relative: 0,
      anchor_wildcard: 0,
      divertPort: 8668,
      anchorCall: '',
    });
  });

  it('DIOCGETSTATUSNV', () => {
    const status = statusFromReply(unpackNvList(kernelReply('getstatusnv')));
    // Of a kernel where pf was enabled and `set reassemble` was not.
    assert.deepEqual([status.running, status.states, status.reass], [true, 0, 0]);
    assert.deepEqual([...status.counters.keys()].slice(0, 3), ['match', 'bad-offset', 'fragment']);
    assert.ok(status.counters.has('state-insert'));
  });
});

describe('divert socket', { skip: withoutAbi }, () => {
  const { constants } = abi;

  function divert(oldKernel: boolean, limit: number) {
    const sockets: unknown[] = [];
    const bound: Buffer[] = [];
    const sent: { packet: Buffer; address: Buffer }[] = [];
    const libc = fakeFreebsd({
      socket: (domain, type, protocol) => {
        sockets.push([domain, type, protocol]);
        if (!oldKernel || domain === constants['AF_INET']) return 5;
        libc.setErrno('EAFNOSUPPORT');
        return -1;
      },
      bind: (_, name) => {
        bound.push(Buffer.from(name as Buffer));
        return 0;
      },
      setsockopt: (_, level, option, value) => {
        assert.equal(level, constants['SOL_SOCKET']);
        if (option !== constants['SO_RCVBUF']) return oldKernel ? -1 : 0;
        return (value as Buffer).readInt32LE() <= limit ? 0 : -1;
      },
      recvfrom: (_fd, packet, size, flags, address, length) => {
        assert.equal(flags, constants['MSG_DONTWAIT']);
        assert.equal(size, (packet as Buffer).length);
        assert.equal((length as Buffer).readUInt32LE(), 16);
        vectorBytes('vec_divert_rx_in').copy(address as Buffer);
        return 40;
      },
      sendto: (_fd, packet, size, _flags, address, addressSize) => {
        assert.deepEqual([size, addressSize], [(packet as Buffer).length, 16]);
        sent.push({ packet: Buffer.from(packet as Buffer), address: Buffer.from(address as Buffer) });
        return size as number;
      },
    });
    return { libc, sockets, bound, sent };
  }

  it('binds in divert’s own domain and gives packets back where they came from', () => {
    const { libc, sockets, bound, sent } = divert(false, Number.MAX_SAFE_INTEGER);
    const socket = openDivert(libc, 7000);
    const SOCK_RAW = constants['SOCK_RAW']! | constants['SOCK_CLOEXEC']!;
    assert.deepEqual(sockets, [[constants['PF_DIVERT'], SOCK_RAW, 0]]);
    assert.deepEqual(bound, [vectorBytes('vec_divert_bind')]);
    assert.equal(socket.reportsLoss, true);
    const packet = Buffer.alloc(100);
    const address = Buffer.alloc(16);
    const length = socket.receive(packet, address);
    assert.equal(socket.send(packet.subarray(0, length), address), 40);
    assert.deepEqual(sent[0]?.address, vectorBytes('vec_divert_rx_in'));
  });

  it('falls back to the raw socket of older kernels', () => {
    const { libc, sockets } = divert(true, 1_864_135);
    const socket = openDivert(libc, 7000);
    const SOCK_RAW = constants['SOCK_RAW']! | constants['SOCK_CLOEXEC']!;
    assert.deepEqual(sockets[1], [constants['AF_INET'], SOCK_RAW, constants['IPPROTO_DIVERT']]);
    assert.equal(socket.reportsLoss, false);
    assert.ok(socket.receiveBuffer <= 1_864_135 && socket.receiveBuffer > 1_864_135 - 4096);
  });

  it('raises the receive queue as far as it goes', () => {
    assert.equal(
      raiseReceiveBuffer(() => true, 8 << 20),
      8 << 20,
    );
    assert.equal(
      raiseReceiveBuffer(() => false, 8 << 20),
      65536,
    );
  });

  it('refuses a port that is taken, and closes the socket', () => {
    let closed = 0;
    const libc = fakeFreebsd({ socket: () => 5, bind: () => -1, close: () => closed++ });
    libc.setErrno('EADDRINUSE');
    assert.throws(() => openDivert(libc, 8668), /bind \(divert port 8668\): EADDRINUSE/);
    assert.equal(closed, 1);
  });
});

describe('FreeBSD kernel facts', { skip: withoutAbi }, () => {
  it('reads strings and divert’s counters', () => {
    const libc = fakeFreebsd({
      sysctlbyname: (name, value, length) => {
        const bytes = value as Buffer;
        const answer =
          name === 'kern.osrelease'
            ? Buffer.from('15.1-RELEASE\0')
            : Buffer.from(BigUint64Array.of(9n, 8n, 7n, 6n).buffer);
        answer.copy(bytes);
        (length as Buffer).writeBigUInt64LE(BigInt(answer.length));
        return 0;
      },
    });
    assert.equal(sysctlString(libc, 'kern.osrelease'), '15.1-RELEASE');
    assert.deepEqual(divertStatistics(libc), {
      diverted: 9n,
      noSocket: 8n,
      reinjectedOut: 7n,
      reinjectedIn: 6n,
    });
  });
});
