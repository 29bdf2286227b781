/**
 *   client 10.0.1.10 ──┐                       ┌── server 10.0.2.10
 *                    inside                 outside
 *                      ├── [FreeBSD 1]: .2 ────┤
 *                      ├── [FreeBSD 2]: .3 ────┤   sync 10.9.0.0/24: pfsync between .2 and .3, and the store .1
 *                      │                       │
 *                  vhid 1: .1              vhid 2: .1, .200      addresses that CARP has on one of the two
 *
 * Two FreeBSD machines with CARP and pfsync between the network namespaces of two hosts, as an administrator sets them up.
 */
import { spawnSync } from 'node:child_process';
import { type Actor, startActor } from '../../lab/actors.ts';
import { execute, ownNamespaces } from '../../lab/namespaces.ts';
import { type Number01, SHARED_EXTERNAL, STORE_ADDRESS } from '../../lab/pair.ts';
import { type Server, startServer } from '../group/redis-server.ts';
import { type DaemonHost, eventually, write } from './daemon.ts';
import { withoutGuest } from './guest.ts';
import { type Booted, bootMachine, type Card, FILES } from './qemu.ts';

const NETS = { inside: '10.0.1', outside: '10.0.2', sync: '10.9.0' } as const;
export type NetName = keyof typeof NETS;
const NET_NAMES = Object.keys(NETS) as NetName[];
/** Who of a net is no firewall. */
const HOST = { inside: 10, outside: 10, sync: 1 } as const;
/** What moves, and by which vhid. */
const SHARED = [
  { net: 'inside', vhid: 1, address: '10.0.1.1' },
  { net: 'outside', vhid: 2, address: '10.0.2.1' },
  { net: 'outside', vhid: 2, address: SHARED_EXTERNAL },
] as const;

/** One of the two. */
export interface PairMachine extends DaemonHost {
  readonly interfaces: Readonly<Record<NetName, string>>;
  /** Loses power: it says nothing to anybody any more. */
  lose(): Promise<void>;
  /** Has power again, with an empty disk: addresses, rules, states by pfsync. It leaves the addresses that move to the other. */
  raise(): Promise<void>;
  /** Takes the addresses that move where it goes before the other, which the first does. */
  offer(): Promise<void>;
  /** Leaves them to the other again. */
  withdraw(): Promise<void>;
  /** Waits until it has the addresses that move. */
  isMaster(): Promise<void>;
}

export interface VmPair {
  readonly actors: Readonly<Record<'client' | 'server', Actor>>;
  readonly firewalls: readonly [PairMachine, PairMachine];
  readonly store: Server;
  close(): Promise<void>;
}

/** Why there are no two machines to test on, or false. */
export const withoutPair: string | false =
  process.env['PINHOLED_VM_IMAGE'] === undefined
    ? 'needs an image of FreeBSD: set PINHOLED_VM_IMAGE, see docs/freebsd-vm.md'
    : withoutGuest;

/** Why this image cannot be one of a pair. */
export class Lacking extends Error {}

export interface VmPairOptions {
  /** pf.conf of both, of the names of the interfaces. */
  readonly rules: (interfaces: Readonly<Record<NetName, string>>) => string;
  readonly password: string;
}

/** What is added to a machine's demotion until its daemon knows the calls: the other goes before it. */
const DEMOTION = 240;

/** Boots both. Rejects with `Lacking` where the kernel has neither in it nor as a module what a pair needs. */
export async function openVmPair({ rules, password }: VmPairOptions): Promise<VmPair> {
  const namespaces = ownNamespaces(`pinvm-${process.pid}`, NET_NAMES);
  const { nameOf, start, keep } = namespaces;
  for (const net of NET_NAMES) {
    execute('ip', 'netns', 'add', nameOf(net));
    const ip = (...words: readonly string[]) => execute('ip', '-n', nameOf(net), ...words);
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', net, 'type', 'bridge');
    ip('link', 'set', net, 'up');
    ip('address', 'add', `${NETS[net]}.${HOST[net]}/24`, 'dev', net);
    if (net !== 'sync') ip('route', 'add', 'default', 'via', `${NETS[net]}.1`);
  }
  const firewalls = [machine(0), machine(1)] as const;

  function machine(number: Number01): PairMachine {
    const cards = NET_NAMES.map(
      (net, at): Card => ({
        mac: `02:00:5e:00:0${at + 1}:0${number + 1}`,
        tap: `pv${number}${net[0]}${process.pid}`,
        namespace: nameOf(net),
        device: `fw${number + 1}`,
      }),
    );
    let booted: Booted | undefined;
    const interfaces = { inside: '', outside: '', sync: '' };

    async function raise(): Promise<void> {
      booted = await bootMachine({
        cards,
        remove: () => {
          for (const { namespace, device } of cards) {
            spawnSync('ip', ['-n', namespace, 'link', 'delete', device]);
          }
        },
      });
      const { run } = booted;
      for (const [at, net] of NET_NAMES.entries()) {
        execute('ip', '-n', nameOf(net), 'link', 'set', cards[at]!.device, 'master', net, 'up');
        interfaces[net] = await booted.nameOf(cards[at]!.mac);
        await run(
          `ifconfig ${interfaces[net]} inet ${NETS[net]}.${number + 2}/24 -txcsum -rxcsum -txcsum6 -rxcsum6 -tso -lro up`,
        );
      }
      await run('sysctl net.inet.ip.forwarding=1 >/dev/null; kldload -nq pf ipdivert');
      for (const module of ['carp', 'pfsync']) {
        await run(`kldload -nq ${module}`).catch(() => {
          throw new Lacking(`this kernel has no ${module}`);
        });
      }
      await write({ run, files: FILES }, `${FILES}/pf.conf`, rules(interfaces));
      await run(`pfctl -q -f ${FILES}/pf.conf && pfctl -q -e`);
      await run(
        `ifconfig pfsync0 create 2>/dev/null; ifconfig pfsync0 syncdev ${interfaces.sync} up && ` +
          `sysctl net.inet.carp.preempt=1 net.inet.carp.demotion=${DEMOTION}`,
      );
      for (const { net, vhid, address } of SHARED) {
        await run(
          `ifconfig ${interfaces[net]} inet vhid ${vhid} advskew ${number * 100} pass of-the-pair alias ${address}/32`,
        );
      }
    }

    return {
      run: (line) => booted!.run(line),
      files: FILES,
      interfaces,
      raise,
      async lose() {
        await booted?.kill();
        booted = undefined;
      },
      withdraw: async () => void (await booted!.run(`sysctl net.inet.carp.demotion=${DEMOTION}`)),
      offer: async () => void (await booted!.run(`sysctl net.inet.carp.demotion=-${DEMOTION}`)),
      isMaster: () =>
        eventually(async () => {
          const text = await booted!.run('ifconfig | grep "carp: "');
          return text
            .trim()
            .split('\n')
            .every((line) => line.includes('MASTER'));
        }),
    };
  }

  async function close(): Promise<void> {
    await Promise.all(firewalls.map(({ lose }) => lose()));
    await store?.close();
    await namespaces.close();
  }

  let store: Server | undefined;
  try {
    store = await startServer({
      address: STORE_ADDRESS,
      password,
      run: (program, ...args) => start('sync', program, ...args),
    });
    await Promise.all(firewalls.map(({ raise }) => raise()));
    const [client, server] = await Promise.all(
      (['inside', 'outside'] as const).map((net) => startActor(nameOf(net), keep)),
    );
    return { actors: { client: client!, server: server! }, firewalls, store, close };
  } catch (error) {
    await close();
    throw error;
  }
}
