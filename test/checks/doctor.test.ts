import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { examineLinuxSystem, type LinuxSystem } from '../../src/checks/examine-linux.ts';
import type { ExamineOptions } from '../../src/checks/examine-options.ts';
import type { Finding } from '../../src/checks/finding.ts';
import type { Ran } from '../../src/checks/netfilter/listing.ts';
import { nftablesRules } from '../../src/commands/rules/nftables.ts';
import { defaults, loadConfig, type Settings } from '../../src/config/load.ts';

const CAPABILITIES = [6, 7, 12];
const QUEUES = '/proc/net/netfilter/nfnetlink_queue';
/** A machine that forwards, with all there has to be and a daemon on queue 0 (nfnetlink_queue.c, seq_show). */
const FILES: Readonly<Record<string, string>> = {
  '/proc/sys/net/ipv4/ip_forward': '1\n',
  '/proc/sys/net/ipv6/conf/all/forwarding': '1\n',
  '/proc/sys/net/netfilter/nf_conntrack_count': '12\n',
  '/proc/sys/net/netfilter/nf_conntrack_acct': '1\n',
  '/proc/sys/net/netfilter/nf_conntrack_max': '262144\n',
  '/proc/net/netstat':
    'TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 3 0\nIpExt: InNoRoutes\nIpExt: 0\n',
  [QUEUES]: '    0 2718255856     0 2 65531     0     0        0  1\n',
};

type Json = Readonly<Record<string, unknown>>;

/** A base chain in libnftables-json(5). */
function chain(
  name: string,
  hook: string,
  prio: number,
  policy: string,
  rules: readonly (readonly Json[])[],
  table = 'filter',
): Json[] {
  const place = { family: 'inet', table };
  return [
    { chain: { ...place, name, type: 'filter', hook, prio, policy } },
    ...rules.map((expr) => ({ rule: { ...place, chain: name, expr } })),
  ];
}

const match = (left: Json, right: unknown, op = '=='): Json => ({ match: { op, left, right } });
const protocols = match({ meta: { key: 'l4proto' } }, { set: ['tcp', 'udp'] });
const port = (field: 'dport' | 'sport', right: unknown = 5060) =>
  match({ payload: { protocol: 'th', field } }, right);
const accept: Json = { accept: null };
const established = [match({ ct: { key: 'state' } }, 'established', 'in'), accept];
const marked = [match({ '&': [{ meta: { key: 'mark' } }, 0x700000] }, 0x700000), accept];
const toSip = [protocols, port('dport'), accept];

/** Media that inside hosts send, by the default of `inside`. */
const heard = (['ip', 'ip6'] as const).map((protocol) => [
  match(
    { payload: { protocol, field: 'saddr' } },
    {
      set: defaults()
        .inside.filter(({ family }) => (family === 4) === (protocol === 'ip'))
        .map(({ text }) => ({ prefix: { addr: text.split('/')[0], len: Number(text.split('/')[1]) } })),
    },
  ),
  match({ payload: { protocol: 'udp', field: 'dport' } }, { range: [1024, 65_535] }),
  accept,
]);
const forged = [match({ fib: { result: 'oif', flags: ['saddr', 'iif'] } }, false), { drop: null }];

const raw = () => chain('raw', 'prerouting', -300, 'accept', [forged], 'pinholed_raw');

/** The lines of the table that `pinholed rules` prints, as libnftables-json(5) has its `queue` statement. */
const queueRules = (queue: Json = { num: 0 }) => [
  [protocols, port('dport'), { queue }],
  [protocols, port('sport'), { queue }],
];
const sipTable = (rules = queueRules(), hook = 'forward') => [
  ...chain(hook, hook, -150, 'accept', rules, 'pinholed_sip'),
  ...raw(),
];
const filter = (
  rules: readonly (readonly Json[])[] = [established, marked, toSip, ...heard],
  prio = 0,
  hook = 'forward',
) => chain(hook, hook, prio, 'drop', rules);

const SETS = [4, 6].flatMap((family) =>
  ['source', 'any', 'source_port', 'any_port'].map((set) => `${set}${family}`),
);

