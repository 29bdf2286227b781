import { loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { openPf, type Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Settings } from '../config/schema.ts';
import type { ExamineOptions } from './examine-options.ts';
import { type Finding, fault, ok, unknown } from './finding.ts';
import type { Family } from './forwarding.ts';
import { checkInterfaces } from './interfaces.ts';
import { mappingsOf } from './nat.ts';
import { checkRuleset } from './pf/ruleset-checks.ts';
import { createPfRuleset } from './pf/walk.ts';
import {
  checkForwarding,
  checkKernel,
  checkOptions,
  checkPf,
  forgetsRoutes,
  forwardedFamilies,
} from './pf.ts';
import { checkPfsync } from './states.ts';

const NOT_LOOKED_AT =
  'not looked at are anchor, reassembly, anchor-limit, divert-rule, block-quick, default-drop, outbound-media, antispoof, reply-to, nat';

/** The kernel, pf and its ruleset. What concerns pf needs root. */
export async function examineFreebsd(settings: Settings | null, options: ExamineOptions): Promise<Finding[]> {
  const libc = await loadLibc();
  const rights =
    libc.geteuid() === 0
      ? ok('rights', 'root')
      : unknown('rights', 'not run as root: what needs it says so below', 'run it as root');
  const kernel = checkKernel(libc, {
    anyRelease: settings?.freebsd.anyRelease ?? false,
    isPassive: settings?.intercept === 'bpf',
  });
  return [
    rights,
    ...kernel,
    checkForwarding(libc),
    ...checkInterfaces(options.ingress),
    ...(await examineStates(settings)),
    ...(settings === null
      ? []
      : examinePf(() => openPf(libc), settings, {
          ...options,
          forwarded: forwardedFamilies(libc),
          forgetful: forgetsRoutes(libc),
        })),
  ];
}

/** With the programs that this takes, where calls are shared. */
async function examineStates(settings: Settings | null): Promise<Finding[]> {
  if (settings === null || settings.peersStore.url === null) return [];
  const { runProgram } = await import('./netfilter/listing.ts');
  return checkPfsync(runProgram, settings);
}

/** pf and its ruleset, or why they cannot be looked at. `open` throws SystemError. */
export function examinePf(
  open: () => Pf,
  settings: Settings,
  known: Pick<ExamineOptions, 'ingress' | 'addresses'> & {
    readonly forwarded: readonly Family[];
    /** Diverted packets lose what route-to said. */
    readonly forgetful: boolean;
  },
): Finding[] {
  try {
    const pf = open();
    try {
      const { anchor: pass, rdrAnchor: rdr, binatAnchor: binat } = settings.freebsd;
      const { inside, mediaPorts, sipPorts, outbound, uplinks } = settings;
      return [
        ...checkPf(pf, checkOptions(settings), known.forgetful),
        ...checkRuleset(createPfRuleset(pf, { pass, rdr, binat }), {
          ...{ inside, mediaPorts, sipPorts, outbound, uplinks },
          mappings: mappingsOf(settings, known.addresses),
          ingress: known.ingress,
          forwarded: known.forwarded,
        }),
      ];
    } finally {
      pf.close();
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === 'ENOENT') {
      return [fault('pf', 'there is no /dev/pf', 'load pf: sysrc pf_enable=YES && service pf start')];
    }
    const denied = error.code === 'EACCES' || error.code === 'EPERM';
    return [
      denied
        ? unknown('pf', `pf is for root to see: ${NOT_LOOKED_AT}`, 'run it as root')
        : unknown('pf', `pf cannot be asked: ${error.message}`, NOT_LOOKED_AT),
    ];
  }
}
