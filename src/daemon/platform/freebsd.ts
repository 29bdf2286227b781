import { existsSync } from 'node:fs';
import { type Libc, loadLibc } from '../../../native-bindings/engine.ts';
import { type FileLock, openFileLock } from '../../../native-bindings/file-lock.ts';
import { bindDivert } from '../../../native-bindings/freebsd/divert.ts';
import { hasModule, loadModule } from '../../../native-bindings/freebsd/kernel.ts';
import { openPf, type Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { Finding } from '../../checks/finding.ts';
import { checkKernel, checkOptions, checkPf, divertsIPv6, forgetsRoutes } from '../../checks/pf.ts';
import type { ReloadLock } from '../../config/kinds.ts';
import { divertInterfaces } from '../../config/rules.ts';
import type { Settings } from '../../config/schema.ts';
import type { Firewall } from '../../firewall/firewall.ts';
import { openPfControl } from '../../firewall/pf/control.ts';
import { createDivertRules } from '../../firewall/pf/divert-rules.ts';
import { createReloadGate, type ReloadGate } from '../../firewall/pf/reload-gate.ts';
import { openPfFirewall, type PfOptions } from '../../firewall/pf.ts';
import { openDivertInterceptor } from '../../intercept/divert.ts';
import { readFreebsdIngress } from '../../intercept/ingress/freebsd.ts';
import { openBpfPassive } from '../../intercept/passive/bpf.ts';
import { openPflog } from '../../intercept/pflog.ts';
import {
  type ControlEnds,
  type DaemonPlatform,
  type DataPathEnds,
  type FailOpen,
  StartError,
} from './platform.ts';

/** Packets from divert(4) or bpf(4), pinholes in pf. Everything is opened as root and needs no right afterwards. */
export async function openFreebsd({ intercept }: Pick<Settings, 'intercept'>): Promise<DaemonPlatform> {
  const libc = await loadLibc();
  return {
    name: 'freebsd',
    dataPathOpener: 'root',
    // Of bpf there is a descriptor for each way of each interface, and what waits in them has passed already.
    ...(intercept === 'inline' && {
      bindIntake(settings: Settings) {
        loadIpdivert(libc);
        return bindDivert(libc, settings.freebsd.divertPort);
      },
    }),
    openDataPath: async (settings, intake) => openDataPath(libc, settings, intake),
    openControl: async (settings) => openControl(libc, settings),
    openFailOpen: async (settings) => openFailOpen(libc, settings),
  };
}

function openDataPath(libc: Libc, settings: () => Settings, intake: number | null): DataPathEnds {
  const { freebsd, intercept } = settings();
  if (intercept === 'inline') loadIpdivert(libc);
  const options = checkOptions(settings());
  refuse(checkKernel(libc, options));
  const pf = openDevPf(libc);
  const findings = checkPf(pf, options, forgetsRoutes(libc));
  const lock = openReloadLock(libc, freebsd.reloadLock);
  const firewall = openFirewall(pf, { ...pfOptions(settings), ...gateOf(lock) }, findings);
  const { interceptor, description } = openInterceptor(libc, settings(), intake);
  return {
    interceptor,
    firewall,
    description: [
      description,
      `pf anchor ${freebsd.anchor}`,
      ...(lock === null ? [] : [`no rule is added while ${lock.path} is locked`]),
      ...findings.flatMap(complaint),
    ],
  };
}

function openInterceptor(libc: Libc, settings: Settings, intake: number | null) {
  if (settings.intercept === 'bpf') {
    const interfaces = divertInterfaces(settings);
    const interceptor = openBpfPassive(libc, { ports: settings.sipPorts, interfaces });
    const where = interfaces.join(', ');
    return {
      interceptor,
      description: `bpf on ${where}: packets pass by, and nothing waits for its pinholes`,
    };
  }
  const { divertPort: port } = settings.freebsd;
  const interceptor = openDivertInterceptor(libc, { port, bound: intake });
  const { receiveBuffer, reportsLoss } = interceptor.socket;
  const loss = reportsLoss ? 'packets lost for want of room are counted' : 'loss is not reported';
  return {
    interceptor,
    description: `divert port ${port}: socket buffer ${receiveBuffer >> 10} KiB, ${loss}`,
  };
}

/** To an anchor for which there is no room pf answers as to a mistake of ours: what was found says more. */
function openFirewall(pf: Pf, options: PfOptions, findings: readonly Finding[]): Firewall {
  try {
    return openPfFirewall(pf, options);
  } catch (error) {
    refuse(findings.filter(({ check }) => check === 'anchor-limit'));
    throw error;
  }
}

function openControl(libc: Libc, settings: () => Settings): ControlEnds {
  const { watch, interface: pflog } = settings().blocked;
  const blocked = watch ? openPflog(libc, pflog, settings().mediaPorts) : null;
  const firewall = openPfControl(openDevPf(libc), pfOptions(settings));
  return {
    firewall,
    blocked,
    ingress: () => readFreebsdIngress(libc, settings()),
    counters: () => ({}),
    close() {
      blocked?.close();
      firewall.close();
    },
  };
}

function pfOptions(settings: () => Settings): PfOptions {
  const { freebsd, mediaPorts, uplinks, nat } = settings();
  const { anchor, rdrAnchor, binatAnchor, shards } = freebsd;
  const anchors = { pass: anchor, rdr: rdrAnchor, binat: binatAnchor };
  const translates = nat.some(({ translation }) => translation !== 'ruleset');
  return { anchors, shards, mediaPorts, uplinks, translates, style: () => settings().freebsd };
}

function openFailOpen(libc: Libc, settings: Settings): FailOpen {
  const { anchor, divertPort: port } = settings.freebsd;
  const interfaces = divertInterfaces(settings);
  const { sipPorts, peersStore } = settings;
  const shared = peersStore.url !== null;
  const { gate } = gateOf(openReloadLock(libc, settings.freebsd.reloadLock));
  const options = { anchor, port, interfaces, sipPorts, shared, ipv6: divertsIPv6(libc) };
  return createDivertRules(openDevPf(libc), gate === undefined ? options : { ...options, gate });
}

/** What tells each of the firewalls that lock a file of their own, and that file. */
const RELOAD_LOCKS = [
  { sign: '/etc/inc/filter.inc', path: '/tmp/filter.lock' },
  { sign: '/usr/local/opnsense', path: '/tmp/rules.debug' },
] as const;

/** The file that the firewall locks while it loads its ruleset; null where there is none. */
function openReloadLock(
  libc: Libc,
  which: ReloadLock,
): { readonly path: string; readonly lock: FileLock } | null {
  const found = RELOAD_LOCKS.find(({ sign }) => existsSync(sign))?.path ?? null;
  const path = which === 'auto' ? found : which === 'off' ? null : which;
  if (path === null) return null;
  try {
    return { path, lock: openFileLock(libc, path) };
  } catch (error) {
    if (which === 'auto') return null;
    throw new StartError(`freebsd.reload-lock cannot be opened: ${(error as Error).message}`);
  }
}

function gateOf(found: ReturnType<typeof openReloadLock>): { readonly gate?: ReloadGate } {
  return found === null ? {} : { gate: createReloadGate(found.lock) };
}

function openDevPf(libc: Libc): Pf {
  try {
    return openPf(libc);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT')
      throw new StartError('there is no /dev/pf: load pf (sysrc pf_enable=YES && service pf start)');
    if (code === 'EACCES') throw new StartError('/dev/pf cannot be opened: expected to be root');
    throw error;
  }
}

/** Where rc(8) has not loaded it (`required_modules`). In a jail that fails, and the host has to. */
function loadIpdivert(libc: Libc): void {
  if (hasModule(libc, 'ipdivert')) return;
  try {
    loadModule(libc, 'ipdivert');
  } catch (error) {
    throw new StartError(`ipdivert cannot be loaded: ${(error as Error).message}`);
  }
}

function refuse(findings: readonly Finding[]): void {
  const wrong = findings.find(({ level }) => level === 'fault');
  if (wrong !== undefined) throw new StartError(`${wrong.text}: ${wrong.advice}`);
}

function complaint({ level, text, advice }: Finding): string[] {
  return level === 'ok' ? [] : [`${level}: ${text}: ${advice}`];
}
