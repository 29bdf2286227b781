import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { startDaemon } from '../../lab/daemon.ts';
import { createStage } from '../../lab/stage.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { nftablesRules } from '../../src/commands/rules/nftables.ts';
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
});