/** The daemon's table as nft 1.0.6 lists it. */
function ownTable(mark = 0x700000): Json[] {
  const rules = SETS.map((name) => [
    match({ concat: [{ meta: { key: 'l4proto' } }] }, `@${name}`),
    { mangle: { key: { meta: { key: 'mark' } }, value: { '|': [{ meta: { key: 'mark' } }, mark] } } },
    accept,
  ]);
  return [
    { table: { family: 'inet', name: 'pinholed', flags: ['owner', 'unknown'] } },
    ...[...SETS, 'pinholes'].map((name) => ({ set: { family: 'inet', table: 'pinholed', name } })),
    ...['forward', 'input', 'output'].flatMap((hook) => chain(hook, hook, -1, 'accept', rules, 'pinholed')),
  ];
}

interface Machine {
  readonly nft?: readonly Json[];
  /** What other programs print; those not named are not installed. */
  readonly programs?: Readonly<Record<string, string | Ran>>;
  /** Null: there is no such file; a symbol of an errno: it cannot be read. */
  readonly files?: Readonly<Record<string, string | null>>;
  readonly settings?: Partial<Settings>;
  readonly system?: Partial<LinuxSystem>;
  readonly isRunning?: boolean;
  readonly options?: Partial<ExamineOptions>;
}

function examine(machine: Machine = {}): Finding[] {
  const { nft = [...sipTable(), ...filter(), ...ownTable()], programs = {}, isRunning = true } = machine;
  const files = { ...FILES, ...machine.files };
  const tables = ['filter', 'pinholed_sip', 'pinholed_raw'].map((name) => ({
    table: { family: 'inet', name },
  }));
  const listing = JSON.stringify({ nftables: [{ metainfo: {} }, ...tables, ...nft] });
  const printed: Machine['programs'] = { nft: listing, ...programs };
  return examineLinuxSystem(
    { ...defaults(), ...machine.settings },
    { isRunning, ingress: null, addresses: new Map(), ...machine.options },
    {
      read(path) {
        const text = files[path] ?? null;
        return text === null || /^E[A-Z]+$/.test(text)
          ? { ok: false, code: text ?? 'ENOENT' }
          : { ok: true, text };
      },
      run(program) {
        const output = printed[program];
        if (output === undefined) return null;
        return typeof output === 'string' ? { status: 0, stdout: output, stderr: '' } : output;
      },
      release: '6.1.0-18-amd64',
      isRoot: true,
      capabilities: CAPABILITIES,
      ...machine.system,
    },
  );
}

/** All that is not well, as `level check`. */
function wrong(machine: Machine): string[] {
  return examine(machine).flatMap(({ level, check }) => (level === 'ok' ? [] : [`${level} ${check}`]));
}

/** The only thing that is not well. */
function only(machine: Machine): Finding {
  const found = examine(machine).filter(({ level }) => level !== 'ok');
  assert.deepEqual(found.length, 1, JSON.stringify(found));
  return found[0]!;
}

