import assert from 'node:assert/strict';
import type { Libc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_UDP,
  PF_CHANGE_ADD_BEFORE,
  PF_CHANGE_ADD_TAIL,
  PF_LIMIT_ANCHORS,
  PF_OP_EQ,
  PF_OP_RRG,
  PF_RULESET_FILTER,
  PF_STATE_NORMAL,
} from '../../native-bindings/freebsd/constants.ts';
import { openDivert } from '../../native-bindings/freebsd/divert.ts';
import {
  divertStatistics,
  hasModule,
  kernelVersion,
  sysctlNumber,
  sysctlString,
} from '../../native-bindings/freebsd/kernel.ts';
import { openPf, type Pf } from '../../native-bindings/freebsd/pf.ts';
import type { PfRuleValues } from '../../native-bindings/freebsd/pf-rule.ts';
import { PF_STATE_VERSION, pfStateExport } from '../../native-bindings/freebsd/pf-states.ts';

/** One thing to see on a running FreeBSD kernel, as root, with pf and ipdivert loaded. Throws what is not so. */
export interface FreebsdCheck {
  readonly name: string;
  run(libc: Libc): void;
}

/** Referenced by no ruleset, so that no packet ever meets it. */
const ANCHOR = 'pinholed_test';
const SHARD = `${ANCHOR}/00`;

function rule(port: number): PfRuleValues {
  return {
    src: { addr: { 'v.a.addr': Uint8Array.of(198, 51, 100, 20), 'v.a.mask': new Uint8Array(4).fill(255) } },
    dst: {
      addr: { 'v.a.addr': Uint8Array.of(192, 0, 2, 10), 'v.a.mask': new Uint8Array(4).fill(255) },
      port: [port, port + 1],
      port_op: PF_OP_RRG,
    },
    label: `pinholed:${port}`,
    rtableid: -1,
    timeout: [0, 0, 0, 0, 0, 0, 60, 30, 60],
    quick: 1,
    keep_state: PF_STATE_NORMAL,
    af: AF_INET,
    proto: IPPROTO_UDP,
  };
}

/** Makes `rules` all there is in the shard. */
function load(pf: Pf, rules: readonly PfRuleValues[]): void {
  const transaction = pf.begin([{ ruleset: PF_RULESET_FILTER, anchor: SHARD }]);
  for (const each of rules) {
    pf.addRule({ ticket: transaction.tickets[0]!, poolTicket: pf.beginAddrs(), anchor: SHARD, rule: each });
  }
  pf.commit(transaction);
}

function insert(pf: Pf, place: number, each: PfRuleValues, nr = 0): void {
  const poolTicket = pf.beginAddrs();
  pf.insertRule(place, { ticket: pf.changeTicket(SHARD), poolTicket, anchor: SHARD, rule: each }, nr);
}

function labels(pf: Pf): string[] {
  const { count, ticket } = pf.rules(SHARD);
  return Array.from({ length: count }, (_, nr) => pf.rule(SHARD, ticket, nr).label);
}

function withPf(libc: Libc, body: (pf: Pf) => void): void {
  const pf = openPf(libc);
  try {
    body(pf);
  } finally {
    load(pf, []);
    pf.close();
  }
}

function refused(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SystemError && error.code === code;
}

