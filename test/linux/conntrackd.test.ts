import assert from 'node:assert/strict';
import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../../lab/kernel.ts';
import { ended } from '../../lab/namespaces.ts';
import { createPair, type Number01, type Pair } from '../../lab/pair.ts';
import { accept, connect, expect, listen, write } from '../../lab/steps.ts';
import { checkConntrackd } from '../../src/checks/states.ts';
import { defaults } from '../../src/config/schema.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

const withoutIt = spawnSync('conntrackd', ['-v']).error === undefined ? false : 'needs conntrackd';

const CLIENT = { address: '10.0.1.10', port: 20_001 };
const SERVER = { address: '10.0.2.10', port: 5061 };

/** Nothing passes but connections from inside, from their SYN on, with a source port that NAT chooses. */
const STRICT = `
table inet strict {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established accept
    iifname "inside" ct state new tcp flags & (syn | ack) == syn accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "outside" ip saddr 10.0.1.10 snat ip to 10.0.2.200 random
  }
}`;

/** As docs/cluster.md has it, but for where its files are. */
function configuration(directory: string, number: Number01): string {
  const [own, other] = number === 0 ? ['10.9.0.2', '10.9.0.3'] : ['10.9.0.3', '10.9.0.2'];
  return `
Sync {
  Mode FTFW { DisableExternalCache On }
  UDP {
    IPv4_address ${own}
    IPv4_Destination_Address ${other}
    Port 3780
    Interface sync
  }
}
General {
  LockFile ${directory}/lock${number}
  UNIX { Path ${directory}/socket${number} }
  Filter From Userspace {
    Protocol Accept { TCP }
    Address Ignore { IPv4_address 127.0.0.1 IPv4_address 10.9.0.2 IPv4_address 10.9.0.3 }
  }
}
`;
}

describe('a TCP connection whose firewall changes', { skip: withoutRoot || withoutIt }, () => {
  let pair: Pair;
  let directory: string;
  const running: ChildProcess[] = [];

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pinholed-conntrackd-'));
    pair = await createPair({
      rules(firewall) {
        firewall('nft', 'delete', 'table', 'inet', 'filter');
        firewall('nft', STRICT);
        firewall('sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_loose=0');
      },
    });
    pair.move(0);
  });

  after(async () => {
    for (const child of running) {
      child.kill();
      await ended(child);
    }
    await pair?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const states = (number: Number01) =>
    pair.firewalls[number].firewall('conntrack', '-L', '-p', 'tcp', '--dport', '5061');

  function told(number: Number01) {
    const file = join(directory, `conf${number}`);
    const run = (program: string, args: readonly string[]) => {
      try {
        const stdout = pair.firewalls[number].firewall(program, '-C', file, ...args);
        return { status: 0, stdout, stderr: '' };
      } catch {
        return { status: 1, stdout: '', stderr: '' };
      }
    };
    const peersStore = { ...defaults().peersStore, url: 'redis://10.9.0.1' };
    const read = () => ({ ok: true, text: '0\n' }) as const;
    return checkConntrackd(read, run, { peersStore }).map(({ level, text }) => `${level} ${text}`);
  }

  it('goes on at the other where conntrackd runs, though nothing there would take it up in the middle', async () => {
    for (const number of [0, 1] as const) {
      const file = join(directory, `conf${number}`);
      writeFileSync(file, configuration(directory, number));
      assert.match(told(number).join(), /conntrackd does not run.*TCP connections break/);
      running.push(pair.firewalls[number].start('conntrackd', '-C', file));
      await eventually(
        () => told(number).join(),
        (text) => text.includes('conntrackd runs'),
      );
    }
    await pair.actors.server.run([listen('listener', SERVER)]);
    await Promise.all([
      pair.actors.client.run([
        connect('call', CLIENT, SERVER),
        write('call', 'before'),
        expect('call', 'yes'),
      ]),
      pair.actors.server.run([accept('call', 'listener'), expect('call', 'before'), write('call', 'yes')]),
    ]);
    const here = /sport=20001 .* dport=([0-9]+) \[ASSURED\]/.exec(states(0))?.[1];
    await eventually(
      () => states(1),
      (text) => here !== undefined && text.includes(`dport=${here} [ASSURED]`),
    );
    pair.firewalls[0].lose();
    pair.move(1);
    await Promise.all([
      pair.actors.client.run([write('call', 'after'), expect('call', 'still')]),
      pair.actors.server.run([expect('call', 'after'), write('call', 'still')]),
    ]);
  });
});
