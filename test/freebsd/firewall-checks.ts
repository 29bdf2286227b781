import assert from 'node:assert/strict';
import { PF_BINAT, PF_RDR, PF_RULESET_RDR } from '../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack } from '../../native-bindings/freebsd/pf-nv.ts';
import type { Firewall } from '../../src/firewall/firewall.ts';
import { openPfControl } from '../../src/firewall/pf/control.ts';
import { createDivertRules } from '../../src/firewall/pf/divert-rules.ts';
import { layOut } from '../../src/firewall/pf/layout.ts';
import { readRules } from '../../src/firewall/pf/ruleset.ts';
import { openPfFirewall, type PfOptions } from '../../src/firewall/pf.ts';
import { openingId, type Translation } from '../../src/pinhole/opening.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';

/** What another program does to our anchors: `pfctl -a path -F rules`. */
export type Flush = (path: string) => void;

/** One thing that must be so on a running kernel and in the fake alike. Leaves no rule behind. */
export interface FirewallCheck {
  readonly name: string;
  run(pf: Pf, flush: Flush): void;
}

export const ANCHOR = 'pinholed_check';

export const options: PfOptions = {
  anchors: { pass: ANCHOR, rdr: ANCHOR, binat: ANCHOR },
  uplinks: [],
  shards: 4,
  mediaPorts: [[10_000, 20_000]],
  style: () => ({
    log: 'off',
    tag: null,
    queue: null,
    statesPerRule: 8,
    udpFirst: 60_000,
    udpSingle: 30_000,
    udpMultiple: 60_000,
  }),
};

export function pinhole(port: number, more: Partial<Pinhole> = {}): Pinhole {
  const match = {
    direction: 'in',
    protocol: 'udp',
    sources: ['198.51.100.20'],
    sourcePort: null,
    address: '192.0.2.10',
    ports: [port, port + 1],
    translation: null,
    ...more,
  } as const;
  return {
    kind: 'rtp+rtcp',
    media: 'audio',
    label: `pinholed:check:${port}`,
    ...match,
    id: openingId(match),
  };
}

/** Rules of all shards as pf.conf(5) would have them, in short, sorted. */
export function loaded(pf: Pf, anchor = ANCHOR): string[] {
  let names: string[] = [];
  try {
    names = pf.anchors(anchor);
  } catch {
    return [];
  }
  return names
    .filter((name) => name !== 'divert')
    .flatMap((name) => readRules(pf, `${anchor}/${name}`).map((rule) => `${name} ${shorten(rule)}`))
    .sort();
}

function shorten({ src, dst, af, proto, label, quick, tagname, log }: PfRuleReadBack): string {
  const host = ({ addr }: PfRuleReadBack['src']) => {
    if (addr['v.a.mask'].every((byte) => byte === 0)) return 'any';
    return af === 2 ? [...addr['v.a.addr'].subarray(0, 4)].join('.') : addr['v.a.addr'].toString('hex');
  };
  const from = src.port_op === 0 ? '' : `:${src.port[0]}`;
  const ports = dst.port_op === 9 ? `${dst.port[0]}:${dst.port[1]}` : `${dst.port[0]}`;
  const flags = `${quick ? '' : ' not quick'}${tagname && ` tag ${tagname}`}${log ? ` log ${log}` : ''}`;
  return `${af}/${proto} ${host(src)}${from} > ${host(dst)} ${ports} ${label}${flags}`;
}

export function behind(external: string): Translation {
  return { external, arrivesAt: external, interface: null, by: 'pinhole' };
}

/** Filter rules without their labels. */
const rulesIn = (pf: Pf) => loaded(pf).map((line) => line.replace(/ pinholed:.*/, ''));

