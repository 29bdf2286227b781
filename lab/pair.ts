/**
 *   client 10.0.1.10 ──┐                     ┌── server 10.0.2.10
 *                    inside               outside          switches
 *                      ├── firewall 1: .2 ──┤
 *                      ├── firewall 2: .3 ──┤   sync 10.9.0.0/24: the firewalls .2 and .3, and the store .1
 *                      │                    │
 *                     .1                   .1, .200        addresses that are on one of the two
 *
 * Two whole firewalls on one machine, each in a network namespace with its own packet filter and states. The addresses that
 * hosts know move as VRRP moves them: taken off one firewall, put on the other, told to the hosts by gratuitous ARP.
 */
import type { ChildProcess } from 'node:child_process';
import { type Actor, startActor } from './actors.ts';
import { execute, ownNamespaces, removeNamespace, within } from './namespaces.ts';
import { queueRules } from './topology.ts';

/** One of the two; `firewall` and `start` as in `Topology`. */
export interface PairFirewall {
  firewall(program: string, ...args: readonly string[]): string;
  start(program: string, ...args: readonly string[]): ChildProcess;
  /** Loses power: its processes, its rules, its states and its links are gone, without a word to anybody. */
  lose(): void;
  /** Has power again, with its rules and its own addresses. */
  raise(): void;
  /** Plugs it into the network of the store, or pulls that plug. */
  plug(isIn: boolean): void;
}

export type Number01 = 0 | 1;

export interface Pair {
  readonly actors: Readonly<Record<'client' | 'server', Actor>>;
  readonly firewalls: readonly [PairFirewall, PairFirewall];
  /** Starts a program on the host of the store. */
  startAtStore(program: string, ...args: readonly string[]): ChildProcess;
  /** The shared addresses are this one's from now on. */
  move(to: Number01): void;
  /**
   * The hosts send by two ways at once: through `signalling` what goes to or comes from port 5060, and through `media` all else;
   * each a firewall for what the client sends and one for what the server sends.
   */
  split(paths: {
    readonly signalling: readonly [Number01, Number01];
    readonly media: readonly [Number01, Number01];
  }): void;
  close(): Promise<void>;
}

/** Where the firewalls reach the store. */
export const STORE_ADDRESS = '10.9.0.1';
/** What the client may be seen as from outside. */
export const SHARED_EXTERNAL = '10.0.2.200';

const NETS = { inside: '10.0.1', outside: '10.0.2', sync: '10.9.0' } as const;
type NetName = keyof typeof NETS;
const NET_NAMES = Object.keys(NETS) as NetName[];
/** What moves. */
const SHARED: readonly (readonly [device: NetName, address: string])[] = [
  ['inside', '10.0.1.1'],
  ['outside', '10.0.2.1'],
  ['outside', SHARED_EXTERNAL],
];
/** Lengths of these prefixes: an address that only stands for a host is one of its own. */
const prefixOf = (address: string) => (address === SHARED_EXTERNAL ? 32 : 24);
/** Number of the routing table of signalling on a host. */
const SIGNALLING_TABLE = '100';

export interface PairOptions {
  /** More rules of both firewalls, beside `queueRules`. */
  readonly rules?: (run: (program: string, ...args: readonly string[]) => string) => void;
}

const FIREWALLS = ['fw1', 'fw2'] as const;
const NAMES = ['wires', 'client', 'server', 'store', ...FIREWALLS] as const;
let count = 0;

