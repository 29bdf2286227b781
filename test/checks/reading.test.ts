import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { readIptables } from '../../src/checks/netfilter/iptables.ts';
import { readNft } from '../../src/checks/netfilter/nft.ts';
import { dropsByDefault, passagesOf } from '../../src/checks/netfilter/passages.ts';
import { anything, type Conditions, type Rule, type Verdict } from '../../src/checks/netfilter/rule.ts';
import { enterNamespace, run, withoutRoot } from '../native-bindings/namespace.ts';

const accept: Verdict = { type: 'accept' };
const drop: Verdict = { type: 'drop' };
const rule = (conditions: Partial<Conditions>, verdict: Verdict = accept): Rule => ({
  ...anything([4, 6]),
  ...conditions,
  verdict,
});
const mark = (value: number, mask = 0xffffffff, negated = false) => ({ mark: { mask, value, negated } });

/** A rule in nft(8)'s words, and what packets of which it is true. None: of no packet from outside. */
const nftRules: readonly (readonly [string, ...Rule[]])[] = [
  ['ct state established accept', rule({ states: ['established'] })],
  ['ct state established,related accept', rule({ states: ['established', 'related'] })],
  ['ct state { established, related } accept', rule({ states: ['established', 'related'] })],
  [
    'ct state vmap { established : accept, invalid : drop }',
    rule({ states: ['established'] }),
    rule({ states: ['invalid'] }, drop),
  ],
  ['meta mark & 0x700000 == 0x700000 accept', rule(mark(0x700000, 0x700000))],
  ['meta mark and 0x700000 != 0 accept', rule(mark(0, 0x700000, true))],
  ['meta mark 0x700000 counter accept', rule(mark(0x700000))],
  [
    'meta l4proto { tcp, udp } th dport 5060 accept',
    rule({ protocols: ['tcp', 'udp'], destinationPorts: [[5060, 5060]] }),
  ],
  [
    'udp dport { 5060-5061, 5080 } accept',
    rule({
      protocols: ['udp'],
      destinationPorts: [
        [5060, 5061],
        [5080, 5080],
      ],
    }),
  ],
  [
    'udp dport @ports accept',
    rule({
      protocols: ['udp'],
      destinationPorts: [
        [5060, 5060],
        [5080, 5090],
      ],
    }),
  ],
  [
    'ip protocol tcp tcp sport 5060 accept',
    rule({ families: [4], protocols: ['tcp'], sourcePorts: [[5060, 5060]] }),
  ],
  [
    'meta nfproto ipv6 udp dport 5060 accept',
    rule({ families: [6], protocols: ['udp'], destinationPorts: [[5060, 5060]] }),
  ],
  ['ip6 saddr fd00::/8 accept', rule({ families: [6], narrowed: true })],
  ['iifname "lan" accept', rule({ narrowed: true })],
  ['iifname "lo" accept'],
  ['icmpv6 type nd-neighbor-solicit accept'],
  ['tcp dport != 5060 accept', rule({ narrowed: true })],
  ['ct mark 4 accept', rule({ narrowed: true })],
  [
    'limit rate 10/second udp dport 5060 accept',
    rule({ protocols: ['udp'], destinationPorts: [[5060, 5060]], narrowed: true }),
  ],
  ['log prefix "no" reject with icmpx type admin-prohibited', rule({}, drop)],
  ['udp dport 5060 jump sub', rule({ protocols: ['udp'], destinationPorts: [[5060, 5060]] }, drop)],
  [
    'udp dport vmap { 5060 : jump sub, 5070 : accept }',
    rule({ protocols: ['udp'], destinationPorts: [[5060, 5060]] }, drop),
    rule({ protocols: ['udp'], destinationPorts: [[5070, 5070]] }),
  ],
];