/** Rules that translate, in short, sorted. */
export function translations(pf: Pf, anchors = { rdr: ANCHOR, binat: ANCHOR }): string[] {
  const kinds = [
    ['rdr', PF_RDR],
    ['binat', PF_BINAT],
  ] as const;
  return kinds
    .flatMap(([kind, action]) =>
      pf.anchors(anchors[kind]).flatMap((name) => {
        const path = `${anchors[kind]}/${name}`;
        const { count, ticket } = pf.rules(path, action);
        return Array.from({ length: count }, (_, nr) => {
          const { src, dst, direction, af, ifname } = pf.rule(path, ticket, nr, action);
          const pool = pf.poolAddress(path, ticket, nr, action);
          const host = ({ addr }: { addr: PfRuleReadBack['src']['addr'] }) =>
            addr['v.a.mask'].every((byte) => byte === 0)
              ? 'any'
              : af === 2
                ? [...addr['v.a.addr'].subarray(0, 4)].join('.')
                : addr['v.a.addr'].toString('hex');
          const end = (one: PfRuleReadBack['src']) =>
            `${host(one)}${one.port_op === 0 ? '' : one.port_op === 9 ? ` ${one.port[0]}:${one.port[1]}` : ` ${one.port[0]}`}`;
          const way = `${direction === 2 ? 'out ' : ''}${ifname === '' ? '' : `on ${ifname} `}`;
          return `${kind} ${name} ${way}${end(src)} > ${end(dst)} -> ${host(pool)}`;
        });
      }),
    )
    .sort();
}

function withFirewall(pf: Pf, body: (firewall: Firewall) => void, more: Partial<PfOptions> = {}): void {
  const firewall = openPfFirewall(pf, { ...options, ...more });
  try {
    body(firewall);
  } finally {
    firewall.clear();
  }
}

const ids = (pinholes: readonly Pinhole[]) => pinholes.map(({ id }) => id).sort();

