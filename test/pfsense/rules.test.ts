import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostile } from './hostile.ts';
import { type Case, type Made, make, type Tree, withoutPhp } from './package.ts';

/** What stands before the user's rules in pfSense and is quick, for what comes in by an inside interface. */
const SYSTEM_IN = [
  'block in log quick from 169.254.0.0/16 to any',
  'block in log quick from any to 169.254.0.0/16',
  'block log quick proto { tcp, udp } from any port = 0 to any',
  'block log quick from <snort2c> to any',
  'block log quick from any to <snort2c>',
  'block in log quick from <virusprot> to any',
];
const SYSTEM_OUT = SYSTEM_IN.slice(2, 5);
const TO_THE_INSIDE = 'pass quick keep state divert-to 8668 label "pinholed: SIP to the inside"';

const ANY: Tree = { any: '' };

function rule(fields: Tree): Tree {
  return { type: 'pass', interface: 'lan', ipprotocol: 'inet', source: ANY, destination: ANY, ...fields };
}

interface Anchor {
  readonly head: string;
  readonly lines: readonly string[];
}

/** The anchors of a text, blanks made one; what is outside of them is under ''. */
function anchorsOf(text: string): Map<string, Anchor> {
  const anchors = new Map<string, Anchor>();
  let open: { name: string; head: string; lines: string[] } | null = null;
  const outside: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trim().replace(/\s+/g, ' ');
    const begins = /^anchor "([a-z0-9_]+)" (.+) \{$/.exec(line);
    if (begins !== null) {
      assert.equal(open, null, 'an anchor in an anchor');
      open = { name: begins[1]!, head: begins[2]!, lines: [] };
    } else if (line === '}') {
      if (open === null) assert.fail('an anchor that did not begin');
      anchors.set(open.name, open);
      open = null;
    } else if (open !== null) open.lines.push(line);
    else if (line !== '') outside.push(line);
  }
  assert.equal(open, null, 'an anchor that does not end');
  anchors.set('', { head: '', lines: outside });
  return anchors;
}

/** The copies of the user's rules on the LAN, without what always stands before and after them. */
function copies(made: Made, direction: 'in' | 'out' = 'in', key = 'lan'): readonly string[] {
  const lines = anchorsOf(made.pfearly).get(`pinholed_${direction}_${key}`)?.lines ?? [];
  const before = direction === 'in' ? SYSTEM_IN : SYSTEM_OUT;
  assert.deepEqual(lines.slice(0, before.length), before);
  return lines.slice(before.length).filter((line) => line !== TO_THE_INSIDE);
}

interface Expectation extends Case {
  readonly name: string;
  readonly in?: readonly string[];
  readonly out?: readonly string[];
}