describe('doctor on a Linux machine with the rules that "pinholed rules" prints for nft', () => {
  it('finds nothing wrong', () => {
    assert.deepEqual(wrong({}), []);
    const text = nftablesRules(defaults(), null);
    for (const side of ['dport', 'sport']) {
      assert.ok(
        text.includes(`\t\tmeta l4proto { tcp, udp } th ${side} 5060 queue to 0\n`),
        'the rules above are these',
      );
    }
  });

  for (const [index, side] of ['to', 'from'].entries()) {
    it(`misses the line for SIP ${side} the port`, () => {
      const found = only({
        nft: [...sipTable(queueRules().filter((_, at) => at !== index)), ...filter(), ...ownTable()],
      });
      assert.deepEqual([found.level, found.check], ['fault', 'queue-rule']);
      assert.equal(found.text, `SIP passes unread: UDP and TCP over IPv4 and IPv6 ${side} port 5060`);
    });
  }

  it('wants bypass with fail: open alone', () => {
    const bypass = [...sipTable(queueRules({ num: 0, flags: 'bypass' })), ...filter(), ...ownTable()];
    assert.deepEqual(wrong({ nft: bypass, settings: { fail: 'open' } }), []);
    assert.deepEqual(wrong({ nft: bypass }), ['fault queue-bypass']);
    assert.deepEqual(wrong({ settings: { fail: 'open' } }), ['fault queue-bypass']);
  });

  it('wants all ports of SIP, and finds them in ranges and sets', () => {
    const sipPorts = [
      [5060, 5061],
      [5080, 5080],
    ] as const;
    const found = only({
      settings: { sipPorts },
      nft: [
        ...sipTable(),
        ...filter([
          established,
          marked,
          [protocols, port('dport', { range: [5060, 5080] }), accept],
          ...heard,
        ]),
        ...ownTable(),
      ],
    });
    assert.match(found.text, /to port 5061, 5080; .* from port 5061, 5080$/);
    const right = { set: [{ range: [5060, 5062] }, 5080] };
    const rules = [
      [protocols, port('dport', right), { queue: { num: 0 } }],
      [protocols, port('sport', right), { queue: { num: 0 } }],
    ];
    assert.deepEqual(
      wrong({
        settings: { sipPorts },
        nft: [
          ...sipTable(rules),
          ...filter([established, marked, [protocols, port('dport', right), accept], ...heard]),
          ...ownTable(),
        ],
      }),
      [],
    );
  });

  it('wants nothing of a family that is not forwarded', () => {
    const ipv4 = match({ meta: { key: 'nfproto' } }, 'ipv4');
    const nft = [...sipTable(queueRules().map((rule) => [ipv4, ...rule])), ...filter(), ...ownTable()];
    assert.deepEqual(wrong({ nft }), ['fault queue-rule']);
    assert.deepEqual(wrong({ nft, files: { '/proc/sys/net/ipv6/conf/all/forwarding': '0\n' } }), [
      'caution forwarding',
    ]);
  });

  it('refuses a queue that is one of several', () => {
    const nft = [
      ...sipTable(queueRules({ num: { range: [0, 3] }, flags: ['fanout'] })),
      ...filter(),
      ...ownTable(),
    ];
    const found = only({ nft });
    assert.match(found.text, /divided among the queues 0 to 3, of which the daemon reads 0 alone/);
  });

  it('refuses queue rules behind one that accepts established flows', () => {
    const found = only({
      nft: [...raw(), ...filter([established, ...queueRules(), marked, toSip, ...heard]), ...ownTable()],
    });
    assert.match(found.text, /accepts established flows before it hands SIP over: answers pass unread/);
    assert.deepEqual(
      wrong({
        nft: [...raw(), ...filter([...queueRules(), established, marked, toSip, ...heard]), ...ownTable()],
      }),
      [],
    );
  });

  it('knows a PBX on the machine itself: SIP that comes and SIP that goes', () => {
    const rules = (hook: string) => sipTable(queueRules(), hook);
    const input = filter(undefined, 0, 'input');
    const files = { '/proc/sys/net/ipv4/ip_forward': '0\n', '/proc/sys/net/ipv6/conf/all/forwarding': '0\n' };
    assert.deepEqual(
      wrong({ files, nft: [...rules('input'), ...rules('output'), ...input, ...ownTable()] }),
      [],
    );
    const found = only({ files, nft: [...rules('input'), ...input, ...ownTable()] });
    assert.match(found.text, /^SIP passes unread: what this machine sends: UDP and TCP/);
  });

  it('refuses a chain that drops before the mark is set', () => {
    const found = only({ nft: [...sipTable(), ...filter(undefined, -10), ...ownTable()] });
    assert.equal(found.check, 'accept-mark');
    assert.match(found.text, /drops at priority -10, before pinholes are looked at \(-1\)/);
  });

  it('does not take a rule for another mark, or for no mark, for the one that lets media pass', () => {
    for (const [mask, value, op, expected] of [
      [0x700000, 0x100000, '==', ['fault accept-mark']],
      // What bears no mark passes: it is the whole chain that lets everything through.
      [0x0f, 0, '==', ['caution default-drop']],
      [0x700000, 0x700000, '!=', ['caution default-drop', 'fault accept-mark']],
    ] as const) {
      const other = [match({ '&': [{ meta: { key: 'mark' } }, mask] }, value, op), accept];
      assert.deepEqual(
        wrong({ nft: [...sipTable(), ...filter([established, other, toSip, ...heard]), ...ownTable()] }),
        expected,
      );
    }
  });

  it('misses what lets out the media that inside hosts send, unless calls open the way', () => {
    const three = [...sipTable(), ...filter([established, marked, toSip]), ...ownTable()];
    const found = only({ nft: three });
    assert.deepEqual([found.level, found.check], ['fault', 'outbound-media']);
    assert.match(found.text, /^chain forward of inet filter drops the media .* over IPv4 and IPv6/);
    assert.match(found.advice, /"pinholed rules" prints, or set outbound: true$/);
    assert.deepEqual(wrong({ nft: three, settings: { outbound: true } }), []);
    const byName = match({ meta: { key: 'iifname' } }, 'lan');
    const lan = [...sipTable(), ...filter([established, marked, toSip, [byName, accept]]), ...ownTable()];
    assert.deepEqual(wrong({ nft: lan }), [], 'an interface is not known: it may be the right one');
    const tcp = [...sipTable(), ...filter(), ...ownTable()];
    assert.deepEqual(wrong({ nft: tcp, settings: { tcpMedia: true } }), ['fault outbound-media']);
  });

  it('wants forged inside addresses dropped, by a rule or, for IPv4, by a strict reverse path', () => {
    const nft = [...sipTable().slice(0, 3), ...filter(), ...ownTable()];
    assert.match(only({ nft }).text, /^an inside address may come in from outside, over IPv4 and IPv6/);
    const strict = { '/proc/sys/net/ipv4/conf/all/rp_filter': '1\n' };
    assert.match(only({ nft, files: strict }).text, /outside, over IPv6/);
    const loose = { '/proc/sys/net/ipv4/conf/all/rp_filter': '2\n' };
    assert.match(only({ nft, files: loose }).text, /over IPv4 and IPv6/);
  });

  describe('and address translation', () => {
    const nat = (inward: readonly (readonly Json[])[], outward: readonly (readonly Json[])[]) =>
      [
        ...chain('in', 'prerouting', -100, 'accept', inward),
        ...chain('out', 'postrouting', 100, 'accept', outward),
      ].map((one) => ('chain' in one ? { chain: { ...(one['chain'] as Json), type: 'nat' } } : one));
    const to = (address: string, ports: unknown) => [
      match({ payload: { protocol: 'ip', field: 'daddr' } }, address),
      match({ payload: { protocol: 'udp', field: 'dport' } }, ports),
    ];
    const dnat = (ports: unknown, addr = '10.0.1.10', more = {}) => [
      ...to('203.0.113.2', ports),
      { dnat: { family: 'ip', addr, ...more } },
    ];
    const snat = (addr: string, more = {}) => [
      match({ payload: { protocol: 'ip', field: 'saddr' } }, '10.0.1.10'),
      { snat: { family: 'ip', addr, ...more } },
    ];
    const settingsWith = (translation: 'pinhole' | 'ruleset' | null): Partial<Settings> => {
      const loaded = loadConfig(
        `media-ports: [10000-20000]\nnat: [{external: 203.0.113.2, hosts: [10.0.1.10], translation: ${translation ?? 'pinhole'}}]`,
        'f',
      );
      assert.ok('settings' in loaded);
      return translation === null ? {} : { nat: loaded.settings.nat, mediaPorts: loaded.settings.mediaPorts };
    };
    const natFaults = (translation: 'pinhole' | 'ruleset' | null, rules: readonly Json[]) =>
      examine({
        settings: settingsWith(translation),
        nft: [...sipTable(), ...rules, ...filter(), ...ownTable()],
      }).flatMap(({ level, check, text }) =>
        check === 'nat' && level !== 'ok' ? [`${level}: ${text}`] : [],
      );
    const media = { range: [10_000, 20_000] };

    it('finds nothing wrong with what "pinholed rules" prints', () => {
      assert.deepEqual(natFaults('pinhole', nat([dnat(5060)], [snat('203.0.113.2')])), []);
      assert.deepEqual(natFaults('ruleset', nat([dnat(5060), dnat(media)], [snat('203.0.113.2')])), []);
    });

    it('misses what brings SIP in, and with translation: ruleset media', () => {
      assert.match(
        natFaults('pinhole', nat([], [snat('203.0.113.2')])).join(),
        /^caution: no dnat rule brings SIP/,
      );
      const cut = natFaults(
        'ruleset',
        nat([dnat(5060), dnat({ range: [10_000, 15_000] })], [snat('203.0.113.2')]),
      );
      assert.match(cut.join(), /^fault: .* no dnat rule brings media .* \(20000\)/);
      const moved = nat([dnat(5060), dnat(media, '10.0.1.10', { port: 30_000 })], [snat('203.0.113.2')]);
      assert.match(natFaults('ruleset', moved).join(), /^fault: .* \(10000, 20000\)/);
    });

    it('sees packets leave from another address than is announced, or from other ports', () => {
      assert.match(
        natFaults('pinhole', nat([dnat(5060)], [snat('203.0.113.3')])).join(),
        /^fault: 10\.0\.1\.10 announces 203\.0\.113\.2, and its packets leave as 203\.0\.113\.3/,
      );
      const random = nat([dnat(5060), dnat(media)], [snat('203.0.113.2', { flags: 'random' })]);
      assert.match(natFaults('ruleset', random).join(), /^caution: .* leaves from other ports/);
    });

    it('sees SIP forwarded to a host that nat: does not have', () => {
      assert.match(
        natFaults(null, nat([dnat(5060)], [])).join(),
        /^caution: the ruleset forwards SIP to 10\.0\.1\.10, which nat: does not have/,
      );
      assert.deepEqual(natFaults(null, nat([dnat(443)], [])), []);
    });
  });

  it('sees a last rule that drops, as well as a policy', () => {
    const rules = (last: readonly (readonly Json[])[]) =>
      chain('forward', 'forward', 0, 'accept', [established, toSip, ...heard, ...last]);
    assert.deepEqual(
      wrong({ nft: [...sipTable(), ...rules([[{ counter: null }, { reject: null }]]), ...ownTable()] }),
      ['fault accept-mark'],
    );
    assert.deepEqual(wrong({ nft: [...sipTable(), ...rules([]), ...ownTable()] }), ['caution default-drop']);
    assert.deepEqual(wrong({ nft: [...sipTable(), ...rules([[{ drop: null }], marked]), ...ownTable()] }), [
      'fault accept-mark',
    ]);
  });

  it("looks into the daemon's own table", () => {
    const withTable = (own: readonly Json[], isRunning = true) =>
      only({ nft: [...sipTable(), ...filter(), ...own], isRunning });
    assert.match(withTable([]).text, /^table inet pinholed is not there: no pinhole is open$/);
    assert.match(withTable(ownTable(0x10)).text, /chain forward sets another mark than linux\.mark/);
    const flushed = ownTable().filter(
      (one) => !('rule' in one && (one['rule'] as Json)['chain'] === 'forward'),
    );
    assert.equal(
      withTable(flushed).text,
      `table inet pinholed: ${SETS.map((set) => `chain forward lacks the rule for set ${set}`).join(', ')}`,
    );
    const strange = ownTable().flatMap((one) => {
      const { chain: into, family, table } = (one['rule'] ?? {}) as Json;
      return into === 'input' ? [{ rule: { family, table, chain: into, expr: [accept] } }, one] : [one];
    });
    assert.match(
      withTable(strange).text,
      /: rule 1 of chain input is not the daemon's, rule 3 of chain input/,
    );
    const more = [
      ...ownTable(),
      ...chain('x', 'forward', 5, 'accept', [], 'pinholed'),
      { set: { family: 'inet', table: 'pinholed', name: 'y' } },
    ];
    assert.equal(
      withTable(more).text,
      "table inet pinholed: set y is not the daemon's, chain x is not the daemon's",
    );
    const cut = ownTable().filter((one) => !('set' in one && (one['set'] as Json)['name'] === 'any6'));
    assert.match(withTable(cut).text, /set any6 is missing/);
    const moved = ownTable().map((one) =>
      'chain' in one ? { chain: { ...(one['chain'] as Json), prio: 5 } } : one,
    );
    assert.match(withTable(moved).text, /chain input is not at hook input, priority -1/);
    const left = withTable(ownTable(), false);
    assert.deepEqual([left.level, left.check], ['caution', 'table']);
    assert.match(left.advice, /nft delete table inet pinholed$/);
  });
});

