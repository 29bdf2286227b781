import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hostile } from '../pfsense/hostile.ts';
import { php, withoutPhp } from './plugin.ts';

type Rule = Readonly<Record<string, unknown>>;

interface Settings {
  readonly interfaces: readonly string[];
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly sip: readonly (readonly [number, number])[];
  readonly families: readonly string[];
  readonly divert_port: number;
}

const usual: Settings = {
  interfaces: ['lan'],
  groups: { phones: ['lan', 'opt2'], guests: ['opt3'] },
  sip: [[5060, 5060]],
  families: ['inet'],
  divert_port: 8668,
};

const aliases = {
  SIP_PORTS: ['5060:5062', '5080'],
  WEB: ['80', '443'],
  sip: ['5060'],
  PBX_ALL: ['1:65535'],
};

const pass: Rule = {
  type: 'pass',
  quick: true,
  direction: 'in',
  interface: 'lan',
  ipprotocol: 'inet',
  protocol: 'UDP',
  from: 'lan',
  to: 'any',
  statetype: 'keep',
  label: 'u1',
  descr: 'phones out',
};

/** [priority, rule] as core has them; a rule without one is of an interface. */
function following(rules: readonly (Rule & { readonly priority?: number })[], settings = usual): Rule[] {
  const given = rules.map(({ priority = 400_000, ...rule }) => [priority, rule]);
  return php<Rule[]>({ task: 'following', settings, rules: given, aliases });
}

/** In few words: what, direction, interface, protocol, ports, whether it diverts, and whose rule it was. */
function words(rule: Rule): string {
  const { destination } = rule as { destination?: { port?: string } };
  return [
    rule['type'],
    rule['direction'],
    rule['interface'],
    rule['ipprotocol'],
    rule['protocol'],
    rule['to_port'] ?? destination?.port,
    rule['divert-to'] === undefined ? 'plain' : `divert ${rule['divert-to']}`,
    rule['label'],
  ].join(' ');
}

const inside = 'pass out lan inet tcp/udp 5060 divert 8668 pinholed: SIP';