/** By the texts in the notes on pfSense's own rulesets: a copy is the user's rule with divert-to where it passes. */
const COPIES: readonly Expectation[] = [
  {
    name: 'a rule that passes all, one that blocks a phone, in the order of the user',
    rules: [
      rule({ type: 'block', source: { address: '192.168.1.66' }, tracker: '1600000004' }),
      rule({ source: { network: 'lan' }, tracker: '1600000006' }),
    ],
    in: [
      'block in quick on $LAN inet from 192.168.1.66 to any ridentifier 1600000004 label "id:1600000004"',
      'pass in quick on $LAN inet from $LAN__NETWORK to any ridentifier 1600000006 keep state divert-to 8668 label "id:1600000006"',
    ],
  },
  {
    name: 'a gateway, its label, and the rule for networks that policy routing leaves out',
    rules: [
      rule({
        ...{ protocol: 'udp', source: { address: '192.168.1.20' }, destination: { any: '', port: '5060' } },
        ...{ gateway: 'WAN2GW', negate: '', tracker: '5' },
      }),
    ],
    machine: {
      macros:
        '# Gateways\nGWWANGW = " route-to ( igb0 203.0.113.1 ) "\nGWWAN2GW = " route-to ( igb2 198.51.100.1 ) "\n',
    },
    in: [
      'pass in quick on $LAN inet proto udp from 192.168.1.20 to <negate_networks> ridentifier 10000001 keep state label "NEGATE_ROUTE: Negate policy routing for destination" label "id:5" label "gw:WAN2GW" divert-to 8668',
      'pass in quick on $LAN $GWWAN2GW inet proto udp from 192.168.1.20 to any port 5060 ridentifier 5 keep state divert-to 8668 label "id:5" label "gw:WAN2GW"',
    ],
  },
  {
    name: 'a schedule and its label; a rule out of its schedule is none',
    rules: [
      rule({ sched: 'hours', tracker: '1' }),
      rule({ sched: 'over', tracker: '2', descr: 'night' }),
      rule({ type: 'reject', tracker: '3' }),
    ],
    in: [
      'pass in quick on $LAN inet from any to any ridentifier 1 keep state divert-to 8668 label "id:1" label "s:hours"',
      'block return in quick on $LAN inet from any to any ridentifier 3 label "id:3"',
    ],
  },
  {
    name: 'a queue, a tag, a state type',
    rules: [rule({ defaultqueue: 'qVoIP', tag: 'voice', statetype: 'sloppy' })],
    in: [
      'pass in quick on $LAN inet from any to any tag "voice" keep state (sloppy) queue (qVoIP) divert-to 8668',
    ],
  },
  {
    name: 'rules for other interfaces, protocols, ports and address families, and disabled ones, are left out',
    rules: [
      rule({ interface: 'wan' }),
      rule({ protocol: 'icmp' }),
      rule({ protocol: 'udp', destination: { any: '', port: '53' } }),
      rule({ protocol: 'tcp', destination: { any: '', port: '80-5059' } }),
      rule({ ipprotocol: 'inet6' }),
      rule({ disabled: '' }),
      { separator: '' },
    ],
    in: [],
  },
  {
    name: 'ports that may be those of SIP: one, a range, an alias, none; TCP and both protocols',
    rules: [
      rule({ protocol: 'udp', destination: { any: '', port: '5060' } }),
      rule({ protocol: 'tcp', destination: { any: '', port: '5000-5100' } }),
      rule({ protocol: 'tcp/udp', destination: { any: '', port: '$sip_ports' } }),
      rule({ protocol: 'udp', source: { any: '', port: '5060' } }),
    ],
    in: [
      'pass in quick on $LAN inet proto udp from any to any port 5060 keep state divert-to 8668',
      'pass in quick on $LAN inet proto tcp from any to any port 5000-5100 keep state divert-to 8668',
      'pass in quick on $LAN inet proto { tcp udp } from any to any port $sip_ports keep state divert-to 8668',
      'pass in quick on $LAN inet proto udp from any port 5060 to any keep state divert-to 8668',
    ],
  },
  {
    name: 'both families, where the kernel diverts both',
    rules: [rule({ ipprotocol: 'inet46', tracker: '9' })],
    machine: { osreldate: '1600005' },
    in: [
      'pass in quick on $LAN inet from any to any ridentifier 9 keep state divert-to 8668 label "id:9"',
      'pass in quick on $LAN inet6 from any to any ridentifier 9 keep state divert-to 8668 label "id:9"',
    ],
  },
  {
    name: 'floating, group and own rules, in the order in which they decide',
    interfaces: {
      wan: { if: 'igb0', descr: 'WAN' },
      lan: { if: 'igb1', descr: 'LAN' },
      opt1: { if: 'igb1.20', descr: 'PHONES' },
    },
    more: {
      ifgroups: {
        ifgroupentry: [
          { ifname: 'INSIDE', members: 'lan opt1' },
          { ifname: 'OTHER', members: 'opt1' },
        ],
      },
    },
    rules: [
      rule({ tracker: '1' }),
      rule({ interface: 'INSIDE', tracker: '2' }),
      rule({ interface: 'OTHER', tracker: '3' }),
      rule({
        type: 'block',
        floating: 'yes',
        quick: 'yes',
        interface: 'wan,lan',
        source: { address: '192.0.2.66' },
        tracker: '4',
      }),
      rule({ floating: 'yes', quick: 'yes', interface: 'opt1', tracker: '5' }),
      rule({
        type: 'block',
        floating: 'yes',
        quick: 'yes',
        interface: '',
        direction: 'in',
        destination: { address: '192.0.2.9' },
        tracker: '6',
      }),
      rule({
        type: 'block',
        floating: 'yes',
        quick: 'yes',
        interface: 'any',
        direction: 'out',
        destination: { address: '192.0.2.8' },
        tracker: '7',
      }),
    ],
    in: [
      'block quick on { igb0 igb1 } inet from 192.0.2.66 to any ridentifier 4 label "id:4"',
      'block in quick inet from any to 192.0.2.9 ridentifier 6 label "id:6"',
      'pass in quick on $INSIDE inet from any to any ridentifier 2 keep state divert-to 8668 label "id:2"',
      'pass in quick on $LAN inet from any to any ridentifier 1 keep state divert-to 8668 label "id:1"',
    ],
    out: [
      'block quick on { igb0 igb1 } inet from 192.0.2.66 to any ridentifier 4 label "id:4"',
      'block out quick inet from any to 192.0.2.8 ridentifier 7 label "id:7"',
    ],
  },
  {
    name: 'floating rules that are not quick decide last, the last of them first; match rules stay where they are',
    rules: [
      rule({ floating: 'yes', interface: 'lan', direction: 'in', tracker: '1' }),
      rule({
        type: 'match',
        floating: 'yes',
        interface: 'lan',
        direction: 'in',
        defaultqueue: 'qVoIP',
        tracker: '2',
      }),
      rule({
        type: 'block',
        floating: 'yes',
        interface: 'lan',
        direction: 'in',
        source: { address: '192.168.1.5' },
        tracker: '3',
      }),
      rule({ source: { address: '192.168.1.7' }, tracker: '4' }),
    ],
    in: [
      'match in on { igb1 } inet from any to any ridentifier 2 queue (qVoIP) label "id:2"',
      'pass in quick on $LAN inet from 192.168.1.7 to any ridentifier 4 keep state divert-to 8668 label "id:4"',
      'block in quick on { igb1 } inet from 192.168.1.5 to any ridentifier 3 label "id:3"',
      'pass in quick on { igb1 } inet from any to any ridentifier 1 keep state divert-to 8668 label "id:1"',
    ],
  },
  {
    name: 'a rule that cannot be copied ends the list, and with it what lets the rest out',
    rules: [
      rule({ floating: 'yes', quick: 'yes', interface: 'lan', tracker: '1' }),
      rule({ floating: 'yes', quick: 'yes', interface: 'lan', tag: 'a" } pass quick all #', tracker: '2' }),
      rule({ tracker: '3' }),
    ],
    in: ['pass quick on { igb1 } inet from any to any ridentifier 1 keep state divert-to 8668 label "id:1"'],
    out: ['pass quick on { igb1 } inet from any to any ridentifier 1 keep state divert-to 8668 label "id:1"'],
  },
];