describe('doctor, and what a Linux kernel lacks', () => {
  const files = (changes: Record<string, string | null>) => only({ files: changes });

  it('conntrack: not there, nearly full, full', () => {
    const table = (count: string | null) => files({ '/proc/sys/net/netfilter/nf_conntrack_count': count });
    assert.match(table(null).advice, /modprobe nf_conntrack/);
    assert.deepEqual([table('209716').level, table('262144').level], ['caution', 'fault']);
    assert.match(table('262144').text, /262144 of at most 262144 connections: new ones are dropped/);
  });

  it('a conntrack that does not count, by which nobody can tell who sends', () => {
    const found = files({ '/proc/sys/net/netfilter/nf_conntrack_acct': '0\n' });
    assert.deepEqual([found.level, found.check], ['caution', 'accounting']);
    assert.match(found.advice, /sysctl net\.netfilter\.nf_conntrack_acct=1/);
  });

  it('nfnetlink_queue: neither there nor a module of this release', () => {
    const none = { [QUEUES]: null, '/lib/modules/6.1.0-18-amd64/modules.dep': 'kernel/net/a.ko:\n' };
    assert.deepEqual(wrong({ files: none, isRunning: false, nft: [...sipTable(), ...filter()] }), [
      'fault nfqueue',
      'caution queue-listener',
    ]);
    const module = {
      ...none,
      '/lib/modules/6.1.0-18-amd64/modules.dep': 'kernel/net/netfilter/nfnetlink_queue.ko.xz: \n',
    };
    assert.deepEqual(wrong({ files: module, isRunning: false, nft: [...sipTable(), ...filter()] }), [
      'caution queue-listener',
    ]);
  });

  it('the queue: nobody reads it, or it lost packets', () => {
    assert.match(files({ [QUEUES]: '    7 99 0 2 65531 0 0 0 1\n' }).text, /^nobody reads queue 0/);
    assert.equal(files({ [QUEUES]: '' }).level, 'fault');
    const lost = files({ [QUEUES]: '    0 99     4 2 65531    12     3      900  1\n' });
    assert.equal(lost.level, 'caution');
    assert.equal(
      lost.text,
      'queue 0 is read, 900 packets have come, 4 wait; 12 found it full, 3 found no room in the socket',
    );
  });

  it('rp_filter that dropped something', () => {
    const found = files({ '/proc/net/netstat': 'TcpExt: A IPReversePathFilter B\nTcpExt: 3 17 4\n' });
    assert.match(found.text, /^rp_filter has dropped 17 packets/);
  });

  it("the kernel's SIP helper: automatic before Linux 6.0, or set by a rule", () => {
    const ports = { '/sys/module/nf_conntrack_sip/parameters/ports': '5060\n' };
    assert.deepEqual(wrong({ files: ports }), []);
    const automatic = files({ ...ports, '/proc/sys/net/netfilter/nf_conntrack_helper': '1\n' });
    assert.equal(automatic.advice, 'sysctl net.netfilter.nf_conntrack_helper=0');
    const helper = {
      'ct helper': { family: 'inet', table: 'filter', name: 'sip-5060', type: 'sip', protocol: 'udp' },
    };
    const set = chain('pre', 'prerouting', -300, 'accept', [[port('dport'), { 'ct helper': 'sip-5060' }]]);
    const nft = [helper, ...set, ...sipTable(), ...filter(), ...ownTable()];
    assert.deepEqual(wrong({ files: ports, nft }), ['caution sip-helper']);
  });

  it('a release before sets could count, and a container without its rights', () => {
    assert.equal(only({ system: { release: '5.4.0-150-generic' } }).check, 'kernel');
    assert.deepEqual(wrong({ system: { release: '5.10.0' } }), []);
    const found = wrong({ system: { capabilities: [6, 7] } });
    assert.deepEqual(found, ['fault rights', 'unknown ruleset']);
  });
});