/** Makes the namespaces and the two actors. They go when `close` is called, and when the process ends. */
export async function createPair({ rules = () => {} }: PairOptions = {}): Promise<Pair> {
  const prefix = `pinholed-pair-${process.pid}-${++count}`;
  const { nameOf: named, start, keep, close } = ownNamespaces(prefix, NAMES);

  /** A host's plug in a net. */
  function plug(name: string, device: string, net: NetName, hardware: string): void {
    const peer = `${net}-${hardware.slice(-2)}`;
    execute(
      ...['ip', '-n', name, 'link', 'add', device, 'address', hardware, 'type', 'veth'],
      ...['peer', 'name', peer, 'netns', named('wires')],
    );
    execute('ip', '-n', named('wires'), 'link', 'set', peer, 'master', net, 'up');
    for (const own of ['lo', device]) execute('ip', '-n', name, 'link', 'set', own, 'up');
  }

  function host(name: (typeof NAMES)[number], net: NetName, number: number, hardware: string): void {
    execute('ip', 'netns', 'add', named(name));
    plug(named(name), 'eth0', net, hardware);
    execute('ip', '-n', named(name), 'address', 'add', `${NETS[net]}.${number}/24`, 'dev', 'eth0');
    if (net === 'sync') return;
    const match = ['ipproto', 'udp', 'sport', '5060'];
    execute('ip', '-n', named(name), 'rule', 'add', ...match, 'lookup', SIGNALLING_TABLE);
    execute('ip', '-n', named(name), 'route', 'add', 'default', 'via', `${NETS[net]}.1`);
  }

  function pairFirewall(index: Number01): PairFirewall {
    const own = FIREWALLS[index];
    const name = named(own);
    const firewall = (program: string, ...args: readonly string[]) =>
      execute(...within(name, program, ...args));
    return {
      firewall,
      start: (program, ...args) => start(own, program, ...args),
      lose: () => removeNamespace(name),
      raise() {
        execute('ip', 'netns', 'add', name);
        for (const [at, net] of NET_NAMES.entries()) {
          plug(name, net, net, `02:00:00:00:0${at + 1}:f${index + 1}`);
          firewall('ip', 'address', 'add', `${NETS[net]}.${index + 2}/24`, 'dev', net);
        }
        firewall('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.send_redirects=0');
        firewall('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0');
        queueRules(firewall);
        rules(firewall);
      },
      plug: (isIn) => void firewall('ip', 'link', 'set', 'sync', isIn ? 'up' : 'down'),
    };
  }

  const firewalls = [pairFirewall(0), pairFirewall(1)] as const;
  const isThere = (index: Number01) => execute('ip', 'netns', 'list').includes(named(FIREWALLS[index]));
  const addressesOf = (index: Number01) => firewalls[index].firewall('ip', '-4', '-brief', 'address');

  try {
    execute('ip', 'netns', 'add', named('wires'));
    for (const net of NET_NAMES) {
      execute('ip', '-n', named('wires'), 'link', 'add', net, 'type', 'bridge');
      execute('ip', '-n', named('wires'), 'link', 'set', net, 'up');
    }
    host('client', 'inside', 10, '02:00:00:00:01:10');
    host('server', 'outside', 10, '02:00:00:00:02:10');
    host('store', 'sync', 1, '02:00:00:00:03:01');
    for (const { raise } of firewalls) raise();
    const [client, server] = await Promise.all(
      (['client', 'server'] as const).map((name) => startActor(named(name), keep)),
    );
    return {
      actors: { client: client!, server: server! },
      firewalls,
      startAtStore: (program, ...args) => start('store', program, ...args),
      move(to) {
        const from = to === 0 ? 1 : 0;
        const had = isThere(from) ? addressesOf(from) : '';
        for (const [device, address] of SHARED) {
          const net = `${address}/${prefixOf(address)}`;
          if (had.includes(` ${net} `))
            firewalls[from].firewall('ip', 'address', 'delete', net, 'dev', device);
          if (!addressesOf(to).includes(` ${net} `))
            firewalls[to].firewall('ip', 'address', 'add', net, 'dev', device);
        }
        const tell = SHARED.map(([device, address]) => `arping -q -U -c 1 -I ${device} ${address} &`);
        firewalls[to].firewall('sh', '-c', `${tell.join(' ')} wait`);
      },
      split({ signalling, media }) {
        for (const [at, name, net] of [
          [0, 'client', '10.0.1'],
          [1, 'server', '10.0.2'],
        ] as const) {
          const ip = (...words: readonly string[]) => execute('ip', '-n', named(name), ...words);
          ip('route', 'replace', 'default', 'via', `${net}.${media[at] + 2}`);
          ip('route', 'replace', 'default', 'via', `${net}.${signalling[at] + 2}`, 'table', SIGNALLING_TABLE);
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
