import { readFileSync, writeFileSync } from 'node:fs';
import { type Libc, loadLibc } from '../../../native-bindings/engine.ts';
import type { Settings } from '../../config/schema.ts';
import { openNftablesControl } from '../../firewall/nftables/control.ts';
import { openNftables } from '../../firewall/nftables.ts';
import { readLinuxIngress } from '../../intercept/ingress/linux.ts';
import { openNflog } from '../../intercept/nflog.ts';
import { bindNfqueue, openLosses, openNfqueue } from '../../intercept/nfqueue.ts';
import { bindPassive, openPassive } from '../../intercept/passive/packet-socket.ts';
import type { ControlEnds, DaemonPlatform, DataPathEnds } from './platform.ts';

/** Packets from NFQUEUE, pinholes in nftables. */
export async function openLinux(): Promise<DaemonPlatform> {
  const libc = await loadLibc();

  async function openDataPath(settings: () => Settings, intake: number | null): Promise<DataPathEnds> {
    const { table, mark } = settings().linux;
    const firewall = openNftables(libc, { table, mark });
    const { interceptor, description } = openInterceptor(libc, settings(), intake);
    return {
      interceptor,
      firewall,
      description: [
        description,
        `nftables: table inet ${table}, mark 0x${mark.toString(16)}, ${
          firewall.owned
            ? 'which nobody else can change'
            : 'which others can change (the kernel lets it have no owner)'
        }`,
        countsDirections()
          ? 'conntrack counts packets of either direction: who sends media is told'
          : `conntrack does not count (${ACCOUNTING} is not 1): who sends media is not told, see timers.one-way`,
      ],
    };
  }

  return {
    name: 'linux',
    dataPathOpener: 'network-administrator',
    bindIntake: (settings) =>
      settings.intercept === 'bpf'
        ? bindPassive(libc, passiveOptions(settings))
        : bindNfqueue(libc, queueOptions(settings)),
    openDataPath,
    openControl: async (settings) => {
      if (settings().mode !== 'observe') countDirections();
      return openControl(libc, settings);
    },
    // A queue rule with the flag `bypass` lets packets pass whenever nobody has the queue: the kernel does it.
    openFailOpen: async () => ({ install() {}, remove() {}, close() {} }),
  };
}

function openInterceptor(libc: Libc, settings: Settings, intake: number | null) {
  if (settings.intercept === 'bpf') {
    const interceptor = openPassive(libc, passiveOptions(settings), intake);
    return { interceptor, description: 'packet socket: packets pass by, and nothing waits for its pinholes' };
  }
  const { queue, queueLength: length } = settings.linux;
  const interceptor = openNfqueue(libc, queueOptions(settings), intake);
  const buffer = interceptor.bufferSize >> 10;
  return { interceptor, description: `NFQUEUE ${queue}: ${length} packets, socket buffer ${buffer} KiB` };
}

function passiveOptions({ sipPorts: ports, insideInterfaces: interfaces }: Settings) {
  return { ports, interfaces };
}

/** net.netfilter.nf_conntrack_acct. It is of a network namespace, takes CAP_NET_ADMIN and holds for flows that begin then. */
const ACCOUNTING = '/proc/sys/net/netfilter/nf_conntrack_acct';

/** Where it cannot be set, the log and the doctor say so. */
function countDirections(): void {
  try {
    if (!countsDirections()) writeFileSync(ACCOUNTING, '1');
  } catch {}
}

function countsDirections(): boolean {
  try {
    return readFileSync(ACCOUNTING, 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

function queueOptions({ linux, fail }: Settings) {
  return { queue: linux.queue, length: linux.queueLength, failOpen: fail === 'open' };
}

/** The count of what the queue lost is opened here, as root: the data path's thread may not. */
function openControl(libc: Libc, settings: () => Settings): ControlEnds {
  const { linux } = settings();
  const firewall = openNftablesControl(libc, linux.table);
  const losses = openLosses(linux.queue);
  const { watch, group } = settings().blocked;
  const blocked = watch ? openNflog(libc, group) : null;
  return {
    firewall,
    blocked,
    ingress: () => readLinuxIngress(libc, settings()),
    counters: () => (losses === null ? {} : { queueFull: losses.read() }),
    close() {
      losses?.close();
      blocked?.close();
      firewall.close();
    },
  };
}
