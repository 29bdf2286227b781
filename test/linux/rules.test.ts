import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { startDaemon } from '../../lab/daemon.ts';
import { externalAddress } from '../../lab/nat.ts';
import { createStage } from '../../lab/stage.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { nftablesRules } from '../../src/commands/rules/nftables.ts';
import { loadConfig } from '../../src/config/load.ts';
import { defaults } from '../../src/config/schema.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

/** Lines that are comments of the printed rules because they go somewhere else. */
function commented(text: string, pattern: RegExp): string[] {
  return text
    .split('\n')
    .flatMap((line) => (pattern.exec(line)?.[1] === undefined ? [] : [line.slice(1).trim()]));
}

function printed(changes: Partial<ReturnType<typeof defaults>> = {}): string {
  return nftablesRules({ ...defaults(), ...changes }, null);
}

describe('pinholed rules --platform linux', { skip: withoutRoot }, () => {
  it('prints a table that nft(8) can read, for one port and for several', () => {
    for (const text of [
      printed(),
      printed({
        fail: 'open',
        sipPorts: [
          [5060, 5061],
          [5080, 5080],
        ],
      }),
    ]) {
      const { stderr } = spawnSync('nft', ['--check', '--file', '-'], { input: text, encoding: 'utf8' });
      // The kernel may lack what the words ask for; that it understood them is what counts.
      assert.doesNotMatch(stderr, /syntax error|unexpected/);
    }
  });

  it('prints a working ruleset: a call passes by it, and by nothing else', async () => {
    const text = printed();
    let topology: Topology | undefined;
    try {
      topology = await createTopology({
        rules(firewall) {
          for (const line of commented(text, /^#\t(ip6?tables)/)) {
            const [program, ...words] = line.split(' ');
            firewall(`${program}-legacy`, ...words);
          }
          const own = commented(text, /^#\t(ct|meta)/);
          assert.equal(own.length, 3);
          const hook = 'type filter hook forward priority filter; policy drop;';
          const chain = ['table inet filter {', 'chain forward {', hook, ...own, '}', '}'].join('\n');
          firewall('nft', chain);
        },
      });
      const daemon = await startDaemon(topology);
      for (const family of [4, 6] as const) {
        const stage = await createStage(topology, { family });
        const call = createDialog(stage);
        await stage.play(
          stage.blocked('server:6000', 'client:4000'),
          ...call.establish(4000, 6000),
          stage.passes('client:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
          ...call.hangUp(),
        );
        assert.deepEqual(stage.kernel(), { elements: [], records: [] });
      }
      await daemon.close();
    } finally {
      await topology?.close();
    }
  });

  /** A firewall with nothing but the printed lines, and the daemon with the settings they were printed for. */
  async function withPrinted(
    changes: string,
    external: boolean,
    act: (topology: Topology, lines: (pattern: RegExp) => string[]) => Promise<void>,
  ): Promise<void> {
    const loaded = loadConfig(changes, 'settings');
    assert.ok('settings' in loaded);
    const text = nftablesRules(loaded.settings, null);
    const lines = (pattern: RegExp) => commented(text, pattern);
    const topology = await createTopology({
      rules(firewall) {
        for (const line of lines(/^#\t(iptables)/)) {
          const [program, ...words] = line.split(' ');
          firewall(`${program}-legacy`, ...words);
        }
        const chains = [
          'type filter hook forward priority filter; policy drop;',
          ...lines(/^#\t(ct|meta|ip saddr)/),
        ];
        firewall('nft', `table inet filter { chain forward { ${chains.join('\n')}\n }\n}`);
        if (!external) return;
        firewall('ip', 'address', 'add', `${externalAddress(4)}/32`, 'dev', 'server');
        const nat = (name: string, hook: string) =>
          `chain ${name} { type nat hook ${hook}; ${lines(
            new RegExp(`^#\t(${hook.replace(' priority', ', priority')}):`),
          )
            .map((line) => line.slice(line.indexOf(':') + 1))
            .join('\n')}\n }`;
        const both = [nat('a', 'prerouting priority dstnat'), nat('b', 'postrouting priority srcnat')];
        firewall('nft', `table inet nat {\n${both.join('\n')}\n}`);
      },
    });
    try {
      const daemon = await startDaemon(topology, { changes });
      await act(topology, lines);
      await daemon.close();
    } finally {
      await topology.close();
    }
  }

  const ONE_INSIDE = 'inside: [10.0.1.0/24]\nmedia-hosts: []';
  const speak = async (topology: Topology, external?: string) => {
    const stage = await createStage(topology, { family: 4, ...(external !== undefined && { external }) });
    const call = createDialog(stage);
    await stage.play(
      ...call.establish(4000, 6000),
      stage.passes('client:4000', 'server:6000'),
      stage.passes('server:6000', 'client:4000'),
      ...call.hangUp(),
    );
    await stage.play(stage.blocked('server:6200', 'client:4000'));
  };

  it('lets out what an inside host sends, by a line or with outbound: true', async () => {
    await withPrinted(ONE_INSIDE, false, async (topology, lines) => {
      assert.equal(lines(/^#\t(ip saddr)/).length, 1);
      await speak(topology);
    });
    await withPrinted(`${ONE_INSIDE}\noutbound: true`, false, async (topology, lines) => {
      assert.equal(lines(/^#\t(ip saddr)/).length, 0);
      await speak(topology);
    });
  });

  it('prints what a PBX behind NAT needs beside the daemon', async () => {
    const nat = `nat: [{external: ${externalAddress(4)}, hosts: [10.0.1.10]}]`;
    await withPrinted(`${ONE_INSIDE}\noutbound: true\n${nat}`, true, (topology) =>
      speak(topology, externalAddress(4)),
    );
  });
});
