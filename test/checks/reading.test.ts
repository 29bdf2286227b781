import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { parseNetwork } from '../../src/address/network.ts';
import { readIptables } from '../../src/checks/netfilter/iptables.ts';
import { readNft } from '../../src/checks/netfilter/nft.ts';
import { type Chain, outcomesOf } from '../../src/checks/netfilter/rule.ts';
import { type Probe, probeOf } from '../../src/checks/probe.ts';
import { enterNamespace, run, withoutRoot } from '../native-bindings/namespace.ts';

/** What may become of a packet: `accept` for some of those that it stands for is `accept?`. */
function asked(chain: Chain, chains: readonly Chain[], probe: Partial<Probe>): string {
  return outcomesOf(chain, chains, probeOf({ family: 4, ...probe }))
    .map(({ verdict, sure }) => {
      const words = Object.entries(verdict).flatMap(([key, value]) =>
        key === 'type' || value === null ? [] : [String((value as { text?: string }).text ?? value)],
      );
      return [verdict.type + (sure ? '' : '?'), ...words].join(' ');
    })
    .join(', ');
}

const net = (text: string) => [parseNetwork(text)!];
const sip = { destinationPort: 5060 };
const tcp = { protocol: 'tcp' } as const;
const established = { state: 'established' } as const;

/** A rule in nft(8)'s words in a chain that drops, and what becomes of packets. */
const nftRules: readonly (readonly [string, ...(readonly [Partial<Probe>, string])[]])[] = [
  ['ct state established accept', [established, 'accept'], [{}, 'drop']],
  ['ct state { established, related } accept', [established, 'accept'], [{}, 'drop']],
  ['ct state != new accept', [established, 'accept'], [{}, 'drop']],
  ['ct state vmap { established : accept, new : drop }', [established, 'accept'], [{}, 'drop']],
  ['ct status dnat accept', [{}, 'accept?, drop']],
  ['meta mark & 0x700000 == 0x700000 accept', [{ mark: 0x700000 }, 'accept'], [{ mark: 0x100000 }, 'drop']],
  ['meta mark and 0x700000 != 0 accept', [{ mark: 0x100000 }, 'accept'], [{}, 'drop']],
  ['meta mark 0x700000 counter accept', [{ mark: 0x700000 }, 'accept'], [{ mark: 0x700001 }, 'drop']],
  [
    'meta l4proto { tcp, udp } th dport 5060 accept',
    [sip, 'accept'],
    [{ ...sip, ...tcp }, 'accept'],
    [{}, 'drop'],
  ],
  [
    'udp dport { 5060-5061, 5080 } accept',
    [{ destinationPort: 5061 }, 'accept'],
    [{ destinationPort: 5062 }, 'drop'],
  ],
  ['udp dport @ports accept', [{ destinationPort: 5085 }, 'accept'], [{ destinationPort: 5061 }, 'drop']],
  ['udp dport @nobody accept', [sip, 'accept?, drop']],
  [
    'ip protocol tcp tcp sport 5060 accept',
    [{ ...tcp, sourcePort: 5060 }, 'accept'],
    [{ sourcePort: 5060 }, 'drop'],
  ],
  ['meta nfproto ipv6 udp dport 5060 accept', [{ ...sip, family: 6 }, 'accept'], [sip, 'drop']],
  [
    'ip saddr 10.0.0.0/8 accept',
    [{ from: net('10.1.0.0/16') }, 'accept'],
    [{ from: net('192.0.2.1') }, 'drop'],
    [{}, 'accept?, drop'],
    [{ from: net('0.0.0.0/1') }, 'accept?, drop'],
    [{ family: 6 }, 'drop'],
  ],
  [
    'ip daddr { 192.0.2.1, 198.51.100.0/24 } accept',
    [{ to: net('198.51.100.7') }, 'accept'],
    [{ to: net('192.0.2.2') }, 'drop'],
  ],
  [
    'ip saddr != 10.0.0.0/8 drop; accept',
    [{ from: net('192.0.2.1') }, 'drop'],
    [{ from: net('10.0.0.1') }, 'accept'],
  ],
  [
    'ip saddr { 10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24, 192.0.2.7-192.0.2.9 } accept',
    [{ from: net('10.0.2.0/23') }, 'accept'],
    [{ from: [...net('10.0.3.0/24'), ...net('192.0.2.8/31')] }, 'accept'],
    [{ from: net('10.0.0.0/23') }, 'accept?, drop'],
    [{ from: net('192.0.2.10') }, 'drop'],
    [{ inside: [...net('10.0.0.0/8'), ...net('192.0.2.0/24')] }, 'drop'],
    [{ inside: net('10.0.0.0/8') }, 'accept?, drop'],
  ],
  [
    'ip6 saddr fd00::/8 accept',
    [{ family: 6, from: net('fd00::1') }, 'accept'],
    [{ from: net('10.0.0.1') }, 'drop'],
  ],
  [
    'iifname "lan" accept',
    [{}, 'accept?, drop'],
    [{ comesBy: 'lan' }, 'accept'],
    [{ comesBy: 'wan' }, 'drop'],
  ],
  ['oifname "wan*" accept', [{ goesBy: 'wan2' }, 'accept'], [{ goesBy: 'lan' }, 'drop']],
  ['iifname "lo" accept', [{}, 'drop']],
  ['fib saddr . iif oif exists accept', [{}, 'accept'], [{ forged: true }, 'drop']],
  ['icmpv6 type nd-neighbor-solicit accept', [{ family: 6 }, 'drop']],
  ['tcp dport != 5060 accept', [{ ...tcp }, 'accept'], [{ ...tcp, ...sip }, 'drop'], [{}, 'drop']],
  ['ct mark 4 accept', [{}, 'accept?, drop']],
  ['limit rate 10/second udp dport 5060 accept', [sip, 'accept?, drop'], [{}, 'drop']],
  ['log prefix "no" reject with icmpx type admin-prohibited', [{}, 'drop']],
  ['udp dport 5060 jump sub; accept', [sip, 'drop'], [{}, 'accept']],
  ['udp dport 5060 jump back; accept', [sip, 'accept'], [{}, 'accept']],
  ['iifname "lan" jump sub; accept', [{}, 'drop?, accept']],
  ['udp dport 5060 goto some; accept', [{ ...sip, ...established }, 'accept'], [sip, 'drop'], [{}, 'accept']],
  ['udp dport vmap { 5060 : jump sub, 5070 : accept }', [sip, 'drop'], [{ destinationPort: 5070 }, 'accept']],
  ['udp dport 53 return; accept', [{ destinationPort: 53 }, 'drop'], [{}, 'accept']],
];