describe('rules as nft(8) lists them', { skip: withoutRoot }, () => {
  before(enterNamespace);

  for (const [text, ...expected] of nftRules) {
    it(text, () => {
      const table = [
        ...[
          'table inet t {',
          'set ports { type inet_service; flags interval; elements = { 5060, 5080-5090 }; }',
        ],
        ...['chain sub { drop', '}', 'chain forward { type filter hook forward priority 10; policy drop;'],
        ...[text, '}', '}'],
      ];
      run('nft', table.join('\n'));
      const [{ chains }] = readNft(run('nft', '-j', 'list', 'ruleset')) as [ReturnType<typeof readNft>[0]];
      run('nft', 'delete', 'table', 'inet', 't');
      const chain = chains.find(({ name }) => name === 'forward')!;
      assert.deepEqual(chain.base, { hook: 'forward', priority: 10, policy: 'drop' });
      assert.equal(chain.table, 'inet t');
      // The kernel keeps the verdicts of a map in an order of its own.
      assert.deepEqual(new Set(passagesOf(chain, chains)), new Set(expected));
    });
  }

  it('what comes after a verdict for all is not met, in a chain that was jumped to either', () => {
    const text = `table ip t {
      chain rest { tcp dport 22 accept; drop; }
      chain forward { type filter hook forward priority 0; udp dport 53 return; jump rest; accept; }
    }`;
    run('nft', text);
    const [{ chains }] = readNft(run('nft', '-j', 'list', 'ruleset')) as [ReturnType<typeof readNft>[0]];
    run('nft', 'delete', 'table', 'ip', 't');
    const chain = chains.find(({ name }) => name === 'forward')!;
    const passages = passagesOf(chain, chains);
    assert.deepEqual(
      passages.map(({ verdict }) => verdict.type),
      ['return', 'accept', 'drop'],
    );
    assert.ok(dropsByDefault(chain, passages));
    assert.ok(!dropsByDefault(chain, passages.slice(0, 2)));
  });

  it("a flow that is given to the kernel's helper, and let pass in the same rule", () => {
    const text = `table inet t {
      ct helper sip-5060 { type "sip" protocol udp; }
      chain c { type filter hook prerouting priority 0; udp dport 5060 ct helper set "sip-5060" accept; }
    }`;
    run('nft', text);
    const [{ chains }] = readNft(run('nft', '-j', 'list', 'ruleset')) as [ReturnType<typeof readNft>[0]];
    run('nft', 'delete', 'table', 'inet', 't');
    assert.deepEqual(
      chains[0]!.rules.map(({ verdict }) => verdict),
      [{ type: 'helper', name: 'sip' }, accept],
    );
  });
});

/** Options of iptables(8), and what its rule is. */
const iptablesRules: readonly (readonly [string, Partial<Conditions>, Verdict])[] = [
  [
    '-p udp -m multiport --ports 5060,5080:5090 -j NFQUEUE --queue-num 3 --queue-bypass',
    {
      protocols: ['udp'],
      eitherPorts: [
        [5060, 5060],
        [5080, 5090],
      ],
    },
    { type: 'queue', first: 3, last: 3, bypass: true },
  ],
  [
    '-p tcp --sport 5060 -j NFQUEUE --queue-balance 0:3 --queue-cpu-fanout',
    { protocols: ['tcp'], sourcePorts: [[5060, 5060]] },
    { type: 'queue', first: 0, last: 3, bypass: false },
  ],
  ['-m mark --mark 0x700000/0x700000 -j ACCEPT', mark(0x700000, 0x700000), accept],
  ['-m mark ! --mark 0x1 -j ACCEPT', { narrowed: true }, accept],
  ['-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT', { states: ['related', 'established'] }, accept],
  [
    '-p udp -m multiport --dports 5060,5061 -m comment --comment "to -j DROP" -j ACCEPT',
    {
      protocols: ['udp'],
      destinationPorts: [
        [5060, 5060],
        [5061, 5061],
      ],
    },
    accept,
  ],
  [
    '! -i lan -p udp --dport 5060:5061 -j DROP',
    { protocols: ['udp'], destinationPorts: [[5060, 5061]], narrowed: true },
    drop,
  ],
  ['-s 10.0.0.0/8 -j RETURN', { narrowed: true }, { type: 'return' }],
  ['-i lo -j ACCEPT', { families: [] }, accept],
  ['-p icmp -j ACCEPT', { protocols: [] }, accept],
  ['-j sub', {}, { type: 'jump', chain: 'sub' }],
];

for (const program of ['iptables-legacy', 'iptables-nft']) {
  describe(`rules as ${program}-save(8) lists them`, { skip: withoutRoot }, () => {
    for (const [text, conditions, verdict] of iptablesRules) {
      it(text, () => {
        const words = [...text.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
        run(program, '-t', 'mangle', '-N', 'sub');
        run(program, '-t', 'mangle', '-A', 'FORWARD', ...words);
        const chains = readIptables(run(`${program}-save`), 'iptables', 4);
        run(program, '-t', 'mangle', '-F');
        run(program, '-t', 'mangle', '-X');
        const forward = chains.find(({ table, name }) => table === 'iptables mangle' && name === 'FORWARD')!;
        assert.deepEqual(forward.base, { hook: 'forward', priority: -150, policy: 'accept' });
        assert.equal(chains.find(({ name }) => name === 'sub')!.base, null);
        assert.deepEqual(forward.rules, [rule({ families: [4], ...conditions }, verdict)]);
      });
    }
  });
}
