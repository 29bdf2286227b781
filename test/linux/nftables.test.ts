import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { before, beforeEach, describe, it } from 'node:test';
import { openUdp, type UdpSocket } from '../../lab/udp.ts';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { openNetlink } from '../../native-bindings/linux/netlink.ts';
import { type Firewall, FirewallError } from '../../src/firewall/firewall.ts';
import { openNftablesControl } from '../../src/firewall/nftables/control.ts';
import { createCountReader } from '../../src/firewall/nftables/counts.ts';
import { type NftablesFirewall, openNftables } from '../../src/firewall/nftables.ts';
import { openingId } from '../../src/pinhole/opening.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { enterNamespace, run, withoutRoot } from '../native-bindings/namespace.ts';

/** nf_conntrack-sysctl.rst: whether flows that begin now are counted. */
const ACCOUNTING = '/proc/sys/net/netfilter/nf_conntrack_acct';
const OPTIONS = { table: 'pinholed_t', mark: 0x700000 };
const NONE: readonly Pinhole[] = [];
let libc: Libc;

function pinhole(rule: Partial<Pinhole> & Pick<Pinhole, 'address' | 'ports'>): Pinhole {
  const opening = {
    direction: 'in',
    protocol: 'udp',
    sources: 'any',
    sourcePort: null,
    translation: null,
  } as const;
  const whole = { ...opening, ...rule };
  return { kind: 'rtp+rtcp', media: 'audio', label: 'pinholed:00c0ffee:0.0', ...whole, id: openingId(whole) };
}

function listed(): string {
  return run('nft', 'list', 'table', 'inet', OPTIONS.table);
}

/** The elements of a set as nft(8) writes them, without counters. */
function elements(set: string): string[] {
  const text = run('nft', 'list', 'set', 'inet', OPTIONS.table, set);
  const found = /elements = \{([^}]*)\}/.exec(text)?.[1] ?? '';
  return found
    .split(/,\s+/)
    .map((element) => element.replace(/ (counter|comment) .*/s, '').trim())
    .filter((element) => element !== '')
    .sort();
}

function ids(firewall: Pick<Firewall, 'list'>): string[] {
  return firewall
    .list()
    .map(({ id }) => id)
    .sort();
}

