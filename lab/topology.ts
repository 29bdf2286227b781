/**
 *   client 10.0.1.10 ───┐                       ┌─── server 10.0.2.10
 *          fd00:0:0:1::10 │                       │      fd00:0:0:2::10, and .11 for a relay
 *                       ├──── firewall .1 ──────┤
 *  gateway 10.0.3.10 ───┘   policy drop         └─── stranger 10.0.4.10
 *          fd00:0:0:3::10    pinholed                     fd00:0:0:4::10
 *
 * Five network namespaces on one machine. The firewall forwards SIP (port 5060, UDP and TCP), what bears the mark
 * of a pinhole, answers to both, and nothing else. Neighbours are known, so that no packet waits for an ARP.
 */
import type { ChildProcess } from 'node:child_process';
import type { Address } from '../src/address/address.ts';
import { type Actor, startActor } from './actors.ts';
import { execute, link, ownNamespaces, within } from './namespaces.ts';

export const HOSTS = ['client', 'server', 'gateway', 'stranger'] as const;
export type HostName = (typeof HOSTS)[number];

/** Addresses of a host; the firewall has .1 and ::1 on each link. */
export function addressOf(host: HostName, family: 4 | 6 = 4): Address {
  const net = HOSTS.indexOf(host) + 1;
  return family === 4 ? `10.0.${net}.10` : `fd00:0:0:${net}::10`;
}

/** The server's second address, from which a media relay on it sends. */
export function relayAddress(family: 4 | 6 = 4): Address {
  return family === 4 ? '10.0.2.11' : 'fd00:0:0:2::11';
}

export interface Topology {
  readonly actors: Readonly<Record<HostName, Actor>>;
  /** Runs a program on the firewall and returns what it printed. Throws what it complained of. */
  firewall(program: string, ...args: readonly string[]): string;
  /** Starts a program on the firewall. */
  start(program: string, ...args: readonly string[]): ChildProcess;
  /** The name of a host's namespace, for ip-netns(8). */
  namespaceOf(host: HostName | 'firewall'): string;
  /** Starts any program there, with pipes for standard input, output and error. */
  spawn(host: HostName | 'firewall', program: string, ...args: readonly string[]): ChildProcess;
  /** Ends what was started, and removes the namespaces. */
  close(): Promise<void>;
}

export interface TopologyOptions {
  /** The rules by which SIP gets to the daemon, and what else is accepted; `queueRules` is the usual. */
  readonly rules?: (run: (program: string, ...args: readonly string[]) => string) => void;
}

let count = 0;

/** Makes the namespaces and an actor in each. They go when `close` is called, and when the process ends. */
export async function createTopology({ rules = queueRules }: TopologyOptions = {}): Promise<Topology> {
  const prefix = `pinholed-${process.pid}-${++count}`;
  const { nameOf: namespaceOf, start, keep, close } = ownNamespaces(prefix, [...HOSTS, 'firewall'] as const);
  const firewall = (program: string, ...args: readonly string[]) =>
    execute(...within(namespaceOf('firewall'), program, ...args));
  try {
    connect(namespaceOf);
    rules(firewall);
    const actors = await Promise.all(HOSTS.map((host) => startActor(namespaceOf(host), keep)));
    return {
      actors: Object.fromEntries(HOSTS.map((host, index) => [host, actors[index]!])) as Record<
        HostName,
        Actor
      >,
      firewall,
      start: (program, ...args) => start('firewall', program, ...args),
      namespaceOf,
      spawn: start,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function connect(namespaceOf: (host: HostName | 'firewall') => string): void {
  const firewall = namespaceOf('firewall');
  execute('ip', 'netns', 'add', firewall);
  for (const [index, host] of HOSTS.entries()) {
    const number = index + 1;
    execute('ip', 'netns', 'add', namespaceOf(host));
    const addresses = (family: 4 | 6) => [
      addressOf(host, family),
      ...(host === 'server' ? [relayAddress(family)] : []),
    ];
    link({
      ...{ host: namespaceOf(host), firewall, device: host, number },
      nets: [
        { gateway: `10.0.${number}.1`, addresses: addresses(4), prefixLength: 24 },
        { gateway: `fd00:0:0:${number}::1`, addresses: addresses(6), prefixLength: 64 },
      ],
    });
  }
  const inFirewall = (...args: string[]) => execute(...within(firewall, ...args));
  inFirewall('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  inFirewall('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0');
}

/** The administrator's ruleset: default drop, SIP to the daemon and on, marked packets, answers. */
export const ADMINISTRATOR = `
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established accept
    meta mark & 0x700000 == 0x700000 accept
    meta l4proto { udp, tcp } th dport 5060 accept
    meta l4proto { udp, tcp } th sport 5060 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}`;

export function queueRules(firewall: (program: string, ...args: readonly string[]) => string): void {
  for (const iptables of ['iptables-legacy', 'ip6tables-legacy']) {
    for (const protocol of ['udp', 'tcp']) {
      for (const side of ['--dport', '--sport']) {
        firewall(
          ...[iptables, '-t', 'mangle', '-A', 'FORWARD', '-p', protocol, side, '5060'],
          ...['-j', 'NFQUEUE', '--queue-num', '0'],
        );
      }
    }
  }
  firewall('nft', ADMINISTRATOR);
}