describe('doctor, where the rules cannot be listed', () => {
  const refused: Ran = {
    status: 1,
    stdout: '',
    stderr: 'netlink: Error: cache initialization failed: Operation not permitted\n',
  };
  const cases: readonly (readonly [string, Machine['programs'] & object, RegExp])[] = [
    ['nft refuses', { nft: refused }, /nft -j list ruleset: netlink: Error: .* not permitted$/],
    ['nft takes too long', { nft: { status: null, stdout: '', stderr: '' } }, /gave no answer in time$/],
    ['nft prints something else', { nft: '{}' }, /what nft printed cannot be read/],
    ['nft prints no JSON', { nft: 'table inet' }, /what nft printed cannot be read/],
    ['iptables-save fails', { 'ip6tables-save': refused }, /^ip6tables-save: netlink/],
  ];
  for (const [name, programs, advice] of cases) {
    it(`${name}: says what was not looked at, and looks at the rest`, () => {
      const found = only({ programs });
      assert.deepEqual([found.level, found.check], ['unknown', 'ruleset']);
      assert.match(found.text, /not looked at are queue-rule, .*, table$/);
      assert.match(found.advice, advice);
      assert.ok(
        examine({ programs }).some(({ check, level }) => check === 'queue-listener' && level === 'ok'),
      );
    });
  }

  it('rules of iptables of which only the listing of nft is there', () => {
    const xt = [{ xt: { type: 'target', name: 'NFQUEUE' } }];
    const table = [
      { table: { family: 'ip', name: 'mangle' } },
      {
        chain: {
          family: 'ip',
          table: 'mangle',
          name: 'FORWARD',
          type: 'filter',
          hook: 'forward',
          prio: -150,
          policy: 'accept',
        },
      },
      { rule: { family: 'ip', table: 'mangle', chain: 'FORWARD', expr: xt } },
    ];
    const nft = [...table, ...sipTable(), ...filter(), ...ownTable()];
    assert.match(
      only({ nft }).advice,
      /table ip mangle has rules of iptables-nft, whose iptables-nft-save is not installed/,
    );
    assert.deepEqual(
      wrong({ nft, programs: { 'iptables-nft-save': '*mangle\n:FORWARD ACCEPT [0:0]\nCOMMIT\n' } }),
      [],
    );
    const beside = { family: 'ip', table: 'mangle', name: 'mine', type: 'filter', hook: 'forward', prio: 7 };
    const programs = {
      'iptables-nft-save':
        "# Table `mangle' contains incompatible base-chains, use 'nft' tool to list them.\n" +
        '*mangle\n:FORWARD ACCEPT [0:0]\nCOMMIT\n',
    };
    assert.deepEqual(wrong({ nft: [...nft, { chain: { ...beside, policy: 'accept' } }], programs }), []);
    assert.match(
      examine({ nft: [...nft, { chain: { ...beside, policy: 'drop' } }], programs }).find(
        ({ level }) => level === 'fault',
      )?.text ?? '',
      /chain mine of ip mangle/,
    );
    const legacy = { '/proc/net/ip_tables_names': 'filter\n' };
    assert.match(
      only({ files: legacy }).advice,
      /there are rules of iptables-legacy, and no iptables-legacy-save/,
    );
  });

  it('without nft installed', () => {
    const found = examineLinuxSystem(
      defaults(),
      { isRunning: false, ingress: null, addresses: new Map() },
      {
        read: () => ({ ok: false, code: 'ENOENT' }),
        run: () => null,
        release: '6.1.0',
        isRoot: true,
        capabilities: CAPABILITIES,
      },
    );
    assert.match(found.find(({ check }) => check === 'ruleset')!.advice, /install nftables/);
  });
});
