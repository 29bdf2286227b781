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
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Address } from '../../src/address/address.ts';
import type { Arrival, Report, Step } from './steps.ts';

export const HOSTS = ['client', 'server', 'gateway', 'stranger'] as const;
const families = [4, 6] as const;
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

export interface Actor {
  /** Does the steps and returns what arrived. Rejects when one of them could not be done. */
  run(steps: readonly Step[]): Promise<readonly Arrival[]>;
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
/** What ends a test that takes too long, or that somebody interrupts. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Makes the namespaces and an actor in each. They go when `close` is called, and when the process ends. */
export async function createTopology({ rules = queueRules }: TopologyOptions = {}): Promise<Topology> {
  const prefix = `pinholed-${process.pid}-${++count}`;
  const children: ChildProcess[] = [];
  const namespaceOf = (host: HostName | 'firewall') => `${prefix}-${host}`;
  const remove = () => {
    for (const child of children) child.kill('SIGKILL');
    for (const host of [...HOSTS, 'firewall'] as const)
      spawnSync('ip', ['netns', 'delete', namespaceOf(host)]);
  };
  const interrupted = () => process.exit(1);
  process.once('exit', remove);
  for (const signal of SIGNALS) process.once(signal, interrupted);
  const firewall = (program: string, ...args: readonly string[]) =>
    run('ip', 'netns', 'exec', namespaceOf('firewall'), program, ...args);
  const launch = (host: HostName | 'firewall', program: string, ...args: readonly string[]) => {
    const child = spawn('ip', ['netns', 'exec', namespaceOf(host), program, ...args], {
      stdio: ['pipe', 'pipe', host === 'firewall' ? 'pipe' : 'inherit'],
    });
    children.push(child);
    return child;
  };
  try {
    connect(namespaceOf);
    rules(firewall);
    const actors = await Promise.all(
      HOSTS.map((host) => createActor(launch(host, ...typescript('actor.ts')))),
    );
    return {
      actors: Object.fromEntries(HOSTS.map((host, index) => [host, actors[index]!])) as Record<
        HostName,
        Actor
      >,
      firewall,
      start: (program, ...args) => launch('firewall', program, ...args),
      namespaceOf,
      spawn(host, ...words) {
        const child = spawn('ip', ['netns', 'exec', namespaceOf(host), ...words]);
        children.push(child);
        return child;
      },
      async close() {
        process.off('exit', remove);
        for (const signal of SIGNALS) process.off(signal, interrupted);
        remove();
        await Promise.all(children.map(ended));
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** The command that runs a module, named by its path from this directory. */
export function typescript(module: string): [string, ...string[]] {
  return [process.execPath, '--import', 'tsx', fileURLToPath(new URL(module, import.meta.url))];
}

function connect(namespaceOf: (host: HostName | 'firewall') => string): void {
  const firewall = namespaceOf('firewall');
  run('ip', 'netns', 'add', firewall);
  const inFirewall = (...args: string[]) => run('ip', 'netns', 'exec', firewall, ...args);
  for (const [index, host] of HOSTS.entries()) {
    const name = namespaceOf(host);
    const inHost = (...args: string[]) => run('ip', 'netns', 'exec', name, ...args);
    const macs = { host: `02:00:00:00:00:${index + 1}0`, firewall: `02:00:00:00:00:${index + 1}1` };
    run('ip', 'netns', 'add', name);
    inHost('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.all.accept_dad=0');
    inFirewall('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.all.accept_dad=0');
    run(
      ...['ip', '-n', name, 'link', 'add', 'eth0', 'address', macs.host, 'type', 'veth', 'peer'],
      ...['name', host, 'address', macs.firewall, 'netns', firewall],
    );
    inHost('ip', 'link', 'set', 'lo', 'up');
    inHost('ip', 'link', 'set', 'eth0', 'up');
    inFirewall('ip', 'link', 'set', host, 'up');
    for (const family of families) {
      const bits = family === 4 ? 24 : 64;
      const gateway = family === 4 ? `10.0.${index + 1}.1` : `fd00:0:0:${index + 1}::1`;
      inFirewall('ip', 'address', 'add', `${gateway}/${bits}`, 'dev', host);
      for (const own of [addressOf(host, family), ...(host === 'server' ? [relayAddress(family)] : [])]) {
        inHost('ip', 'address', 'add', `${own}/${bits}`, 'dev', 'eth0');
        inFirewall('ip', 'neighbour', 'replace', own, 'lladdr', macs.host, 'dev', host);
      }
      inHost('ip', 'neighbour', 'replace', gateway, 'lladdr', macs.firewall, 'dev', 'eth0');
      inHost('ip', `-${family}`, 'route', 'add', 'default', 'via', gateway);
    }
  }
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

async function createActor(child: ChildProcess): Promise<Actor> {
  const waiting = new Map<number, (report: Report) => void>();
  let requests = 0;
  let ready: () => void = () => {};
  const isReady = new Promise<void>((resolve, reject) => {
    ready = resolve;
    child.once('exit', (code) => reject(new Error(`an actor ended with status ${code}`)));
  });
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const message = JSON.parse(line) as Report | { readonly ready: true };
    if ('ready' in message) {
      ready();
      return;
    }
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  await isReady;
  return {
    run: (steps) =>
      new Promise((resolve, reject) => {
        const id = ++requests;
        waiting.set(id, ({ arrivals, failure }) => {
          if (failure === null) resolve(arrivals);
          else reject(new Error(failure));
        });
        child.stdin!.write(`${JSON.stringify({ id, steps })}\n`);
      }),
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}