export const freebsdChecks: readonly FreebsdCheck[] = [
  {
    name: 'sysctl and modules',
    run(libc) {
      assert.ok(kernelVersion(libc) >= 1_400_000);
      assert.match(sysctlString(libc, 'kern.ostype'), /^FreeBSD$/);
      assert.throws(() => sysctlNumber(libc, 'kern.no_such'), refused('ENOENT'));
      assert.ok(hasModule(libc, 'pf') && hasModule(libc, 'ipdivert'));
      assert.ok(!hasModule(libc, 'no_such_module'));
      assert.ok(divertStatistics(libc).diverted >= 0n);
    },
  },
  {
    name: 'a divert socket: bound, its queue raised, its loss reported, its port its own',
    run(libc) {
      const socket = openDivert(libc, 18_668);
      assert.ok(socket.receiveBuffer > 1_000_000, String(socket.receiveBuffer));
      assert.equal(socket.reportsLoss, true);
      assert.equal(socket.receive(Buffer.alloc(65_536), Buffer.alloc(16)), -1);
      assert.equal(libc.failure(), 'EAGAIN');
      assert.throws(() => openDivert(libc, 18_668), refused('EADDRINUSE'));
      socket.close();
      openDivert(libc, 18_668).close();
    },
  },
  {
    name: 'every state there is',
    run(libc) {
      withPf(libc, (pf) => {
        const { size, members } = pfStateExport;
        const states = pf.states(1_000_000)!;
        assert.equal(states.length % size, 0);
        assert.ok(Math.abs(states.length / size - pf.status().states) < 10);
        for (let at = 0; at < states.length; at += size) {
          assert.equal(states.readBigUInt64LE(at), PF_STATE_VERSION);
          assert.ok([AF_INET, AF_INET6].includes(states[at + members.af.offset]!));
        }
      });
    },
  },
  {
    name: 'rules in a transaction, read back as written',
    run(libc) {
      withPf(libc, (pf) => {
        const six: PfRuleValues = {
          dst: {
            addr: {
              'v.a.addr': Buffer.from('20010db8000000000000000000000010', 'hex'),
              'v.a.mask': new Uint8Array(16).fill(255),
            },
            port: [40_000, 0],
            port_op: PF_OP_EQ,
          },
          label: 'pinholed:six',
          rtableid: -1,
          quick: 1,
          log: 1,
          tagname: 'pinholed',
          keep_state: PF_STATE_NORMAL,
          af: AF_INET6,
          proto: IPPROTO_UDP,
        };
        load(pf, [rule(40_000), six]);
        const { count, ticket } = pf.rules(SHARD);
        assert.equal(count, 2);
        const first = pf.rule(SHARD, ticket, 0);
        assert.deepEqual(
          [first.label, first.nr, first.quick, first.af, first.proto],
          ['pinholed:40000', 0, 1, 2, 17],
        );
        assert.deepEqual([first.dst.port, first.dst.port_op], [[40_000, 40_001], PF_OP_RRG]);
        assert.deepEqual(first.dst.addr['v.a.addr'].subarray(0, 4), Buffer.from([192, 0, 2, 10]));
        assert.deepEqual(first.src.addr['v.a.addr'].subarray(0, 4), Buffer.from([198, 51, 100, 20]));
        assert.deepEqual(first.timeout.slice(6, 9), [60, 30, 60]);
        assert.deepEqual(
          [first.rtableid, first.direction, first.action, first.packets],
          [-1, 0, 0, [0n, 0n]],
        );
        const second = pf.rule(SHARD, ticket, 1);
        assert.deepEqual(
          [second.label, second.log, second.tagname, second.af],
          ['pinholed:six', 1, 'pinholed', 28],
        );
        assert.throws(() => pf.rule(SHARD, ticket, 2), refused('EBUSY'));
        assert.throws(() => pf.rule(SHARD, ticket + 1, 0), refused('EBUSY'));
      });
    },
  },
  {
    name: 'a transaction rolled back changes nothing; a stale ticket is EBUSY',
    run(libc) {
      withPf(libc, (pf) => {
        load(pf, [rule(40_000)]);
        const transaction = pf.begin([{ ruleset: PF_RULESET_FILTER, anchor: SHARD }]);
        const ticket = transaction.tickets[0]!;
        pf.addRule({ ticket, poolTicket: pf.beginAddrs(), anchor: SHARD, rule: rule(50_000) });
        pf.rollback(transaction);
        assert.deepEqual(labels(pf), ['pinholed:40000']);
        const poolTicket = pf.beginAddrs();
        pf.beginAddrs();
        const again = pf.begin([{ ruleset: PF_RULESET_FILTER, anchor: SHARD }]);
        assert.throws(
          () => pf.addRule({ ticket: again.tickets[0]!, poolTicket, anchor: SHARD, rule: rule(1) }),
          refused('EBUSY'),
        );
        pf.rollback(again);
      });
    },
  },
  {
    name: 'single rules added and removed by position',
    run(libc) {
      withPf(libc, (pf) => {
        load(pf, [rule(40_000), rule(40_002)]);
        insert(pf, PF_CHANGE_ADD_TAIL, rule(40_004));
        insert(pf, PF_CHANGE_ADD_BEFORE, rule(40_006), 1);
        assert.deepEqual(labels(pf), [
          'pinholed:40000',
          'pinholed:40006',
          'pinholed:40002',
          'pinholed:40004',
        ]);
        pf.removeRule(SHARD, pf.changeTicket(SHARD), 2);
        assert.deepEqual(labels(pf), ['pinholed:40000', 'pinholed:40006', 'pinholed:40004']);
        assert.throws(() => pf.removeRule(SHARD, pf.changeTicket(SHARD), 3), refused('EINVAL'));
        assert.throws(() => pf.changeTicket('pinholed_no_such'), refused('EINVAL'));
      });
    },
  },
  {
    name: 'anchors listed, gone when empty',
    run(libc) {
      withPf(libc, (pf) => {
        load(pf, [rule(40_000)]);
        assert.deepEqual(pf.anchors(ANCHOR), ['00']);
        assert.ok(pf.anchors('').includes(ANCHOR));
        load(pf, []);
        assert.throws(() => pf.anchors(ANCHOR), refused('ENOENT'));
        assert.throws(() => pf.rules(SHARD), refused('EINVAL'));
      });
    },
  },
  {
    name: 'status, limits, and a kill that matches nothing',
    run(libc) {
      withPf(libc, (pf) => {
        const status = pf.status();
        assert.ok(status.states >= 0 && status.counters.has('match'));
        assert.equal(pf.killStates({ label: 'pinholed:no such label' }), 0);
        if (kernelVersion(libc) < 1_500_000) return;
        const limit = pf.limit(PF_LIMIT_ANCHORS);
        pf.setLimit(PF_LIMIT_ANCHORS, 777);
        assert.equal(pf.limit(PF_LIMIT_ANCHORS), 777);
        pf.setLimit(PF_LIMIT_ANCHORS, limit);
      });
    },
  },
];