describe('rules as nft(8) lists them', { skip: withoutRoot }, () => {
  before(enterNamespace);

  function load(...lines: readonly string[]): readonly Chain[] {
    run('nft', ['table inet t {', ...lines, '}'].join('\n'));
    const [table] = readNft(run('nft', '-j', 'list', 'ruleset'));
    run('nft', 'delete', 'table', 'inet', 't');
    return table!.chains;
  }

  for (const [text, ...expected] of nftRules) {
    it(text, () => {
      const chains = load(
        'set ports { type inet_service; flags interval; elements = { 5060, 5080-5090 }; }',
        'set nobody { type inet_service; flags dynamic,timeout; }',
        ...[
          'chain sub { drop',
          '}',
          'chain back { return',
          '}',
          'chain some { ct state established accept',
          '}',
        ],
        'chain forward { type filter hook forward priority 10; policy drop;',
        ...[text, '}'],
      );
      const chain = chains.find(({ name }) => name === 'forward')!;
      assert.deepEqual(chain.base, { hook: 'forward', priority: 10, policy: 'drop', translates: false });
      assert.equal(chain.table, 'inet t');
      for (const [probe, outcome] of expected) {
        assert.equal(asked(chain, chains, probe), outcome, JSON.stringify(probe));
      }
    });
  }

  it('translations: to where, and whether the port stays', () => {
    const chains = load(
      'chain in { type nat hook prerouting priority dstnat;',
      'udp dport 5060 dnat ip to 10.0.1.10',
      'udp dport 5080 dnat ip to 10.0.1.10:5060',
      '}',
      'chain out { type nat hook postrouting priority srcnat;',
      'ip saddr 10.0.1.10 snat ip to 203.0.113.2',
      'oifname "wan" masquerade random',
      '}',
    );
    const [inward, outward] = ['in', 'out'].map((one) => chains.find(({ name }) => name === one)!);
    assert.equal(inward!.base!.translates, true);
    assert.equal(asked(inward!, chains, sip), 'dnat 10.0.1.10/32 kept');
    assert.equal(asked(inward!, chains, { destinationPort: 5080 }), 'dnat 10.0.1.10/32 changed');
    assert.equal(asked(outward!, chains, { from: net('10.0.1.10') }), 'snat 203.0.113.2/32 kept');
    assert.equal(asked(outward!, chains, { from: net('10.0.1.11') }), 'snat? changed, accept');
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
      [{ type: 'helper', name: 'sip' }, { type: 'accept' }],
    );
  });
});