describe('OPNsense: rules that follow the user’s', { skip: withoutPhp }, () => {
  const cases: readonly (readonly [string, readonly (Rule & { priority?: number })[], readonly string[]])[] =
    [
      ['no rule', [], []],
      ['any port', [pass], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['any protocol', [{ ...pass, protocol: '' }], ['pass in lan inet tcp/udp 5060 divert 8668 u1']],
      ['a block', [{ ...pass, type: 'block' }], ['block in lan inet udp 5060 plain u1']],
      ['a reject', [{ ...pass, type: 'reject' }], ['reject in lan inet udp 5060 plain u1']],
      ['the port', [{ ...pass, to_port: '5060' }], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['a range', [{ ...pass, to_port: '5000-6000' }], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['a port alias', [{ ...pass, to_port: 'SIP_PORTS' }], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['a service', [{ ...pass, to_port: 'sip' }], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['an open range', [{ ...pass, to_port: '1024-any' }], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['another port', [{ ...pass, to_port: '80' }], []],
      ['another alias', [{ ...pass, to_port: 'WEB' }], []],
      ['no port that core would take', [{ ...pass, to_port: 'NOTHING' }], []],
      ['another protocol', [{ ...pass, protocol: 'ICMP' }], []],
      ['another interface', [{ ...pass, interface: 'opt2' }], []],
      ['IPv6 where the kernel diverts none', [{ ...pass, ipprotocol: 'inet6' }], []],
      [
        'both families there',
        [{ ...pass, ipprotocol: 'inet46' }],
        ['pass in lan inet udp 5060 divert 8668 u1'],
      ],
      ['disabled', [{ ...pass, disabled: true }], []],
      ['a rule of the system', [{ ...pass, priority: 5 }], []],
      ['a rule for no interface that there is', [{ ...pass, priority: 600_000 }], []],
      ['a group', [{ ...pass, interface: 'phones' }], ['pass in lan inet udp 5060 divert 8668 u1']],
      ['another group', [{ ...pass, interface: 'guests' }], []],
      [
        'several interfaces',
        [{ ...pass, interface: 'wan,lan' }],
        ['pass in lan inet udp 5060 divert 8668 u1'],
      ],
      [
        'all but one',
        [{ ...pass, interface: 'wan', interfacenot: true }],
        ['pass in lan inet udp 5060 divert 8668 u1'],
      ],
      ['all but this', [{ ...pass, interface: 'phones', interfacenot: true }], []],
      ['every interface', [{ ...pass, interface: '' }], ['pass in lan inet udp 5060 divert 8668 u1']],
    ];
  for (const [name, rules, expected] of cases) {
    it(name, () => assert.deepEqual(following(rules).map(words), [...expected, inside]));
  }

  it('rules for both directions, and those that go out, stand before what passes to the inside', () => {
    const rules = [
      { ...pass, direction: 'any', type: 'block', label: 'both' },
      { ...pass, direction: 'out', type: 'block', label: 'out' },
    ];
    assert.deepEqual(following(rules).map(words), [
      'block in lan inet udp 5060 plain both',
      'block out lan inet udp 5060 plain both',
      'block out lan inet udp 5060 plain out',
      inside,
    ]);
  });

  it('floating, group and interface rules in the order of their priorities, not in that of their registration', () => {
    const rules = [
      { ...pass, label: 'interface' },
      { ...pass, label: 'group', interface: 'phones', priority: 300_000 },
      { ...pass, label: 'floating', interface: 'wan,lan', priority: 200_000 },
    ];
    assert.deepEqual(
      following(rules).map((rule) => rule['label']),
      ['floating', 'group', 'interface', 'pinholed: SIP'],
    );
  });

  it('keeps gateway, schedule, states and the reference to the rule', () => {
    const kept = {
      gateway: 'WAN2_GW',
      sched: 'office',
      'max-src-conn': '10',
      'state-policy': 'if-bound',
      '#ref': 'ui/firewall/filter#u1',
      log: true,
      from_not: true,
    };
    const [copy] = following([{ ...pass, ...kept }]);
    for (const [key, value] of Object.entries(kept)) assert.equal(copy![key], value, key);
    assert.equal(copy!['statetype'], 'keep');
  });

  it('a connection that pf would answer for the host is kept as it is', () => {
    const [copy] = following([{ ...pass, protocol: 'TCP', statetype: 'synproxy' }]);
    assert.equal(copy!['statetype'], 'keep');
  });

  it('rules of the configuration’s older part', () => {
    const older = {
      type: 'pass',
      interface: 'lan',
      ipprotocol: 'inet',
      protocol: 'tcp/udp',
      source: { network: 'lan' },
      destination: { any: '1', port: '5000-5100' },
      label: 'older',
      descr: 'SIP',
    };
    const [copy, ...rest] = following([older]);
    assert.equal(words(copy!), 'pass in lan inet tcp/udp 5060 divert 8668 older');
    assert.deepEqual(copy!['destination'], { any: '1', port: '5060' });
    assert.deepEqual(copy!['source'], { network: 'lan' });
    assert.deepEqual(rest.map(words), [inside]);
  });

  it('several ports and families: one rule for each', () => {
    const settings = {
      ...usual,
      sip: [
        [5060, 5061],
        [5080, 5080],
      ],
      families: ['inet', 'inet6'],
    } as const;
    assert.deepEqual(
      following([{ ...pass, ipprotocol: 'inet46', to_port: '5061-5090' }], settings)
        .map(words)
        .filter((text) => text.endsWith('u1')),
      [
        'pass in lan inet udp 5061 divert 8668 u1',
        'pass in lan inet udp 5080 divert 8668 u1',
        'pass in lan inet6 udp 5061 divert 8668 u1',
        'pass in lan inet6 udp 5080 divert 8668 u1',
      ],
    );
  });

  it('an interface at a time', () => {
    const settings = { ...usual, interfaces: ['lan', 'opt2'] };
    assert.deepEqual(following([{ ...pass, interface: 'phones', priority: 300_000 }], settings).map(words), [
      'pass in lan inet udp 5060 divert 8668 u1',
      inside,
      'pass in opt2 inet udp 5060 divert 8668 u1',
      inside.replace('lan', 'opt2'),
    ]);
  });

  /** pf.conf(5): the first quick rule that matches decides, or else the last that matches. */
  function decides(rules: readonly Rule[], packet: (rule: Rule) => boolean): string | null {
    let last: string | null = null;
    for (const rule of rules) {
      if (rule['disabled'] || !packet(rule)) continue;
      last = String(rule['label']);
      if (rule['quick']) break;
    }
    return last;
  }

  it('the copies decide what the rules decide, whatever is quick and what is not', () => {
    const hosts = ['a', 'b', 'c'];
    let seed = 7;
    const draw = (most: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % most;
    };
    const sets = Array.from({ length: 40 }, () =>
      Array.from({ length: 1 + draw(6) }, (_, index) => ({
        ...pass,
        quick: draw(2) === 0,
        floating: true,
        type: draw(2) === 0 ? 'pass' : 'block',
        from: ['any', ...hosts][draw(4)]!,
        label: `r${index}`,
        priority: [200_000, 300_000, 400_000][draw(3)]!,
      })),
    );
    for (const rules of sets) {
      const ordered = rules.toSorted((one, other) => one.priority - other.priority);
      const copies = following(rules).filter((rule) => rule['direction'] === 'in');
      assert.ok(copies.every((rule) => rule['quick'] === true));
      for (const host of hosts) {
        const matches = (rule: Rule) => rule['from'] === 'any' || rule['from'] === host;
        assert.equal(decides(copies, matches), decides(ordered, matches), JSON.stringify(rules));
      }
    }
  });

  it('what a rule that is not quick marks is marked before others look', () => {
    const rules = [
      { ...pass, quick: false, floating: true, tag: 'phone', label: 'marks', priority: 200_000 },
      { ...pass, tagged: 'phone', label: 'looks' },
    ];
    assert.deepEqual(
      following(rules).map((rule) => `${rule['label']} ${rule['quick']} ${rule['divert-to'] ?? 'plain'}`),
      ['marks false plain', 'looks true 8668', 'marks true 8668', 'pinholed: SIP true 8668'],
    );
  });

  it('hostile text in any field brings nothing into the ruleset that core would write as it is', () => {
    const raw = [
      'label',
      'tag',
      'tagged',
      'os',
      'tos',
      'prio',
      'set-prio',
      'overload',
      'state-policy',
      'max',
      'max-src-conn-rate',
      'max-pkt-rate-number',
      'statetimeout',
      'udp-first',
      'statetype',
      'protocol',
      'direction',
      'ipprotocol',
      'type',
      'interface',
      'to_port',
    ];
    for (const text of hostile) {
      for (const key of raw) {
        for (const copy of following([{ ...pass, [key]: text }])) {
          const value = String(copy[key] ?? '');
          assert.ok(
            value === '' || /^[A-Za-z0-9 _.,:/()-]*$/.test(value),
            `${key}: ${JSON.stringify(value)}`,
          );
        }
      }
    }
  });
});

describe('OPNsense: all SIP of the inside interfaces', { skip: withoutPhp }, () => {
  it('two rules for each interface', () => {
    const rules = php<Rule[]>({ task: 'all', settings: { ...usual, interfaces: ['lan', 'opt2'] } });
    assert.deepEqual(rules.map(words), [
      'pass in lan inet tcp/udp 5060 divert 8668 pinholed: SIP',
      inside,
      'pass in opt2 inet tcp/udp 5060 divert 8668 pinholed: SIP',
      inside.replace('lan', 'opt2'),
    ]);
  });
});
