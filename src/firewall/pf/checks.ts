/** What has to be so on FreeBSD for SIP to come in and pinholes to work, each with what to do when it is not. */
import type { Libc } from '../../../native-bindings/engine.ts';
import { SystemError } from '../../../native-bindings/errno.ts';
import { PF_LIMIT_ANCHORS, PF_REASS_ENABLED, PF_SCRUB } from '../../../native-bindings/freebsd/constants.ts';
import { hasModule, kernelVersion, sysctlString } from '../../../native-bindings/freebsd/kernel.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import { DIVERT } from './parent.ts';
import { isReferenced, type RuleInPlace, reachableRules, readRules } from './ruleset.ts';

export interface Finding {
  /** `fault`: it cannot work so. `caution`: part of it does not. */
  readonly level: 'ok' | 'caution' | 'fault';
  /** What is so. */
  readonly text: string;
  /** What to do about it; empty when all is well. */
  readonly advice: string;
}

export interface CheckOptions {
  readonly anchor: string;
  readonly shards: number;
  readonly divertPort: number;
  readonly anyRelease: boolean;
  /** The daemon loads the divert rules itself. */
  readonly failOpen: boolean;
}

/** `__FreeBSD_version` of the first release whose pf knows the packets that come back from a divert socket. */
const FLOOR = 1_401_000;
/** The first in which divert-to works with IPv6. */
const IPV6 = 1_500_000;
/** net/pfvar.h: a scrub rule that leaves fragments alone. */
const PFRULE_FRAGMENT_NOREASS = 0x200;

const ok = (text: string): Finding => ({ level: 'ok', text, advice: '' });
const caution = (text: string, advice: string): Finding => ({ level: 'caution', text, advice });
const fault = (text: string, advice: string): Finding => ({ level: 'fault', text, advice });

/** Whether divert-to works with IPv6 on the running kernel. */
export function divertsIPv6(libc: Libc): boolean {
  return kernelVersion(libc) >= IPV6;
}

/** The kernel itself: release and ipdivert. Needs no rights. */
export function checkKernel(libc: Libc, { anyRelease }: Pick<CheckOptions, 'anyRelease'>): Finding[] {
  return [checkRelease(libc, anyRelease), checkModule(libc)];
}

function checkRelease(libc: Libc, anyRelease: boolean): Finding {
  const version = kernelVersion(libc);
  const release = `FreeBSD ${sysctlString(libc, 'kern.osrelease')}`;
  if (version < FLOOR) {
    const text = `${release}: pf sends packets that come back from a divert socket round in a loop`;
    return anyRelease
      ? caution(text, 'upgrade to 14.3 or 15.1; it was told to start all the same (freebsd.any-release)')
      : fault(
          text,
          'upgrade to 14.3 or 15.1, or set freebsd.any-release where this kernel has the fix of bug 272770',
        );
  }
  if (version < IPV6) {
    return caution(
      `${release}: divert-to does nothing for IPv6`,
      'calls over IPv6 need FreeBSD 15.1; IPv4 works',
    );
  }
  return ok(release);
}

function checkModule(libc: Libc): Finding {
  return hasModule(libc, 'ipdivert')
    ? ok('ipdivert is loaded')
    : fault('ipdivert is not loaded', 'kldload ipdivert, and ipdivert_load="YES" in /boot/loader.conf');
}

/** pf and its ruleset. */
export function checkPf(pf: Pf, options: CheckOptions): Finding[] {
  const status = pf.status();
  const rules = reachableRules(pf, options.anchor);
  return [
    status.running
      ? ok('pf is enabled')
      : fault(
          'pf is not enabled: nothing is filtered and nothing diverted',
          'sysrc pf_enable=YES && service pf start',
        ),
    checkAnchor(options, rules),
    checkReassembly(pf, status.reass),
    checkLimit(pf, options),
    checkDivert(options, rules),
  ];
}

function checkAnchor({ anchor }: CheckOptions, rules: readonly RuleInPlace[]): Finding {
  return isReferenced(anchor, rules)
    ? ok(`the ruleset refers to anchor "${anchor}"`)
    : fault(
        `the ruleset does not refer to anchor "${anchor}": no packet comes to the pinholes`,
        'put the anchor line that "pinholed rules" prints into pf.conf and load it',
      );
}

function checkReassembly(pf: Pf, reass: number): Finding {
  const scrubs = readRules(pf, '', PF_SCRUB).some(
    ({ rule_flag }) => (rule_flag & PFRULE_FRAGMENT_NOREASS) === 0,
  );
  if ((reass & PF_REASS_ENABLED) !== 0) return ok('pf puts fragments together (set reassemble yes)');
  if (scrubs) return ok('pf puts fragments together (scrub rules)');
  return fault(
    'pf does not put fragments together: SIP messages larger than a packet are lost',
    'add "set reassemble yes" to pf.conf',
  );
}

function checkLimit(pf: Pf, { shards }: CheckOptions): Finding {
  const limit = anchorLimit(pf);
  // Zero is no limit as well (pf_ioctl.c, pf_ioctl_set_limit).
  if (limit === null || limit === 0) return ok('there is no limit to anchors');
  const used = countAnchors(pf, '', 0);
  const text = `anchors: ${used} in use of ${limit}`;
  return limit - used >= shards + 2 || used > shards
    ? ok(text)
    : fault(
        `${text}: no room for ${shards} shards`,
        `add "set limit anchors ${used + shards + 64}" to pf.conf`,
      );
}

function anchorLimit(pf: Pf): number | null {
  try {
    return pf.limit(PF_LIMIT_ANCHORS);
  } catch (error) {
    if (error instanceof SystemError && error.code === 'EINVAL') return null;
    throw error;
  }
}

function countAnchors(pf: Pf, path: string, depth: number): number {
  if (depth > 4) return 0;
  try {
    const names = pf.anchors(path);
    return names.reduce(
      (sum, name) => sum + countAnchors(pf, path === '' ? name : `${path}/${name}`, depth + 1),
      names.length,
    );
  } catch {
    return 0;
  }
}

function checkDivert({ anchor, divertPort, failOpen }: CheckOptions, rules: readonly RuleInPlace[]): Finding {
  if (failOpen) {
    const own = `${anchor}/${DIVERT}`;
    return isReferenced(own, rules)
      ? ok(`the ruleset refers to anchor "${own}"`)
      : fault(
          `the ruleset does not refer to anchor "${own}": no SIP comes to the daemon`,
          'with fail: open the divert rules are loaded there; put the line that "pinholed rules" prints into pf.conf',
        );
  }
  const count = rules.filter(({ rule }) => rule.divertPort === divertPort).length;
  return count > 0
    ? ok(`${count} rules divert to port ${divertPort}`)
    : fault(
        `no rule diverts to port ${divertPort}: no SIP comes to the daemon`,
        'put the divert rules that "pinholed rules" prints into pf.conf and load it',
      );
}