describe('firewall/nftables, on this kernel', { skip: withoutRoot }, () => {
  let firewall: NftablesFirewall;

  before(async () => {
    await enterNamespace();
    libc = await loadLibc();
    run('ip', 'address', 'add', '2001:db8::1/128', 'dev', 'lo');
    run('nft', 'add', 'table', 'inet', 'admin');
    run('nft', 'add chain inet admin input { type filter hook input priority filter; policy drop; }');
    run('nft', 'add rule inet admin input ct state established accept');
    run('nft', 'add rule inet admin input meta mark & 0x700000 == 0x700000 accept');
  });

  beforeEach(() => {
    writeFileSync(ACCOUNTING, '1');
    firewall?.clear();
    firewall?.close();
    firewall = openNftables(libc, OPTIONS);
  });

  it('has one element for each source and port, in the set for what is known of the source', () => {
    firewall.commit({
      open: [
        pinhole({ address: '192.0.2.10', ports: [4000, 4001], sources: ['198.51.100.1', '203.0.113.9'] }),
        pinhole({ address: '192.0.2.10', ports: [5000, 5000] }),
        pinhole({ address: '192.0.2.10', ports: [6000, 6000], sources: ['198.51.100.1'], sourcePort: 700 }),
        pinhole({ address: '192.0.2.10', ports: [6000, 6000], sourcePort: 800, protocol: 'tcp' }),
        pinhole({ address: '2001:db8::10', ports: [4000, 4001], sources: ['2001:db8:1::1'] }),
        pinhole({ address: '2001:db8::10', ports: [5000, 5000] }),
        pinhole({ address: '2001:db8::10', ports: [6, 6], sources: ['2001:db8:1::1'], sourcePort: 700 }),
        pinhole({ address: '2001:db8::10', ports: [65535, 65535], sourcePort: 65535 }),
      ],
      close: NONE,
    });
    assert.deepEqual(elements('source4'), [
      'udp . 198.51.100.1 . 192.0.2.10 . 4000',
      'udp . 198.51.100.1 . 192.0.2.10 . 4001',
      'udp . 203.0.113.9 . 192.0.2.10 . 4000',
      'udp . 203.0.113.9 . 192.0.2.10 . 4001',
    ]);
    assert.deepEqual(elements('any4'), ['udp . 192.0.2.10 . 5000']);
    assert.deepEqual(elements('source_port4'), ['udp . 198.51.100.1 . 700 . 192.0.2.10 . 6000']);
    assert.deepEqual(elements('any_port4'), ['tcp . 800 . 192.0.2.10 . 6000']);
    assert.deepEqual(elements('source6'), [
      'udp . 2001:db8:1::1 . 2001:db8::10 . 4000',
      'udp . 2001:db8:1::1 . 2001:db8::10 . 4001',
    ]);
    assert.deepEqual(elements('any6'), ['udp . 2001:db8::10 . 5000']);
    assert.deepEqual(elements('source_port6'), ['udp . 2001:db8:1::1 . 700 . 2001:db8::10 . 6']);
    assert.deepEqual(elements('any_port6'), ['udp . 65535 . 2001:db8::10 . 65535']);
  });

  it('looks every packet up in a hash, by rules that do not grow in number', () => {
    const rules = () => listed().match(/@\w+ (meta )?mark set/g)?.length;
    assert.equal(rules(), 3 * 8);
    firewall.commit({
      open: Array.from({ length: 500 }, (_, n) =>
        pinhole({ address: '192.0.2.10', ports: [2000 + 2 * n, 2001 + 2 * n] }),
      ),
      close: NONE,
    });
    assert.equal(rules(), 3 * 8);
    assert.equal(elements('any4').length, 1000);
  });

  it('keeps an element that two pinholes have in common until both are closed', () => {
    const wide = pinhole({ address: '192.0.2.10', ports: [4000, 4001], sources: ['198.51.100.1'] });
    const narrow = pinhole({ address: '192.0.2.10', ports: [4000, 4000], sources: ['198.51.100.1'] });
    firewall.commit({ open: [wide], close: NONE });
    firewall.commit({ open: [narrow], close: NONE });
    assert.equal(elements('source4').length, 2);
    const counts = firewall.commit({ open: NONE, close: [wide] });
    assert.equal(counts.size, 0, 'one of its elements counts on for the other pinhole');
    assert.deepEqual(elements('source4'), ['udp . 198.51.100.1 . 192.0.2.10 . 4000']);
    firewall.commit({ open: [wide], close: [narrow] });
    assert.equal(elements('source4').length, 2);
    firewall.commit({ open: NONE, close: [wide] });
    assert.deepEqual(elements('source4'), []);
    assert.deepEqual(elements('pinholes'), []);
  });

  it('leaves everything as it was when the kernel refuses a part of a change', () => {
    firewall = reopenUnowned();
    const kept = pinhole({ address: '192.0.2.10', ports: [4000, 4001] });
    const fresh = pinhole({ address: '192.0.2.10', ports: [5000, 5001] });
    firewall.commit({ open: [kept], close: NONE });
    assert.throws(
      () => firewall.commit({ open: [fresh, kept], close: NONE }),
      (error) => error instanceof FirewallError && error.code === 'EEXIST' && !error.transient,
    );
    run('nft', `delete element inet ${OPTIONS.table} any4 { udp . 192.0.2.10 . 4001 }`);
    assert.throws(
      () => firewall.commit({ open: [fresh], close: [kept] }),
      (error) => error instanceof FirewallError && error.code === 'ENOENT' && !error.transient,
    );
    assert.deepEqual(elements('any4'), ['udp . 192.0.2.10 . 4000']);
    assert.match(
      listed(),
      /comment "pinholed:00c0ffee:0\.0 rtp\+rtcp audio udp any - 192\.0\.2\.10 4000-4001"/,
    );
    assert.doesNotMatch(listed(), /5000/);
  });

  it('puts right what others have changed, after a look at the kernel', () => {
    firewall = reopenUnowned();
    const damaged = pinhole({ address: '192.0.2.10', ports: [4000, 4001] });
    const whole = pinhole({ address: '192.0.2.10', ports: [5000, 5001] });
    firewall.commit({ open: [damaged, whole], close: NONE });
    run('nft', `delete element inet ${OPTIONS.table} any4 { udp . 192.0.2.10 . 4001 }`);
    run('nft', `add element inet ${OPTIONS.table} any4 { udp . 192.0.2.66 . 22 }`);
    run('nft', 'flush', 'chain', 'inet', OPTIONS.table, 'input');
    const left = firewall.list();
    assert.deepEqual(left.map(({ id }) => id).sort(), [
      'udp any > 192.0.2.10 4000-4000',
      whole.id,
      'udp any > 192.0.2.66 22-22',
    ]);
    firewall.commit({ open: [damaged], close: NONE });
    firewall.commit({ open: NONE, close: left.filter(({ id }) => id !== whole.id) });
    assert.deepEqual(elements('any4'), [
      'udp . 192.0.2.10 . 4000',
      'udp . 192.0.2.10 . 4001',
      'udp . 192.0.2.10 . 5000',
      'udp . 192.0.2.10 . 5001',
    ]);
    assert.deepEqual(ids(firewall), [damaged.id, whole.id]);
    assert.equal(elements('pinholes').length, 2);
    assert.equal(listed().match(/mark set/g)?.length, 3 * 8);
  });

  it('sees that its table was taken away, and makes it anew', () => {
    firewall = reopenUnowned();
    assert.equal(firewall.intact(), true);
    run('nft', 'delete', 'table', 'inet', OPTIONS.table);
    assert.equal(firewall.intact(), false);
    const one = pinhole({ address: '192.0.2.10', ports: [4000, 4001] });
    assert.throws(
      () => firewall.commit({ open: [one], close: NONE }),
      (error) => error instanceof FirewallError && error.code === 'ENOENT',
    );
    assert.deepEqual(firewall.list(), []);
    assert.equal(firewall.intact(), true);
    firewall.commit({ open: [one], close: NONE });
    assert.deepEqual(ids(firewall), [one.id]);
  });

  /** A table that was there before has no owner, as on kernels that do not know the flag. */
  function reopenUnowned(): NftablesFirewall {
    firewall.clear();
    firewall.close();
    run('nft', 'add', 'table', 'inet', OPTIONS.table);
    const opened = openNftables(libc, OPTIONS);
    assert.equal(opened.owned, false);
    return opened;
  }

  it('keeps everybody else from changing the table while it lives, and leaves it when it dies', () => {
    const one = pinhole({ address: '192.0.2.10', ports: [4000, 4001] });
    firewall.commit({ open: [one], close: NONE });
    assert.equal(firewall.owned, true);
    assert.throws(() => run('nft', 'delete', 'table', 'inet', OPTIONS.table), /not permitted/);
    assert.throws(
      () => openNftables(libc, OPTIONS),
      (error) => error instanceof FirewallError && error.code === 'EPERM',
    );
    assert.equal(firewall.intact(), true);
    firewall.close();
    firewall = openNftables(libc, { ...OPTIONS, mark: 0x10 });
    assert.equal(firewall.owned, true);
    assert.deepEqual(firewall.list(), [one]);
    assert.equal(listed().match(/0x00000010/g)?.length, 3 * 8, 'the rules are those of the new settings');
    firewall.close();
    run('nft', 'delete', 'table', 'inet', OPTIONS.table);
    firewall = openNftables(libc, OPTIONS);
    assert.deepEqual(firewall.list(), []);
  });

  it('is compared, element by element, with what it should hold', () => {
    const one = pinhole({
      address: '192.0.2.10',
      ports: [4000, 4001],
      sources: ['198.51.100.2', '203.0.113.5'],
    });
    const two = pinhole({ address: '2001:db8::10', ports: [6000, 6000], sourcePort: 7000 });
    const control = openNftablesControl(libc, OPTIONS.table);
    assert.deepEqual(control.compare(NONE), { held: 0, missing: [], strange: [] });
    firewall.commit({ open: [one, two], close: [] });
    // Four elements and one, and a record of each.
    assert.deepEqual(control.compare([two, one]), { held: 7, missing: [], strange: [] });
    const three = pinhole({ address: '192.0.2.11', ports: [4000, 4000] });
    const before = listed();
    assert.deepEqual(control.compare([one, three]), {
      held: 7,
      missing: [
        'udp * :* > 192.0.2.11 4000',
        'pinholed:00c0ffee:0.0 rtp+rtcp audio udp any - 192.0.2.11 4000-4000',
      ],
      strange: [
        'udp * :7000 > 2001:db8::10 6000',
        'pinholed:00c0ffee:0.0 rtp+rtcp audio udp any 7000 2001:db8::10 6000-6000',
      ],
    });
    assert.equal(listed(), before, 'nothing was changed');
    firewall.clear();
    assert.deepEqual(control.compare([three]).missing.length, 2, 'there is no table');
    control.close();
  });

  it('reads every pinhole back as it was', () => {
    const all = [
      pinhole({ address: '192.0.2.10', ports: [4000, 4015], sources: ['198.51.100.1', '203.0.113.9'] }),
      pinhole({
        address: '192.0.2.10',
        ports: [6000, 6000],
        protocol: 'tcp',
        kind: 'msrp',
        media: 'message',
      }),
      pinhole({ address: '2001:db8::10', ports: [6, 6], sources: ['2001:db8:1::1'], sourcePort: 700 }),
      pinhole({
        address: '2001:db8::10',
        ports: [7000, 7001],
        sources: Array.from(
          { length: 12 },
          (_, n) => `2001:db8:1234:5678:9abc:def0:1234:${(n + 16).toString(16)}`,
        ),
      }),
    ];
    firewall.commit({ open: all, close: NONE });
    firewall.close();
    firewall = openNftables(libc, OPTIONS);
    const byId = (a: Pinhole, b: Pinhole) => (a.id < b.id ? -1 : 1);
    assert.deepEqual(firewall.list().sort(byId), [...all].sort(byId));
    firewall.commit({ open: NONE, close: all });
    assert.deepEqual(firewall.list(), []);
    assert.deepEqual(elements('pinholes'), []);
  });

  it('takes a media type that would break its line', () => {
    const one = pinhole({
      address: '192.0.2.10',
      ports: [4000, 4000],
      media: `a\r\n"}; \u{1f4a5} ${'x'.repeat(999)}`,
    });
    firewall.commit({ open: [one], close: NONE });
    assert.deepEqual(
      firewall.list().map(({ id, media }) => ({ id, media })),
      [{ id: one.id, media: `a??"};????${'x'.repeat(22)}` }],
    );
  });

  for (const [name, address, elsewhere] of [
    ['IPv4', '127.0.0.1', '127.0.0.2'],
    ['IPv6', '2001:db8::1', '::1'],
  ] as const) {
    it(`lets through what it should and nothing else, and counts it, over ${name}`, () => {
      const source = openUdp(libc, address);
      const stranger = openUdp(libc, elsewhere);
      const [known, any, pinned, shut] = [0, 0, 0, 0].map(() => openUdp(libc, address)) as [
        UdpSocket,
        UdpSocket,
        UdpSocket,
        UdpSocket,
      ];
      const pass = (from: UdpSocket, to: UdpSocket): boolean => {
        from.send(to, 'media');
        return to.received() === 'media';
      };
      const rules = [
        pinhole({ address, ports: [known.port, known.port], sources: [address] }),
        pinhole({ address, ports: [any.port, any.port] }),
        pinhole({ address, ports: [pinned.port, pinned.port], sources: [address], sourcePort: source.port }),
      ];
      assert.equal(pass(source, known), false);
      firewall.commit({ open: rules, close: NONE });
      assert.deepEqual(
        [known, any, pinned, shut].map((to) => pass(source, to)),
        [true, true, true, false],
      );
      assert.deepEqual(
        [known, any, pinned, shut].map((to) => pass(stranger, to)),
        [false, true, false, false],
      );
      // On loopback a packet meets the output chain and the input chain.
      const hooks = 2;
      const size = (name === 'IPv4' ? 20 : 40) + 8 + 'media'.length;
      const counted = new Map(
        [1, 2, 1].map((packets, index) => [
          rules[index]!.id,
          { packets: hooks * packets, bytes: hooks * packets * size },
        ]),
      );
      const withSent = (sent: readonly number[]) =>
        new Map([...counted].map(([id, came], index) => [id, { ...came, sent: sent[index] }]));
      const control = openNftablesControl(libc, OPTIONS.table);
      assert.deepEqual(control.traffic().counts, withSent([0, 0, 0]));

      known.send(source, 'answer');
      assert.equal(source.received(), 'answer');
      assert.deepEqual(
        control.traffic().counts,
        withSent([1, 0, 0]),
        'what the host itself sends has not come',
      );
      const closing = rules.slice(0, 2);
      assert.deepEqual(
        firewall.commit({ open: NONE, close: closing }),
        new Map(closing.map(({ id }) => [id, counted.get(id)])),
        'the counts of the moment in which the elements went',
      );
      assert.equal(pass(source, known), true, 'its conntrack entry is still there');
      assert.equal(control.retire({ closed: rules.slice(0, 2) }).states, 3);
      assert.equal(pass(source, known), false);
      assert.equal(pass(stranger, any), false);
      assert.equal(pass(source, pinned), true);
      control.close();

      firewall.clear();
      assert.doesNotMatch(run('nft', 'list', 'tables'), new RegExp(OPTIONS.table));
      assert.doesNotMatch(
        readFileSync('/proc/net/nf_conntrack', 'utf8'),
        new RegExp(`sport=${source.port} dport=${pinned.port} `),
      );
      assert.equal(pass(source, pinned), false);
      for (const socket of [source, stranger, known, any, pinned, shut]) socket.close();
    });
  }

  it('tells who has sent whoever began, but not of flows from before the kernel counted', () => {
    const flows = (['0', '1'] as const).map((counts, index) => {
      writeFileSync(ACCOUNTING, counts);
      const [inside, outside] = [openUdp(libc, '127.0.0.1'), openUdp(libc, `127.0.0.${2 + index}`)];
      const towards = pinhole({
        address: '127.0.0.1',
        ports: [inside.port, inside.port],
        sources: [`127.0.0.${2 + index}`],
      });
      const outbound = pinhole({
        ...towards,
        address: `127.0.0.${2 + index}`,
        ports: [outside.port, outside.port],
        sources: ['127.0.0.1'],
      });
      firewall.commit({ open: [towards, outbound], close: NONE });
      inside.send(outside, 'begins');
      inside.send(outside, 'goes on');
      outside.send(inside, 'answer');
      return { towards, outbound, sockets: [inside, outside] };
    });
    const told = openNftablesControl(libc, OPTIONS.table).traffic().counts;
    const sent = flows.map((flow) => [flow.towards, flow.outbound].map(({ id }) => told.get(id)?.sent));
    assert.deepEqual(sent, [
      [null, null],
      [2, 1],
    ]);
    for (const { sockets } of flows) for (const socket of sockets) socket.close();
  });

  it('counts by reading after reading, while pinholes come and go and another daemon takes the table', () => {
    const many = Array.from({ length: 600 }, (_, n) =>
      pinhole({ address: '192.0.2.10', ports: [2000 + 2 * n, 2001 + 2 * n], label: `pinholed:${n}:0.0` }),
    );
    const sources = Array.from({ length: 60 }, (_, n) => `203.0.113.${n + 1}`).sort();
    const wide = pinhole({ address: '192.0.2.10', ports: [9000, 9000], sources });
    const v6 = pinhole({
      address: '2001:db8::10',
      ports: [6, 7],
      sources: ['2001:db8:1::1'],
      sourcePort: 700,
    });
    const control = openNftablesControl(libc, OPTIONS.table);
    const counted = () => [...control.traffic().counts.keys()].sort();
    const idsOf = (pinholes: readonly Pinhole[]) => pinholes.map(({ id }) => id).sort();
    assert.deepEqual(counted(), []);
    firewall.commit({ open: [...many, wide, v6], close: NONE });
    assert.deepEqual(counted(), idsOf([...many, wide, v6]));
    firewall.commit({ open: NONE, close: many.slice(5) });
    assert.deepEqual(counted(), idsOf([...many.slice(0, 5), wide, v6]));

    // Its pinholes have the numbers that these had, from 1 on.
    firewall.clear();
    firewall.close();
    firewall = openNftables(libc, OPTIONS);
    const others = [v6, wide, ...many.slice(300, 304)];
    firewall.commit({ open: others, close: NONE });
    counted();
    assert.deepEqual(counted(), idsOf(others));
    control.close();
  });

  it('lists again what names an element twice, and leaves out what it did not read whole', () => {
    const many = Array.from({ length: 2000 }, (_, n) =>
      pinhole({ address: '192.0.2.10', ports: [2000 + 2 * n, 2001 + 2 * n], label: `pinholed:${n}:0.0` }),
    );
    firewall.commit({ open: many, close: NONE });
    const socket = openNetlink(libc);
    let moving = 0;
    let fails = false;
    const read = createCountReader(
      {
        ...socket,
        dump(call, request, visit) {
          const rests = moving <= 0;
          moving--;
          let messages = 0;
          socket.dump(call, request, (message) => {
            // The second message is left out, the first stands in its place.
            const place = messages++;
            if (rests || place !== 1) visit(message);
            if (!rests && place === 0) visit(message);
          });
          if (fails) throw new SystemError('linux', call, 4, 'changed meanwhile');
        },
      },
      OPTIONS.table,
    );
    moving = 3;
    assert.equal(read().size, many.length);
    fails = true;
    assert.throws(read, /EINTR/, 'who has sent is not to be told of half of the flows');
    fails = false;
    moving = Number.POSITIVE_INFINITY;
    const some = read().size;
    assert.ok(some > 0 && some < many.length);
    moving = 0;
    assert.equal(read().size, many.length);
    socket.close();
  });

  it('kills a flow by which answers come in, whoever began it', () => {
    const inside = openUdp(libc, '127.0.0.1');
    const outside = openUdp(libc, '127.0.0.2');
    const towards = pinhole({
      address: '127.0.0.1',
      ports: [inside.port, inside.port],
      sources: ['127.0.0.2'],
    });
    const outbound = pinhole({
      address: '127.0.0.2',
      ports: [outside.port, outside.port],
      sources: ['127.0.0.1'],
    });
    firewall.commit({ open: [towards, outbound], close: NONE });
    inside.send(outside, 'begins');
    assert.equal(outside.received(), 'begins');
    firewall.commit({ open: NONE, close: [towards] });
    outside.send(inside, 'answer');
    assert.equal(inside.received(), 'answer');
    assert.equal(openNftablesControl(libc, OPTIONS.table).retire({ closed: [towards] }).states, 1);
    outside.send(inside, 'late');
    assert.equal(inside.received(), null);
    inside.close();
    outside.close();
  });

  it('kills quickly the flows that the kernel has told of, and all of them else', () => {
    let now = 0;
    const control = openNftablesControl(libc, OPTIONS.table, () => now);
    const inside = openUdp(libc, '127.0.0.1');
    const outside = openUdp(libc, '127.0.0.2');
    const towards = pinhole({ address: '127.0.0.1', ports: [inside.port, inside.port] });
    const passes = () => {
      outside.send(inside, 'media');
      return inside.received() === 'media';
    };
    const killed = (quickly: boolean): number => {
      firewall.commit({ open: [towards], close: NONE });
      assert.equal(passes(), true);
      // An answer establishes the flow.
      inside.send(outside, 'answer');
      assert.equal(outside.received(), 'answer');
      firewall.commit({ open: NONE, close: [towards] });
      return control.retire({ closed: [towards], quickly }).states;
    };
    // All flows are walked over until the kernel has told of them for a second.
    assert.equal(killed(true), 1);
    now += 1000;
    assert.equal(killed(true), 1);
    assert.equal(killed(true), 1);

    run('nft', 'add', 'table', 'inet', 'quiet');
    run('nft', 'add chain inet quiet output { type filter hook output priority mangle; }');
    run('nft', 'add rule inet quiet output ct state new ct event set destroy');
    assert.equal(killed(true), 0);
    assert.equal(passes(), true);
    assert.equal(control.retire({ closed: [towards] }).states, 1);
    assert.equal(passes(), false);
    assert.equal(killed(false), 1);
    run('nft', 'delete', 'table', 'inet', 'quiet');
    control.close();
    inside.close();
    outside.close();
  });

  it('leaves a flow that another pinhole lets pass', () => {
    const inside = openUdp(libc, '127.0.0.1');
    const outside = openUdp(libc, '127.0.0.2');
    const ports = [inside.port, inside.port] as const;
    const wide = pinhole({ address: '127.0.0.1', ports });
    const narrow = pinhole({ address: '127.0.0.1', ports, sources: ['127.0.0.2'] });
    firewall.commit({ open: [wide], close: NONE });
    outside.send(inside, 'one');
    firewall.commit({ open: [narrow], close: [wide] });
    assert.equal(openNftablesControl(libc, OPTIONS.table).retire({ closed: [wide] }).states, 0);
    outside.send(inside, 'two');
    assert.deepEqual([inside.received(), inside.received()], ['one', 'two']);
    inside.close();
    outside.close();
  });
});