export const firewallChecks: readonly FirewallCheck[] = [
  {
    name: 'the rules are compared one by one with those of the pinholes, and nothing is changed',
    run(pf, flush) {
      withFirewall(pf, (firewall) => {
        const one = pinhole(10_000, { sources: ['198.51.100.20', '203.0.113.5'] });
        const two = pinhole(12_600);
        // Both have this rule. It is in two shards: the second begins at 12,500.
        const wide = pinhole(12_498, { ports: [12_498, 12_501] });
        firewall.commit({ open: [one, two, wide], close: [] });
        const { compare } = openPfControl(pf, options);
        assert.deepEqual(compare([wide, two, one]), { held: 5, missing: [], strange: [] });
        const before = loaded(pf);
        const { held, missing, strange } = compare([one, pinhole(14_000)]);
        assert.equal(held, 5);
        assert.deepEqual(missing, [
          `${ANCHOR}/01: 198.51.100.20 pinholed:check:14000 udp :* > 192.0.2.10 14000-14001`,
        ]);
        assert.deepEqual(strange.map((line) => line.split(' ').at(-1)).sort(), [
          ...['12498-12501', '12498-12501', '12600-12601'],
        ]);
        assert.deepEqual(loaded(pf), before);
        flush(`${ANCHOR}/00`);
        assert.equal(compare([one, two, wide]).missing.length, 3);
        flush(ANCHOR);
        assert.equal(compare([one, two, wide]).missing[0], `${ANCHOR}: the rules that lead to the shards`);
      });
    },
  },
  {
    name: 'the parent has one anchor rule for each shard, protocol and family',
    run(pf) {
      withFirewall(pf, () => {
        const rules = readRules(pf, ANCHOR);
        const { ranges, names } = layOut(options.mediaPorts, options.shards);
        assert.equal(rules.length, 16);
        assert.deepEqual(
          rules.slice(0, 5).map(({ af, proto, dst, anchorCall, action, direction }) => {
            return [af, proto, dst.port_op, dst.port, anchorCall, action, direction];
          }),
          [
            ...names.map((name, index) => [2, 17, 9, [...ranges[index]!], name, 0, 0]),
            [2, 6, 9, [...ranges[0]!], '00', 0, 0],
          ],
        );
        assert.deepEqual(
          rules.map(({ af, proto }) => `${af}/${proto}`),
          ['2/17', '2/6', '28/17', '28/6'].flatMap((one) => [one, one, one, one]),
        );
      });
      assert.deepEqual(readRules(pf, ANCHOR), []);
    },
  },
  {
    name: 'pinholes open and close; nothing but them is in the shards',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const one = pinhole(10_000);
        const two = pinhole(12_600, { sources: ['198.51.100.20', '203.0.113.5'] });
        const six = pinhole(19_000, {
          address: '2001:db8:2::10',
          sources: ['2001:db8:1::10'],
          sourcePort: 4000,
          ports: [19_000, 19_000],
        });
        const any = pinhole(11_000, { sources: 'any', ports: [11_001, 11_001] });
        const tcp = pinhole(15_000, { protocol: 'tcp', ports: [15_000, 15_000] });
        firewall.commit({ open: [one, two, six, any, tcp], close: [] });
        assert.deepEqual(loaded(pf), [
          '00 2/17 198.51.100.20 > 192.0.2.10 10000:10001 pinholed:check:10000',
          '00 2/17 any > 192.0.2.10 11001 pinholed:check:11000',
          '01 2/17 198.51.100.20 > 192.0.2.10 12600:12601 pinholed:check:12600',
          '01 2/17 203.0.113.5 > 192.0.2.10 12600:12601 pinholed:check:12600',
          '02 2/6 198.51.100.20 > 192.0.2.10 15000 pinholed:check:15000',
          '03 28/17 20010db8000100000000000000000010:4000 > 20010db8000200000000000000000010 19000 pinholed:check:19000',
        ]);
        assert.deepEqual(firewall.list(), [one, two, six, any, tcp]);
        firewall.commit({ open: [], close: [one, six] });
        firewall.commit({ open: [one], close: [two, any, tcp] });
        assert.deepEqual(loaded(pf), ['00 2/17 198.51.100.20 > 192.0.2.10 10000:10001 pinholed:check:10000']);
        assert.equal(firewall.intact(), true);
      });
      assert.deepEqual(loaded(pf), []);
    },
  },
  {
    name: 'a range over the border of two shards has its rule in both',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const { ranges } = layOut(options.mediaPorts, options.shards);
        const border = ranges[1]![0];
        const across = pinhole(border - 1);
        firewall.commit({ open: [across], close: [] });
        assert.deepEqual(
          loaded(pf).map((text) => text.slice(0, 2)),
          ['00', '01'],
        );
        assert.deepEqual(firewall.list(), [across]);
        firewall.commit({ open: [], close: [across] });
        assert.deepEqual(loaded(pf), []);
      });
    },
  },
  {
    name: 'pinholes of one stream that have a rule in common share it until the last is closed',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const early = pinhole(10_000);
        const narrowed = pinhole(10_000, { sources: ['198.51.100.20', '203.0.113.5'] });
        firewall.commit({ open: [early], close: [] });
        firewall.commit({ open: [narrowed], close: [] });
        assert.equal(loaded(pf).length, 2);
        assert.deepEqual(firewall.list(), [early, narrowed]);
        firewall.commit({ open: [], close: [early] });
        assert.equal(loaded(pf).length, 2);
        assert.deepEqual(ids(firewall.list()), [narrowed.id]);
        firewall.commit({ open: [early], close: [narrowed] });
        assert.deepEqual(loaded(pf), ['00 2/17 198.51.100.20 > 192.0.2.10 10000:10001 pinholed:check:10000']);
      });
    },
  },
  {
    name: 'another process takes up what stands: same pinholes, same rules, states undisturbed',
    run(pf) {
      withFirewall(pf, (first) => {
        const pinholes = [
          pinhole(10_000),
          pinhole(12_600, { sources: ['198.51.100.20', '203.0.113.5'] }),
          pinhole(19_000, { address: '2001:db8:2::10', sources: 'any' }),
        ];
        first.commit({ open: pinholes, close: [] });
        const before = loaded(pf);
        const second = openPfFirewall(pf, options);
        assert.deepEqual(ids(second.list()), ids(pinholes));
        assert.deepEqual(
          second.list().map(({ label }) => label),
          pinholes.map(({ label }) => label),
        );
        assert.deepEqual(loaded(pf), before);
        second.commit({ open: [pinhole(10_010)], close: [pinholes[0]!] });
        assert.equal(loaded(pf).length, before.length);
        second.clear();
        assert.deepEqual(loaded(pf), []);
      });
    },
  },
  {
    name: 'with other shards than before, rules move to where they belong',
    run(pf) {
      withFirewall(pf, (first) => {
        const one = pinhole(12_600);
        first.commit({ open: [one], close: [] });
        const second = openPfFirewall(pf, { ...options, shards: 2 });
        assert.deepEqual(second.list(), []);
        second.commit({ open: [one], close: [] });
        assert.deepEqual(loaded(pf), ['00 2/17 198.51.100.20 > 192.0.2.10 12600:12601 pinholed:check:12600']);
        second.clear();
      });
    },
  },
  {
    name: 'flushed shards and a flushed parent are noticed, and put back',
    run(pf, flush) {
      withFirewall(pf, (firewall) => {
        const pinholes = [pinhole(10_000), pinhole(12_600)];
        firewall.commit({ open: pinholes, close: [] });
        const before = loaded(pf);
        assert.equal(firewall.intact(), true);
        flush(`${ANCHOR}/01`);
        assert.equal(firewall.intact(), false);
        assert.deepEqual(ids(firewall.list()), [pinholes[0]!.id]);
        assert.equal(firewall.intact(), true);
        firewall.commit({ open: [pinholes[1]!], close: [] });
        assert.deepEqual(loaded(pf), before);
        flush(ANCHOR);
        for (const name of ['00', '01']) flush(`${ANCHOR}/${name}`);
        assert.equal(firewall.intact(), false);
        assert.deepEqual(firewall.list(), []);
        firewall.commit({ open: pinholes, close: [] });
        assert.deepEqual(loaded(pf), before);
        assert.equal(readRules(pf, ANCHOR).length, 16);
        assert.equal(firewall.intact(), true);
      });
    },
  },
  {
    name: 'a commit just after a flush puts its own rules in all the same',
    run(pf, flush) {
      withFirewall(pf, (firewall) => {
        firewall.commit({ open: [pinhole(10_000)], close: [] });
        flush(ANCHOR);
        flush(`${ANCHOR}/00`);
        firewall.commit({ open: [pinhole(10_002)], close: [] });
        assert.deepEqual(loaded(pf), ['00 2/17 198.51.100.20 > 192.0.2.10 10002:10003 pinholed:check:10002']);
        assert.equal(firewall.intact(), false);
        assert.deepEqual(ids(firewall.list()), [pinhole(10_002).id]);
        assert.equal(firewall.intact(), true);
      });
    },
  },
  {
    name: 'style: log, tag without quick, state limits and timeouts',
    run(pf) {
      const style = { ...options.style(), log: 'all', tag: 'voice', statesPerRule: 3 } as const;
      withFirewall(
        pf,
        (firewall) => {
          firewall.commit({ open: [pinhole(10_000)], close: [] });
          const [rule] = readRules(pf, `${ANCHOR}/00`);
          assert.deepEqual(
            [
              rule!.log,
              rule!.tagname,
              rule!.quick,
              rule!.max_states,
              rule!.timeout.slice(6, 9),
              rule!.rtableid,
            ],
            [3, 'voice', 0, 3, [60, 30, 60], -1],
          );
          assert.deepEqual(firewall.list(), [pinhole(10_000)]);
        },
        { style: () => style },
      );
    },
  },
  {
    name: 'a pinhole behind NAT: redirect, source translation and the rule that lets through, with the same party and ports',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const one = pinhole(10_000, { translation: behind('203.0.113.2') });
        firewall.commit({ open: [one], close: [] });
        assert.deepEqual(translations(pf), [
          'binat 00 out 192.0.2.10 10000:10001 > 198.51.100.20 -> 203.0.113.2',
          'rdr 00 198.51.100.20 > 203.0.113.2 10000:10001 -> 192.0.2.10',
        ]);
        assert.deepEqual(rulesIn(pf), ['00 2/17 198.51.100.20 > 192.0.2.10 10000:10001']);
        assert.equal(firewall.intact(), true);
        assert.deepEqual(openPfControl(pf, options).compare([one]), { held: 3, missing: [], strange: [] });
        firewall.commit({ open: [], close: [one] });
        assert.deepEqual([translations(pf), rulesIn(pf)], [[], []]);
        assert.equal(firewall.intact(), true);
      });
    },
  },
  {
    name: 'the same over IPv6, on an interface, with two parties, one port each, over a border of shards',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const more = {
          address: '2001:db8:2::10',
          sources: ['2001:db8:1::20', '2001:db8:1::21'],
          ports: [12_499, 12_500],
        };
        const translation = { ...behind('2001:db8:1::1'), interface: 'lo0' };
        firewall.commit({
          open: [pinhole(12_499, { ...more, ports: [12_499, 12_500], sourcePort: 9, translation })],
          close: [],
        });
        assert.equal(translations(pf).length, 8);
        assert.equal(rulesIn(pf).length, 4);
        const [read] = openPfFirewall(pf, options).list();
        assert.deepEqual(read!.translation, translation);
        assert.deepEqual([read!.sources, read!.sourcePort, read!.ports], [more.sources, 9, more.ports]);
      });
    },
  },
  {
    name: 'the way out of a host behind NAT: from the host where its packet comes in, from the external address where it leaves',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const way = { direction: 'out', address: '198.51.100.20', sourcePort: null } as const;
        const external = { ...behind('203.0.113.2'), arrivesAt: '192.168.0.2' };
        const sources = ['192.0.2.10', '192.0.2.11'];
        const translated = (by: Translation['by']) => ({ ...way, sources, translation: { ...external, by } });
        const both = [pinhole(10_000, translated('pinhole')), pinhole(10_002, translated('ruleset'))];
        firewall.commit({ open: [...both, pinhole(10_004, { ...way, sources })], close: [] });
        assert.deepEqual(translations(pf), []);
        assert.deepEqual(rulesIn(pf), [
          '00 2/17 192.0.2.10 > 198.51.100.20 10000:10001',
          '00 2/17 192.0.2.10 > 198.51.100.20 10002:10003',
          '00 2/17 192.0.2.10 > 198.51.100.20 10004:10005',
          '00 2/17 192.0.2.11 > 198.51.100.20 10000:10001',
          '00 2/17 192.0.2.11 > 198.51.100.20 10002:10003',
          '00 2/17 192.0.2.11 > 198.51.100.20 10004:10005',
          '00 2/17 192.168.0.2 > 198.51.100.20 10000:10001',
          '00 2/17 192.168.0.2 > 198.51.100.20 10002:10003',
        ]);
        const read = openPfFirewall(pf, options).list();
        assert.deepEqual(ids(read).slice(0, 2), ids(both));
        assert.deepEqual(openPfControl(pf, options).compare(read), { held: 8, missing: [], strange: [] });
        firewall.commit({ open: [], close: both });
        assert.equal(rulesIn(pf).length, 2);
      });
    },
  },
  {
    name: 'where the other party is behind the same address of an interface, translations are on any interface, for it comes from inside',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const translation = { ...behind('203.0.113.2'), interface: 'lo0' };
        const usual = pinhole(10_000, { translation });
        const turned = pinhole(10_010, { translation, sources: ['192.0.2.11', '203.0.113.2'] });
        firewall.commit({ open: [usual, turned], close: [] });
        assert.deepEqual(
          translations(pf).filter((line) => line.startsWith('rdr')),
          [
            'rdr 00 192.0.2.11 > 203.0.113.2 10010:10011 -> 192.0.2.10',
            'rdr 00 203.0.113.2 > 203.0.113.2 10010:10011 -> 192.0.2.10',
            'rdr 00 on lo0 198.51.100.20 > 203.0.113.2 10000:10001 -> 192.0.2.10',
          ],
        );
        assert.equal(translations(pf).filter((line) => line.startsWith('binat 00 out on lo0')).length, 1);
        assert.deepEqual(openPfControl(pf, options).compare([usual, turned]).strange, []);
        assert.deepEqual(ids(openPfFirewall(pf, options).list()), ids([usual, turned]));
      });
    },
  },
  {
    name: 'a daemon that starts again finds a translated pinhole whole, and gives back what of it is lost',
    run(pf, flush) {
      const one = pinhole(10_000, { translation: { ...behind('203.0.113.2'), arrivesAt: '192.168.0.2' } });
      const other = pinhole(10_010, { direction: 'out' });
      const ruleset = pinhole(10_020, { translation: { ...behind('203.0.113.3'), by: 'ruleset' } });
      openPfFirewall(pf, options).commit({ open: [one, other, ruleset], close: [] });
      withFirewall(pf, (firewall) => {
        const before = translations(pf);
        assert.deepEqual(ids(firewall.list()), ids([one, other, ruleset]));
        assert.equal(before.length, 2);
        pf.commit(pf.begin([{ ruleset: PF_RULESET_RDR, anchor: `${ANCHOR}/00` }]));
        assert.equal(firewall.intact(), false);
        assert.deepEqual(ids(firewall.list()), ids([one, other, ruleset]));
        assert.deepEqual(translations(pf), before);
        flush(`${ANCHOR}/00`);
        assert.deepEqual(firewall.list(), []);
        assert.deepEqual(translations(pf), []);
      });
    },
  },
  {
    name: 'with uplinks: a rule for what comes in by each, answered by it, before the one for the others',
    run(pf) {
      const uplinks = [
        { interface: 'lo0', gateway: '198.51.100.1' },
        { interface: 'lo1', gateway: '198.51.100.129' },
        { interface: 'lo0', gateway: '2001:db8::1' },
      ];
      withFirewall(
        pf,
        (firewall) => {
          const one = pinhole(10_000, { translation: behind('203.0.113.2') });
          firewall.commit({ open: [one], close: [] });
          const rules = readRules(pf, `${ANCHOR}/00`);
          assert.deepEqual(
            rules.map(({ ifname, direction, rt }) => [ifname, direction, rt]),
            [
              ['lo0', 1, 4],
              ['lo1', 1, 4],
              ['', 0, 0],
            ],
          );
          assert.equal(translations(pf).length, 2);
          assert.deepEqual(ids(firewall.list()), [one.id]);
          assert.deepEqual(openPfControl(pf, { ...options, uplinks }).compare([one]).missing, []);
          firewall.commit({ open: [pinhole(10_002, { direction: 'out' })], close: [one] });
          assert.equal(readRules(pf, `${ANCHOR}/00`).length, 1);
        },
        { uplinks },
      );
    },
  },
  {
    name: 'divert rules come and go in their own anchor',
    run(pf) {
      withFirewall(pf, (firewall) => {
        const rules = createDivertRules(pf, {
          anchor: ANCHOR,
          port: 8668,
          interfaces: ['lo0'],
          sipPorts: [
            [5060, 5060],
            [5070, 5080],
          ],
          shared: false,
          ipv6: true,
        });
        rules.remove();
        rules.install();
        const inside = readRules(pf, `${ANCHOR}/divert`);
        assert.equal(inside.length, 16);
        assert.deepEqual(
          inside.slice(0, 2).map(({ direction, ifname, divertPort, quick, keep_state, dst }) => {
            return [direction, ifname, divertPort, quick, keep_state, dst.port, dst.port_op];
          }),
          [
            [1, 'lo0', 8668, 1, 1, [5060, 0], 2],
            [1, 'lo0', 8668, 1, 1, [5070, 5080], 9],
          ],
        );
        assert.deepEqual(firewall.list(), []);
        rules.remove();
        rules.remove();
        assert.deepEqual(readRules(pf, `${ANCHOR}/divert`), []);
      });
    },
  },
  {
    name: 'no state of a divert rule comes to another firewall, and where calls are shared TCP gets one there in the middle',
    run(pf) {
      withFirewall(pf, () => {
        for (const shared of [false, true]) {
          const rules = createDivertRules(pf, {
            anchor: ANCHOR,
            port: 8668,
            interfaces: ['lo0'],
            sipPorts: [[5060, 5060]],
            shared,
            ipv6: false,
          });
          rules.install();
          // PFRULE_NOSYNC and PFRULE_STATESLOPPY of netpfil/pf/pf.h.
          assert.deepEqual(
            readRules(pf, `${ANCHOR}/divert`).map(({ proto, rule_flag }) => [proto, rule_flag & 0x20010]),
            ['in', 'out'].flatMap(() => [
              [17, 0x10],
              [6, shared ? 0x20010 : 0],
            ]),
          );
          rules.remove();
        }
      });
    },
  },
];