describe('pfSense package: the rules', { skip: withoutPhp }, () => {
  const made = withoutPhp ? [] : make(COPIES);

  for (const [index, one] of COPIES.entries()) {
    it(one.name, () => {
      assert.deepEqual(copies(made[index]!), one.in);
      if (one.out !== undefined) assert.deepEqual(copies(made[index]!, 'out'), one.out);
    });
  }

  it('a list that is not whole lets nothing out on its own', () => {
    const index = COPIES.findIndex(({ name }) => name.startsWith('a rule that cannot be copied'));
    assert.equal(made[index]!.pfearly.includes(TO_THE_INSIDE), false);
    assert.equal(made[index - 1]!.pfearly.includes(TO_THE_INSIDE), true);
  });

  it('are the same when they are made again, and count none of pfSense’s own numbers', () => {
    for (const one of made) {
      assert.equal(one.again, one.pfearly);
      assert.equal(one.negateTracker, 10_000_000);
      assert.equal(one.other, '');
    }
  });

  it('let SIP alone into the anchors: the ports, both protocols, the families that are diverted', () => {
    const [plain, several, both] = make([
      {},
      { form: { sipports: '5060 5080-5090' } },
      { machine: { osreldate: '1600005' } },
    ]);
    const heads = (one: Made | undefined) =>
      [...anchorsOf(one!.pfearly).values()].flatMap(({ head }) => head || []);
    assert.deepEqual(heads(plain), [
      'in on igb1 inet proto { tcp udp } from any to any port 5060',
      'out on igb1 inet proto { tcp udp } from any to any port 5060',
    ]);
    assert.deepEqual(heads(several), [
      'in on igb1 inet proto { tcp udp } from any to any port { 5060 5080:5090 }',
      'out on igb1 inet proto { tcp udp } from any to any port { 5060 5080:5090 }',
    ]);
    assert.deepEqual(heads(both), [
      'in on igb1 proto { tcp udp } from any to any port 5060',
      'out on igb1 proto { tcp udp } from any to any port 5060',
    ]);
  });

  it('name the gateways of the copies once more, and no others', () => {
    const index = COPIES.findIndex(({ machine }) => machine?.['macros'] !== undefined);
    assert.deepEqual(anchorsOf(made[index]!.pfearly).get('')!.lines, [
      'GWWAN2GW = " route-to ( igb2 198.51.100.1 ) "',
    ]);
    assert.deepEqual(anchorsOf(made[0]!.pfearly).get('')!.lines, []);
  });

  it('keep what pfSense blocks before the user’s rules: bogons, private networks, who has not logged in', () => {
    const interfaces = { lan: { if: 'igb1', descr: 'LAN', blockbogons: '', blockpriv: '' } };
    const captive =
      '\n# Captive Portal\npass in quick on igb1 proto tcp from any to <cpzoneid_2_cpips> port 8002 keep state(sloppy)\n' +
      'block in quick on igb1 from any to ! <cpzoneid_2_cpips> ! tagged cpzoneid_2_auth ridentifier 13003\n' +
      'block in quick on igb7 from any to ! <cpzoneid_4_cpips> ! tagged cpzoneid_4_auth ridentifier 13004\n';
    const [one] = make([
      { interfaces, machine: { captive }, more: { syslog: { nologbogons: '', nologsnort2c: '' } } },
    ]);
    assert.deepEqual(anchorsOf(one!.pfearly).get('pinholed_in_lan')!.lines, [
      ...SYSTEM_IN.slice(0, 3),
      'block quick from <snort2c> to any',
      'block quick from any to <snort2c>',
      SYSTEM_IN.at(-1),
      'block in quick from <bogons> to any',
      'block in log quick from { 10.0.0.0/8 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 } to any',
      'block in quick on igb1 from any to ! <cpzoneid_2_cpips> ! tagged cpzoneid_2_auth ridentifier 13003',
    ]);
  });

  it('"all SIP" passes and diverts whatever the rules of the interface say', () => {
    const [one] = make([{ form: { siprules: 'all' }, rules: [rule({ type: 'block' })] }]);
    const anchors = anchorsOf(one!.pfearly);
    assert.deepEqual(anchors.get('pinholed_in_lan')!.lines, [
      ...SYSTEM_IN,
      'pass quick keep state divert-to 8668 label "pinholed: SIP from the inside"',
    ]);
    assert.deepEqual(anchors.get('pinholed_out_lan')!.lines, [...SYSTEM_OUT, TO_THE_INSIDE]);
  });

  it('on a pair of firewalls, states of its own rules stay where they were made', () => {
    const [all, follow] = make([
      { form: { siprules: 'all', storeurl: 'redis://10.9.0.1' } },
      { form: { storeurl: 'redis://10.9.0.1' } },
    ]);
    const rulesFor = (where: string) => [
      `pass quick proto udp keep state (no-sync) divert-to 8668 label "pinholed: SIP ${where} the inside"`,
      `pass quick proto tcp flags any keep state (no-sync, sloppy) divert-to 8668 label "pinholed: SIP ${where} the inside"`,
    ];
    const own = (text: string) =>
      text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line.includes('pinholed: SIP'));
    assert.deepEqual(own(all!.pfearly), [...rulesFor('from'), ...rulesFor('to')]);
    assert.deepEqual(own(follow!.pfearly), rulesFor('to'));
  });

  it('"fail: open" diverts nothing while the daemon is down; with "all SIP" the daemon loads the rule', () => {
    const form = { fail: 'open' };
    const [down, up, all, closed] = make([
      { form },
      { form, machine: { running: true } },
      { form: { ...form, siprules: 'all', position: 'before' } },
      { form: { fail: 'closed' } },
    ]);
    assert.equal(down!.pfearly, '');
    assert.equal(up!.pfearly, closed!.pfearly);
    assert.deepEqual(anchorsOf(all!.pfearly).get('')!.lines, [
      'anchor "userrules/pinholed/divert" inet proto { tcp udp } from any to any port 5060',
    ]);
    assert.deepEqual(anchorsOf(all!.pfearly).get('pinholed_block_lan')!.lines, SYSTEM_IN);
  });

  it('the anchor of pinholes: media ports, protocols, after the user’s rules or in userrules/*', () => {
    const forms: readonly Tree[] = [
      {},
      { mediaports: '10000-20000, 30000' },
      { tcpmedia: 'on', mediaports: '10000-20000' },
      { outbound: 'on', mediaports: '10000-20000' },
      { position: 'before' },
    ];
    assert.deepEqual(
      make(forms.map((form) => ({ form }))).map(({ filter }) => filter),
      [
        'anchor "pinholed" inet proto udp from any to any port 1024:65535\n',
        'anchor "pinholed" inet proto udp from any to any port { 10000:20000 30000 }\n',
        'anchor "pinholed" inet proto { tcp udp } from any to any port 10000:20000\n',
        'anchor "pinholed" inet proto udp from any to any port 1024:65535\n',
        '',
      ],
    );
  });

  it('translations have anchors where pinholes bring their own', () => {
    const row = [{ external: '203.0.113.2', insidehosts: '192.168.1.10', translation: 'pinhole' }];
    const [none, pinhole, ruleset, observing] = make([
      {},
      { form: { nat: 'list', row } },
      { form: { nat: 'list', row: [{ ...row[0]!, translation: 'ruleset' }] } },
      { form: { nat: 'list', row, mode: 'observe' } },
    ]);
    assert.equal(none!.nat, '');
    assert.equal(pinhole!.nat, 'rdr-anchor "pinholed"\nbinat-anchor "pinholed"\n');
    assert.equal(ruleset!.nat, '');
    assert.equal(observing!.nat, '');
  });

  it('are none where the package is off, or has no interface that is there', () => {
    const off = make([
      { form: { enable: '' } },
      { form: { interfaces: 'opt7' } },
      { form: { interfaces: '' } },
    ]);
    for (const { nat, pfearly, filter } of off) assert.equal(nat + pfearly + filter, '');
  });

  it('no text in the form or in a rule of the user becomes a rule, an anchor or a macro of its own', () => {
    const cases = hostile.flatMap((text): Case[] => {
      const rules = [
        rule({ descr: text, tracker: '1' }),
        rule({ type: 'block', sched: 'over', descr: text }),
        ...['tag', 'statetype', 'defaultqueue', 'gateway', 'tracker', 'protocol', 'sched'].map((field) =>
          rule({ [field]: text }),
        ),
        rule({ source: { address: text } }),
        rule({ destination: { any: '', port: text }, protocol: 'udp' }),
        rule({ floating: 'yes', interface: 'lan', direction: 'in', tag: text }),
      ];
      const interfaces: Tree = {
        wan: { if: 'igb0' },
        lan: { if: 'igb1', descr: 'LAN' },
        opt1: { if: text, descr: 'X' },
        opt2: { if: 'igb2', descr: text },
        [text]: { if: 'igb4', descr: 'Y' },
      };
      const form: Tree = {
        interfaces: `lan,opt1,opt2,${text}`,
        sipports: `5060 ${text}`,
        mediaports: `4000 ${text}`,
      };
      const macros = `GW${text} = " route-to ( igb2 198.51.100.1 ) "\nGWX = "${text}"\n`;
      const captive = `block in quick on igb1 from any to ${text}\n`;
      const more: Tree = { ifgroups: { ifgroupentry: [{ ifname: text, members: 'lan' }] } };
      return rules.map((one) => ({ form, interfaces, more, rules: [one], machine: { macros, captive } }));
    });
    const line =
      /^(|anchor "pinholed_(in|out)_(lan|opt2)" (in|out) on igb[12] inet proto \{ tcp udp \} from any to any port (5060|\{ 5060 [0-9: ]+\}) \{|\}|anchor "pinholed" inet proto udp from any to any port (4000|\{ 4000 [0-9: ]+\})|GW\w+ = "[^"]*")$/;
    for (const one of make(cases)) {
      for (const text of `${one.nat}${one.pfearly}${one.filter}`.split('\n')) {
        if (!text.startsWith('  ')) assert.match(text, line);
        else assert.ok(isOneRule(text), JSON.stringify(text));
      }
      anchorsOf(one.pfearly);
    }
  });
});

/** A rule of pf.conf(5) in one line, read character by character as the parser of pfctl does. */
function isOneRule(text: string): boolean {
  if (!/^ {2}(pass|block|match) /.test(text)) return false;
  let quoted = false;
  let depth = 0;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (quoted) continue;
    if (character === '{') depth++;
    if (character === '}') depth--;
    if (depth < 0 || depth > 1 || "#\\;`'".includes(character)) return false;
  }
  return !quoted && depth === 0;
}