/** Options of iptables(8) in a chain that accepts, and what becomes of packets. */
const iptablesRules: readonly (readonly [string, ...(readonly [Partial<Probe>, string])[]])[] = [
  [
    '-p udp -m multiport --ports 5060,5080:5090 -j NFQUEUE --queue-num 3 --queue-bypass',
    [sip, 'queue 3 3 true'],
    [{ sourcePort: 5085 }, 'queue 3 3 true'],
    [{ ...sip, ...tcp }, 'accept'],
  ],
  [
    '-p tcp --sport 5060 -j NFQUEUE --queue-balance 0:3 --queue-cpu-fanout',
    [{ ...tcp, sourcePort: 5060 }, 'queue 0 3 false'],
    [{ ...tcp, ...sip }, 'accept'],
  ],
  ['-m mark --mark 0x700000/0x700000 -j DROP', [{ mark: 0x700000 }, 'drop'], [{ mark: 0x100000 }, 'accept']],
  ['-m mark ! --mark 0x1 -j DROP', [{ mark: 1 }, 'accept'], [{}, 'drop']],
  ['-m conntrack --ctstate RELATED,ESTABLISHED -j DROP', [established, 'drop'], [{}, 'accept']],
  [
    '-p udp -m multiport --dports 5060,5061 -m comment --comment "to -j ACCEPT" -j DROP',
    [{ destinationPort: 5061 }, 'drop'],
    [{}, 'accept'],
  ],
  ['! -i lan -p udp --dport 5060:5061 -j DROP', [sip, 'drop?, accept'], [{ ...sip, comesBy: 'wan' }, 'drop']],
  ['-s 10.0.0.0/8 -j DROP', [{ from: net('10.0.0.1') }, 'drop'], [{ from: net('192.0.2.1') }, 'accept']],
  ['-i lo -j DROP', [{}, 'accept']],
  ['-p icmp -j DROP', [{}, 'accept']],
  ['-m limit --limit 3/hour -j DROP', [{}, 'drop?, accept']],
  ['-m rpfilter --invert -j DROP', [{ forged: true }, 'drop'], [{}, 'accept']],
  ['-j sub', [{}, 'drop']],
];

for (const program of ['iptables-legacy', 'iptables-nft']) {
  describe(`rules as ${program}-save(8) lists them`, { skip: withoutRoot }, () => {
    function load(table: string, chain: string, text: string): readonly Chain[] {
      const words = [...text.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
      run(program, '-t', table, '-N', 'sub');
      run(program, '-t', table, '-A', 'sub', '-j', table === 'nat' ? 'RETURN' : 'DROP');
      run(program, '-t', table, '-A', chain, ...words);
      const chains = readIptables(run(`${program}-save`), 'iptables', 4);
      run(program, '-t', table, '-F');
      run(program, '-t', table, '-X');
      return chains;
    }
    const find = (chains: readonly Chain[], table: string, chain: string) =>
      chains.find((one) => one.table === `iptables ${table}` && one.name === chain)!;

    for (const [text, ...expected] of iptablesRules) {
      it(text, () => {
        const chains = load('mangle', text.includes('rpfilter') ? 'PREROUTING' : 'FORWARD', text);
        const hook = text.includes('rpfilter') ? 'prerouting' : 'forward';
        const forward = find(chains, 'mangle', hook.toUpperCase());
        const base = { hook, priority: -150, policy: 'accept', translates: false };
        assert.deepEqual(forward.base, base);
        assert.equal(find(chains, 'mangle', 'sub').base, null);
        for (const [probe, outcome] of expected) {
          assert.equal(asked(forward, chains, probe), outcome, JSON.stringify(probe));
        }
      });
    }

    const translations = [
      ['PREROUTING', '-p udp --dport 5060 -j DNAT --to-destination 10.0.1.10', 'dnat 10.0.1.10/32 kept'],
      [
        'PREROUTING',
        '-p udp --dport 5060 -j DNAT --to-destination 10.0.1.10:5080',
        'dnat 10.0.1.10/32 changed',
      ],
      ['POSTROUTING', '-j SNAT --to-source 203.0.113.2', 'snat 203.0.113.2/32 kept'],
      ['POSTROUTING', '-j MASQUERADE --random', 'snat changed'],
    ] as const;
    for (const [hook, text, outcome] of translations) {
      it(text, () => {
        const chains = load('nat', hook, text);
        const chain = find(chains, 'nat', hook);
        assert.equal(chain.base!.translates, true);
        assert.equal(asked(chain, chains, sip), outcome);
      });
    }
  });
}
