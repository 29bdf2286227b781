/**
 *   client 192.0.2.10 ──── firewall .1 ──── server 198.51.100.20
 *                              │
 *                    stranger 203.0.113.66
 *
 * Four network namespaces. The firewall drops whatever is not SIP between client and server, answers, or marked as
 * matching a pinhole.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { execute, link, removeNamespace, within } from '../namespaces.ts';

export const ADDRESSES = {
  client: '192.0.2.10',
  server: '198.51.100.20',
  stranger: '203.0.113.66',
} as const;
export type Host = keyof typeof ADDRESSES;
export const HOSTS = Object.keys(ADDRESSES) as Host[];

/** One sipp for each kind of call, and its own port for each. */
export const SIP_PORTS = { first: 5060, last: 5069 } as const;
const PORTS = `${SIP_PORTS.first}-${SIP_PORTS.last}`;

/** What an administrator has: SIP to the daemon (queue 0), marked packets and answers through, the rest dropped. */
const RULES = `
table inet filter {
  counter sip {}
  counter media {}
  counter dropped {}
  chain forward {
    type filter hook forward priority filter; policy drop;
    meta mark & 0x700000 == 0x700000 counter name media accept
    ct state established meta l4proto udp th sport != ${PORTS} th dport != ${PORTS} counter name media accept
    iifname "stranger" counter name dropped drop
    udp dport ${PORTS} counter name sip accept
    udp sport ${PORTS} counter name sip accept
  }
}`;

const QUEUE = `
table inet sip {
  chain forward {
    type filter hook forward priority mangle;
    iifname != "stranger" udp dport ${PORTS} queue num 0
    iifname != "stranger" udp sport ${PORTS} queue num 0
  }
}`;

/** sipp plays media and nobody but tcpdump listens to it: without this, hosts would answer with ICMP errors. */
const LISTENER = `
table inet media {
  chain input {
    type filter hook input priority filter;
    udp dport 20000-39999 drop
  }
}`;

export interface Network {
  /** Runs a program to its end on a host. Throws what it complained of. */
  run(host: Host | 'firewall', program: string, ...args: readonly string[]): string;
  /** Starts a program, in a process group of its own: Ctrl-C is for us alone. */
  start(
    host: Host | 'firewall',
    program: string,
    args: readonly string[],
    options?: SpawnOptions,
  ): ChildProcess;
  /** How SIP gets to the daemon on this kernel. */
  readonly queue: 'nftables' | 'iptables';
  /** Ends everything in the namespaces and removes them. Safe to call twice, and from an exit handler. */
  remove(): void;
}

const PREFIX = 'pinholed-demo';

/** Makes the namespaces. Those of a demo that was killed are removed first. */
export function createNetwork(): Network {
  removeLeftovers();
  const nameOf = (host: Host | 'firewall') => `${PREFIX}-${process.pid}-${host}`;
  const all = [...HOSTS, 'firewall'] as const;
  const run: Network['run'] = (host, ...words) => execute(...within(nameOf(host), ...words));
  const remove = () => {
    for (const host of all) removeNamespace(nameOf(host));
  };
  process.once('exit', remove);
  for (const host of all) execute('ip', 'netns', 'add', nameOf(host));
  run('firewall', 'ip', 'link', 'set', 'lo', 'up');
  for (const host of HOSTS) connect(host, nameOf(host), nameOf('firewall'));
  for (const host of HOSTS) run(host, 'nft', LISTENER);
  run('firewall', 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  run('firewall', 'nft', RULES);
  return {
    run,
    start: (host, program, args, options = {}) =>
      spawn('ip', ['netns', 'exec', nameOf(host), program, ...args], { ...options, detached: true }),
    queue: addQueue(run),
    remove,
  };
}

/** nftables' own queue statement, or iptables' NFQUEUE where the kernel was built without it. */
function addQueue(run: Network['run']): Network['queue'] {
  try {
    run('firewall', 'nft', QUEUE);
    return 'nftables';
  } catch {
    for (const side of ['--dport', '--sport']) {
      run(
        ...(['firewall', 'iptables-legacy', '-t', 'mangle', '-A', 'FORWARD', '!', '-i', 'stranger'] as const),
        ...['-p', 'udp', side, PORTS.replace('-', ':'), '-j', 'NFQUEUE', '--queue-num', '0'],
      );
    }
    return 'iptables';
  }
}

function connect(host: Host, name: string, firewall: string): void {
  const address = ADDRESSES[host];
  link({
    ...{ host: name, firewall, device: host, number: HOSTS.indexOf(host) + 1 },
    nets: [{ gateway: address.replace(/\d+$/, '1'), addresses: [address], prefixLength: 24 }],
  });
}

function removeLeftovers(): void {
  for (const line of execute('ip', 'netns', 'list').split('\n')) {
    const [name = ''] = line.split(' ');
    const match = new RegExp(`^${PREFIX}-([0-9]+)-[a-z]+$`).exec(name);
    if (match !== null && !existsSync(`/proc/${match[1]}`)) removeNamespace(name);
  }
}
