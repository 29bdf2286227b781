import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PF_IN, PF_OP_EQ, PF_OUT } from '../../native-bindings/freebsd/constants.ts';
import { FirewallError } from '../../src/firewall/firewall.ts';
import { openPfControl } from '../../src/firewall/pf/control.ts';
import { layOut } from '../../src/firewall/pf/layout.ts';
import { openPfFirewall } from '../../src/firewall/pf.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { createFakePf, type StateValues } from './fake-pf.ts';
import { ANCHOR, behind, firewallChecks, loaded, options, pinhole } from './firewall-checks.ts';
import { type End, forwarded, PHONE, PUBLIC, state, TRUNK } from './states.ts';

describe('pf firewall, in the fake', () => {
  for (const { name, run } of firewallChecks) {
    it(name, () => {
      const pf = createFakePf();
      run(pf, pf.others.flush);
    });
  }

  it('costs one ioctl for each rule added or removed', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    pf.calls.clear();
    firewall.commit({ open: [pinhole(10_002), pinhole(10_004)], close: [pinhole(10_000)] });
    assert.deepEqual([...pf.calls], [['DIOCCHANGERULE', 3]]);
  });

  it('loads no anchor for the first translation where translations are expected', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, { ...options, translates: true });
    const translation = {
      external: '203.0.113.1',
      arrivesAt: '203.0.113.1',
      interface: null,
      by: 'pinhole',
    } as const;
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    pf.calls.clear();
    firewall.commit({ open: [pinhole(10_002, { translation })], close: [] });
    assert.deepEqual([...pf.calls].sort(), [
      ['DIOCADDADDR', 2],
      ['DIOCCHANGERULE', 3],
    ]);
  });

  it('needs no anchor once it runs (A32): every port, translated or not, finds those of the start', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, { ...options, translates: true });
    const all = () => [ANCHOR, ''].flatMap((path) => pf.anchors(path)).sort();
    const before = all();
    assert.ok(before.length > 1);
    const ports = Array.from({ length: 500 }, (_, index) => 1024 + 128 * index);
    const open = ports.map((port, index) =>
      pinhole(port, index % 2 === 0 ? {} : { translation: behind('203.0.113.1') }),
    );
    // What pf_find_or_create_ruleset answers where there is no room.
    pf.refuse = (call) => (/XBEGIN|ADDRULE$/.test(call) ? 'EINVAL' : null);
    firewall.commit({ open, close: [] });
    assert.deepEqual(all(), before);
    assert.equal(firewall.list().length, open.length);
    firewall.commit({ open: [], close: open });
    assert.deepEqual(all(), before);
  });

  it('says that it is alive while it reads all there is: between any two signs there are few requests', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, { ...options, translates: true });
    for (let port = 10_000; port < 12_000; port += 20) firewall.commit({ open: [pinhole(port)], close: [] });
    const requests = () => [...pf.calls.values()].reduce((sum, count) => sum + count, 0);
    const signs = [requests()];
    pf.others.flush(ANCHOR);
    firewall.list(() => signs.push(requests()));
    signs.push(requests());
    const gaps = signs.map((count, index) => count - (signs[index - 1] ?? count));
    assert.ok(Math.max(...gaps) < requests() / 4, `${Math.max(...gaps)} of ${requests()}`);
  });

  it('takes a new pool ticket when another program has taken ours', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    pf.others.takePool();
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    assert.equal(loaded(pf).length, 1);
  });

  it('gives up on a pf that stays busy, within a bound, and says that it may be tried again', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    const before = loaded(pf);
    pf.refuse = (call) => (call === 'DIOCCHANGERULE' ? 'EBUSY' : null);
    pf.calls.clear();
    assert.throws(
      () => firewall.commit({ open: [pinhole(10_002)], close: [pinhole(10_000)] }),
      (error) => error instanceof FirewallError && error.transient && error.code === 'EBUSY',
    );
    assert.ok(pf.calls.get('DIOCCHANGERULE')! <= 8);
    pf.refuse = () => null;
    assert.deepEqual(loaded(pf), before);
    firewall.commit({ open: [pinhole(10_002)], close: [pinhole(10_000)] });
    assert.equal(loaded(pf).length, 1);
  });

  it('knows that a change was left half done when it cannot be taken back', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    let passed = 1;
    pf.refuse = (call) => (call === 'DIOCCHANGERULE' && passed-- <= 0 ? 'ENOMEM' : null);
    assert.throws(
      () => firewall.commit({ open: [pinhole(10_000), pinhole(10_002)], close: [] }),
      FirewallError,
    );
    pf.refuse = () => null;
    assert.equal(firewall.intact(), false);
    const listed = firewall.list();
    assert.deepEqual(listed, [{ ...pinhole(10_000), kind: null, media: '' }]);
    firewall.commit({ open: [], close: listed });
    assert.deepEqual(loaded(pf), []);
    assert.equal(firewall.intact(), true);
  });

  it('goes over to committing whole shards where the kernel does not know DIOCCHANGERULE', () => {
    const pf = createFakePf();
    pf.refuse = (call) => (call === 'DIOCCHANGERULE' ? 'ENOTTY' : null);
    const firewall = openPfFirewall(pf, options);
    firewall.commit({ open: [pinhole(10_000), pinhole(12_600)], close: [] });
    pf.calls.clear();
    firewall.commit({ open: [pinhole(10_002)], close: [pinhole(12_600)] });
    assert.equal(pf.calls.get('DIOCCHANGERULE'), undefined);
    assert.deepEqual(loaded(pf), [
      '00 2/17 198.51.100.20 > 192.0.2.10 10000:10001 pinholed:check:10000',
      '00 2/17 198.51.100.20 > 192.0.2.10 10002:10003 pinholed:check:10002',
    ]);
    assert.equal(firewall.intact(), true);
  });

  it('refuses a pinhole that is open, and changes nothing', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    assert.throws(
      () => firewall.commit({ open: [pinhole(10_002), pinhole(10_000)], close: [] }),
      /open already/,
    );
    assert.equal(loaded(pf).length, 1);
  });

  it('takes out rules in its shards that are no pinholes', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    pf.others.replace(`${ANCHOR}/02`, [
      { action: 0, af: 2, proto: 17, dst: { port: [1, 0], port_op: PF_OP_EQ } },
    ]);
    assert.equal(firewall.intact(), false);
    assert.deepEqual(firewall.list(), [pinhole(10_000)]);
    assert.equal(loaded(pf).length, 1);
  });

  it('has the same rules for a pinhole whatever the style: one that is reloaded under a call is no difference', () => {
    const uplinks = [{ interface: 'em0', gateway: '198.51.100.1' }];
    for (const [before, after] of [
      [null, 'voice'],
      ['voice', null],
    ] as const) {
      const pf = createFakePf();
      let tag: string | null = before;
      const reloaded = { ...options, uplinks, style: () => ({ ...options.style(), tag }) };
      const firewall = openPfFirewall(pf, reloaded);
      const control = openPfControl(pf, reloaded);
      const [one, two] = [pinhole(10_000), pinhole(10_002)];
      firewall.commit({ open: [one], close: [] });
      tag = after;
      assert.deepEqual(control.compare([one]), { held: 2, missing: [], strange: [] });
      firewall.commit({ open: [two], close: [] });
      assert.deepEqual(control.compare([one, two]), { held: 4, missing: [], strange: [] });
      pf.others.flush(`${ANCHOR}/00`);
      assert.equal(control.compare([one, two]).missing.length, 4);
      firewall.commit({ open: [], close: firewall.list() });
      assert.deepEqual(loaded(pf), []);
    }
  });

  it('takes a rule for none of ours that asks for a tag, whatever else it has of a pinhole', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    const path = `${ANCHOR}/00`;
    const [rule] = pf.contents(path);
    assert.ok(rule !== undefined);
    pf.others.replace(path, [rule]);
    assert.deepEqual(openPfControl(pf, options).compare([pinhole(10_000)]).missing, []);
    pf.others.replace(path, [{ ...rule, match_tagname: 'voice' }]);
    const { missing, strange } = openPfControl(pf, options).compare([pinhole(10_000)]);
    assert.equal(missing.length, 1);
    assert.deepEqual(strange, [`${path}: not a pinhole's, at 0`]);
    assert.deepEqual(firewall.list(), []);
    assert.deepEqual(loaded(pf), []);
  });

  describe('the states of closed pinholes', () => {
    const STRANGER: End = ['198.51.100.66', 40_000];
    const toPhone = pinhole(12_000, { sources: ['198.51.100.20'] });
    const packets = [3, 3] as const;
    const inbound = forwarded({ from: TRUNK, to: PHONE, packets });
    const outbound = forwarded({ from: PHONE, to: TRUNK, packets });
    const translated = forwarded({ from: PHONE, to: TRUNK, packets, nat: PUBLIC });
    const others = [
      ...forwarded({ from: PHONE, to: STRANGER, packets }),
      ...forwarded({ from: ['192.0.2.10', 12_002], to: TRUNK, packets }),
      ...forwarded({ from: ['192.0.2.11', 12_000], to: TRUNK, packets }),
    ];

    function kill(states: readonly StateValues[], ...open: Pinhole[]) {
      const pf = createFakePf();
      openPfFirewall(pf, options).commit({ open, close: [] });
      pf.stateTable = states;
      const killed = openPfControl(pf, options).retire({ closed: [toPhone] }).states;
      return { killed, left: pf.stateTable, kills: pf.kills };
    }

    for (const [name, states] of Object.entries({ inbound, outbound, translated })) {
      it(`are killed one by one, both of an ${name} flow, and no other`, () => {
        const { killed, left, kills } = kill([...others.slice(0, 3), ...states, ...others.slice(3)]);
        assert.equal(killed, 2);
        assert.deepEqual(left, others);
        assert.deepEqual(
          kills,
          states.map(({ id }) => ({ state: { id, creatorid: 0 } })),
        );
      });
    }

    it('are killed whatever the style was when they were opened, and is now: with a tag it is the rule of another', () => {
      for (const [before, after] of [
        ['voice', null],
        [null, 'voice'],
      ] as const) {
        for (const isTold of [true, false]) {
          const pf = createFakePf();
          let tag: string | null = before;
          const reloaded = { ...options, style: () => ({ ...options.style(), tag }) };
          const firewall = openPfFirewall(pf, reloaded);
          const control = openPfControl(isTold ? pf : { ...pf, states: () => null }, reloaded);
          const other = pinhole(12_002);
          firewall.commit({ open: [toPhone, other], close: [] });
          const stays = forwarded({ from: TRUNK, to: ['192.0.2.10', 12_002], packets });
          pf.stateTable = [...inbound, ...stays, ...outbound];
          tag = after;
          firewall.commit({ open: [], close: [toPhone] });
          assert.equal(control.retire({ closed: [toPhone] }).states, 4);
          assert.deepEqual(pf.stateTable, stays);
          firewall.commit({ open: [], close: [other] });
          assert.deepEqual(loaded(pf), []);
        }
      }
    });

    it('are told by the wire where the machine itself has another address', () => {
      const behind: End = ['10.0.0.9', 7000];
      const { left } = kill([state(PF_OUT, { from: behind, to: TRUNK, packets, nat: PHONE })]);
      assert.deepEqual(left, []);
    });

    it('stay where another pinhole lets the same packets pass', () => {
      const other = pinhole(12_000, { sources: 'any', label: 'pinholed:another' });
      const { killed, left } = kill([...inbound, ...outbound], other);
      assert.equal(killed, 0);
      assert.deepEqual(left, [...inbound, ...outbound]);
    });

    it('are killed by both ends, either way round, where pf does not tell its states', () => {
      const pf = createFakePf();
      openPfControl(pf, options).retire({ closed: [toPhone] });
      const near = { address: Uint8Array.of(192, 0, 2, 10), port: [12_000, 12_001] as const };
      const far = { address: Uint8Array.of(198, 51, 100, 20) };
      const common = { af: 2, proto: 17, translated: true };
      assert.deepEqual(pf.kills, [
        { ...common, src: far, dst: near },
        { ...common, src: near, dst: far },
      ]);
    });

    it('are killed so too where there are too many to read', () => {
      const pf = createFakePf();
      pf.stateTable = [...others, ...outbound];
      const many = { ...pf, states: () => null };
      assert.equal(openPfControl(many, options).retire({ closed: [toPhone] }).states, 2);
      assert.deepEqual(pf.stateTable, others);
    });
  });

  it('makes flows begin anew that the ruleset translated before the pinhole did', () => {
    const packets = [3, 3] as const;
    const translation = {
      external: '203.0.113.1',
      arrivesAt: '203.0.113.1',
      interface: null,
      by: 'pinhole',
    } as const;
    const opened = pinhole(12_000, { sources: ['198.51.100.20'], translation });
    const external: End = ['203.0.113.1', 12_000];
    const [inside, wrong] = forwarded({ from: PHONE, to: TRUNK, packets, nat: PUBLIC });
    const [, right] = forwarded({ from: PHONE, to: TRUNK, packets, nat: external });
    const [, bare] = forwarded({ from: PHONE, to: TRUNK, packets });
    const fromTrunk = state(PF_IN, { from: TRUNK, to: PHONE, packets });
    const otherPort = state(PF_IN, { from: ['198.51.100.20', 59_605], to: PHONE, packets, nat: TRUNK });
    const elsewhere = forwarded({ from: PHONE, to: ['198.51.100.66', 30_000], packets, nat: PUBLIC });
    const pf = createFakePf();
    pf.stateTable = [inside!, wrong!, right!, bare!, fromTrunk, otherPort, ...elsewhere];
    assert.equal(openPfControl(pf, options).retire({ opened: [opened] }).states, 3);
    assert.deepEqual(pf.stateTable, [inside!, right!, fromTrunk, ...elsewhere]);
    const { translation: _, ...plain } = opened;
    const untranslated = { ...plain, translation: null };
    assert.equal(openPfControl(pf, options).retire({ opened: [untranslated] }).states, 0);
  });

  it('counts what passes, by pinhole', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    const control = openPfControl(pf, options);
    const two = pinhole(12_600, { sources: ['198.51.100.20', '203.0.113.5'] });
    firewall.commit({ open: [pinhole(10_000), two], close: [] });
    pf.pass(`${ANCHOR}/00`, 0, 7);
    pf.pass(`${ANCHOR}/01`, 0, 2);
    pf.pass(`${ANCHOR}/01`, 1, 3);
    const traffic = control.traffic().counts;
    assert.deepEqual(traffic.get(pinhole(10_000).id), { packets: 7, bytes: 1400, sent: null });
    assert.deepEqual(traffic.get(two.id), { packets: 5, bytes: 1000, sent: null });
  });

  it('lets states of a rule before the last begin anew, so that they are counted', () => {
    const pf = createFakePf();
    const firewall = openPfFirewall(pf, options);
    const control = openPfControl(pf, options);
    const count = () => control.retire({ uncounted: control.traffic().uncounted });
    firewall.commit({ open: [pinhole(10_000), pinhole(10_002)], close: [] });
    for (const nr of [0, 1]) pf.pass(`${ANCHOR}/00`, nr, 7);
    count();
    pf.others.flush(`${ANCHOR}/00`);
    firewall.list();
    firewall.commit({ open: [pinhole(10_000), pinhole(10_002)], close: [] });
    count();
    pf.pass(`${ANCHOR}/00`, 1, 1);
    assert.equal(pf.kills.length, 0);
    count();
    assert.deepEqual(
      pf.kills.map(({ src, dst }) => [src?.port, dst?.port]),
      [
        [undefined, [10_000, 10_001]],
        [[10_000, 10_001], undefined],
      ],
    );
    count();
    assert.equal(pf.kills.length, 2);
  });

  it('holds exactly what was committed, whatever others do in between', () => {
    const step = fc.oneof(
      fc.record({
        type: fc.constant('toggle' as const),
        which: fc.array(fc.nat(11), { minLength: 1, maxLength: 4 }),
      }),
      fc.record({ type: fc.constant('pool' as const) }),
      fc.record({ type: fc.constant('flush' as const), shard: fc.nat(3) }),
      fc.record({
        type: fc.constant('fail' as const),
        after: fc.nat(6),
        code: fc.constantFrom('EBUSY', 'ENOMEM'),
      }),
      fc.record({ type: fc.constant('restart' as const) }),
    );
    const all = Array.from({ length: 12 }, (_, index) =>
      pinhole(10_000 + 870 * (index >> 1), {
        sources: index % 2 === 0 ? ['198.51.100.20'] : ['198.51.100.20', '203.0.113.5'],
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const pf = createFakePf();
        let firewall = openPfFirewall(pf, options);
        const open = new Map<string, (typeof all)[number]>();
        for (const each of steps) {
          if (each.type === 'pool') pf.others.takePool();
          else if (each.type === 'flush') pf.others.flush(`${ANCHOR}/0${each.shard}`);
          else if (each.type === 'fail') {
            let before = each.after;
            let refusals = each.code === 'EBUSY' ? 8 : 1;
            pf.refuse = (call) => {
              if (call !== 'DIOCCHANGERULE' || before-- > 0 || refusals-- <= 0) return null;
              return each.code;
            };
          } else if (each.type === 'restart') firewall = openPfFirewall(pf, options);
          else {
            const chosen = [...new Set(each.which)].map((index) => all[index]!);
            const change = {
              open: chosen.filter(({ id }) => !open.has(id)),
              close: chosen.filter(({ id }) => open.has(id)),
            };
            try {
              firewall.commit(change);
              for (const one of change.open) open.set(one.id, one);
              for (const { id } of change.close) open.delete(id);
            } catch (error) {
              assert.ok(error instanceof FirewallError);
            }
          }
          pf.refuse = each.type === 'fail' ? pf.refuse : () => null;
          if (each.type === 'flush' || each.type === 'restart') {
            const listed = new Map(firewall.list().map((one) => [one.id, one]));
            firewall.commit({ open: [...open.values()].filter(({ id }) => !listed.has(id)), close: [] });
            firewall.commit({ open: [], close: [...listed.values()].filter(({ id }) => !open.has(id)) });
          }
          const rules = new Set(
            [...open.values()].flatMap(({ sources, ports, address, label }) =>
              (sources as readonly string[]).map(
                (source) => `2/17 ${source} > ${address} ${ports[0]}:${ports[1]} ${label}`,
              ),
            ),
          );
          assert.deepEqual(
            loaded(pf)
              .map((text) => text.slice(3))
              .sort(),
            [...rules].sort(),
          );
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('layout of the shards', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 65535 }))
    .map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);

  it('has every port in exactly one shard, of the least unequal size', () => {
    fc.assert(
      fc.property(range, fc.integer({ min: 1, max: 256 }), (ports, count) => {
        const { ranges, names, shardOf } = layOut([ports], count);
        assert.ok(ranges.length <= count && ranges.length >= 1);
        assert.equal(new Set(names).size, ranges.length);
        let next = 1;
        for (const [index, [first, last]] of ranges.entries()) {
          assert.equal(first, next);
          assert.ok(last >= first);
          assert.equal(shardOf(first), index);
          assert.equal(shardOf(last), index);
          next = last + 1;
        }
        assert.equal(next, 65536);
        const most = Math.ceil((ports[1] - ports[0] + 1) / count) + 4;
        for (const [first, last] of ranges) {
          const inside = Math.min(last, ports[1]) - Math.max(first, ports[0]) + 1;
          assert.ok(inside <= most, `${inside} of ${most}`);
        }
      }),
    );
  });

  it('keeps a pair of RTP and RTCP in one shard', () => {
    const { ranges } = layOut([[1024, 65535]], 64);
    assert.equal(ranges.length, 64);
    for (const [first] of ranges.slice(1)) assert.equal(first % 2, 0);
  });
});
