import { loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { openPf, type Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Settings } from '../config/schema.ts';
import { type Finding, fault, ok, unknown } from './finding.ts';
import { checkForwarding, checkKernel, checkOptions, checkPf } from './pf.ts';

const NOT_LOOKED_AT = 'not looked at are anchor, reassembly, anchor-limit, divert-rule';

/** The kernel, pf and its ruleset. What concerns pf needs root. */
export async function examineFreebsd(settings: Settings | null): Promise<Finding[]> {
  const libc = await loadLibc();
  const rights =
    libc.geteuid() === 0
      ? ok('rights', 'root')
      : unknown('rights', 'not run as root: what needs it says so below', 'run it as root');
  const kernel = checkKernel(libc, { anyRelease: settings?.freebsd.anyRelease ?? false });
  return [
    rights,
    ...kernel,
    checkForwarding(libc),
    ...(settings === null ? [] : examinePf(() => openPf(libc), settings)),
  ];
}

/** pf and its ruleset, or why they cannot be looked at. `open` throws SystemError. */
export function examinePf(open: () => Pf, settings: Settings): Finding[] {
  try {
    const pf = open();
    try {
      return checkPf(pf, checkOptions(settings));
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
