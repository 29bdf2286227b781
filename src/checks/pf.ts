/** What has to be so on FreeBSD for SIP to come in and pinholes to work, each with what to do when it is not. */
import type { Libc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_BINAT,
  PF_IN,
  PF_INOUT,
  PF_LIMIT_ANCHORS,
  PF_OUT,
  PF_RDR,
  PF_REASS_ENABLED,
  PF_ROUTETO,
  PF_SCRUB,
  PFRULE_NOSYNC,
} from '../../native-bindings/freebsd/constants.ts';
import {
  hasModule,
  kernelVersion,
  sysctlNumber,
  sysctlString,
} from '../../native-bindings/freebsd/kernel.ts';
import type { Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Settings } from '../config/schema.ts';
import { DIVERT } from '../firewall/pf/parent.ts';
import { isReferenced, type RuleInPlace, reachableRules, readRules } from '../firewall/pf/ruleset.ts';
import { caution, type Finding, fault, ok } from './finding.ts';
import { checkForwarded, type Family } from './forwarding.ts';

interface CheckOptions {
  readonly anchor: string;
  readonly rdrAnchor: string;
  readonly binatAnchor: string;
  /** Pinholes bring their own translation. */
  readonly translates: boolean;
  readonly shards: number;
  readonly divertPort: number;
  readonly anyRelease: boolean;
  /** The daemon loads the divert rules itself. */
  readonly failOpen: boolean;
  /** Nothing is diverted: copies are read. */
  readonly isPassive: boolean;
  /** Another firewall may take over, and read on. */
  readonly shared: boolean;
}

/** What the checks of pf have to know. */
export function checkOptions({ freebsd, fail, nat, intercept, peersStore }: Settings): CheckOptions {
  const { anchor, rdrAnchor, binatAnchor, shards, divertPort, anyRelease } = freebsd;
  const translates = nat.some(({ translation }) => translation !== 'ruleset');
  return {
    ...{ anchor, rdrAnchor, binatAnchor, translates, shards, divertPort, anyRelease },
    failOpen: fail === 'open',
    isPassive: intercept === 'bpf',
    shared: peersStore.url !== null,
  };
}

/** `__FreeBSD_version` of 15.0-RELEASE, and of what comes after 15.1. */
const FORGETFUL = [1_500_068, 1_502_000] as const;
/** `__FreeBSD_version` of the first release whose pf knows the packets that come back from a divert socket. */
const FLOOR = 1_401_000;
/** The first in which divert-to works with IPv6. */
const IPV6 = 1_500_000;
/** net/pfvar.h: a scrub rule that leaves fragments alone. */
const PFRULE_FRAGMENT_NOREASS = 0x200;

const FORWARD = {
  4: 'sysrc gateway_enable=YES && service routing restart',
  6: 'sysrc ipv6_gateway_enable=YES && service routing restart',
} as const;
const DIVERT_LINES = 'the divert rules that "pinholed rules" prints';
/** What SIP is, as it crosses the inside interface. Protocol 0 of a rule is any. */
const PASSING = [
  { name: 'UDP that comes in', proto: IPPROTO_UDP, direction: PF_IN },
  { name: 'UDP that goes out', proto: IPPROTO_UDP, direction: PF_OUT },
  { name: 'TCP that comes in', proto: IPPROTO_TCP, direction: PF_IN },
  { name: 'TCP that goes out', proto: IPPROTO_TCP, direction: PF_OUT },
] as const;

/** Whether divert-to works with IPv6 on the running kernel. */
export function divertsIPv6(libc: Libc): boolean {
  return kernelVersion(libc) >= IPV6;
}

/**
 * Whether the running kernel forgets where a rule with route-to sends a packet, when that rule diverts it: back from the
 * daemon the packet passes for the sake of its state alone (pf.c, pf_find_state; opnsense/src#308).
 */
export function forgetsRoutes(libc: Libc): boolean {
  const version = kernelVersion(libc);
  return version >= FORGETFUL[0] && version < FORGETFUL[1];
}

/** The kernel itself: release and ipdivert. Needs no rights. */
export function checkKernel(
  libc: Libc,
  { anyRelease, isPassive }: Pick<CheckOptions, 'anyRelease' | 'isPassive'>,
): Finding[] {
  return [checkRelease(libc, anyRelease), ...(isPassive ? [] : [checkModule(libc)])];
}

function checkRelease(libc: Libc, anyRelease: boolean): Finding {
  const version = kernelVersion(libc);
  const release = `FreeBSD ${sysctlString(libc, 'kern.osrelease')}`;
  if (version < FLOOR) {
    const text = `${release}: pf sends packets that come back from a divert socket round in a loop`;
    return anyRelease
      ? caution(
          'kernel',
          text,
          'upgrade to 14.3 or 15.1; it was told to start all the same (freebsd.any-release)',
        )
      : fault(
          'kernel',
          text,
          'upgrade to 14.3 or 15.1, or set freebsd.any-release where this kernel has the fix of bug 272770',
        );
  }
  if (version < IPV6) {
    return caution(
      'kernel',
      `${release}: divert-to does nothing for IPv6`,
      'calls over IPv6 need FreeBSD 15.1; IPv4 works',
    );
  }
  return ok('kernel', release);
}

function checkModule(libc: Libc): Finding {
  return hasModule(libc, 'ipdivert')
    ? ok('ipdivert', 'ipdivert is loaded')
    : fault(
        'ipdivert',
        'ipdivert is not loaded',
        'kldload ipdivert, and ipdivert_load="YES" in /boot/loader.conf',
      );
}

/** Whether the machine forwards what calls need: of no importance to the start. */
export function checkForwarding(libc: Libc): Finding {
  const forwarded = forwardedFamilies(libc);
  if (forwarded.length > 0) return checkForwarded(forwarded, FORWARD);
  return caution(
    'forwarding',
    'nothing is forwarded: no call passes this machine, but for those of its own',
    FORWARD[4],
  );
}

/** The families that the machine forwards. */
export function forwardedFamilies(libc: Libc): Family[] {
  return ([4, 6] as const).filter((family) => isForwarded(libc, family));
}

function isForwarded(libc: Libc, family: Family): boolean {
  try {
    return sysctlNumber(libc, family === 4 ? 'net.inet.ip.forwarding' : 'net.inet6.ip6.forwarding') !== 0;
  } catch (error) {
    // A kernel without this family.
    if (error instanceof SystemError && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** pf and its ruleset. `forgetful`: see `forgetsRoutes`. */
export function checkPf(pf: Pf, options: CheckOptions, forgetful: boolean): Finding[] {
  const status = pf.status();
  const rules = reachableRules(pf, options.anchor);
  return [
    status.running
      ? ok('pf', 'pf is enabled')
      : fault(
          'pf',
          'pf is not enabled: nothing is filtered and nothing diverted',
          'sysrc pf_enable=YES && service pf start',
        ),
    checkAnchor(options, rules),
    ...checkTranslationAnchors(pf, options),
    checkReassembly(pf, status.reass),
    checkLimit(pf, options),
    options.isPassive ? checkUndiverted(options, rules) : checkDivert(options, rules),
    ...(forgetful ? checkRouted(options, rules) : []),
    ...checkSynced(options, rules),
  ];
}

function checkAnchor({ anchor }: CheckOptions, rules: readonly RuleInPlace[]): Finding {
  return isReferenced(anchor, rules)
    ? ok('anchor', `the ruleset refers to anchor "${anchor}"`)
    : fault(
        'anchor',
        `the ruleset does not refer to anchor "${anchor}": no packet comes to the pinholes`,
        'put the anchor line that "pinholed rules" prints into pf.conf and load it',
      );
}

/** Redirects and source translations of pinholes come about only where the ruleset steps into their anchors. */
function checkTranslationAnchors(pf: Pf, { rdrAnchor, binatAnchor, translates }: CheckOptions): Finding[] {
  if (!translates) return [];
  const anchors = [
    { line: 'rdr-anchor', anchor: rdrAnchor, action: PF_RDR },
    { line: 'binat-anchor', anchor: binatAnchor, action: PF_BINAT },
  ];
  const missing = anchors
    .filter(({ anchor, action }) => !isReferenced(anchor, reachableRules(pf, anchor, action)))
    .map(({ line, anchor }) => `${line} "${anchor}"`);
  return missing.length === 0
    ? [ok('anchor', `the ruleset refers to rdr-anchor "${rdrAnchor}" and binat-anchor "${binatAnchor}"`)]
    : [
        fault(
          'anchor',
          `the ruleset has no ${missing.join(', no ')}: pinholes of hosts behind nat are not translated`,
          'put the translation lines that "pinholed rules" prints into pf.conf and load it',
        ),
      ];
}

function checkReassembly(pf: Pf, reass: number): Finding {
  const scrubs = readRules(pf, '', PF_SCRUB).some(
    ({ rule_flag }) => (rule_flag & PFRULE_FRAGMENT_NOREASS) === 0,
  );
  if ((reass & PF_REASS_ENABLED) !== 0)
    return ok('reassembly', 'pf puts fragments together (set reassemble yes)');
  if (scrubs) return ok('reassembly', 'pf puts fragments together (scrub rules)');
  return fault(
    'reassembly',
    'pf does not put fragments together: SIP messages larger than a packet are lost',
    'add "set reassemble yes" to pf.conf',
  );
}

function checkLimit(pf: Pf, { shards }: CheckOptions): Finding {
  const limit = anchorLimit(pf);
  // Zero is no limit as well (pf_ioctl.c, pf_ioctl_set_limit).
  if (limit === null || limit === 0) return ok('anchor-limit', 'there is no limit to anchors');
  const used = countAnchors(pf, '', 0);
  const text = `anchors: ${used} in use of ${limit}`;
  return limit - used >= shards + 2 || used > shards
    ? ok('anchor-limit', text)
    : fault(
        'anchor-limit',
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
      ? ok('divert-rule', `the ruleset refers to anchor "${own}"`)
      : fault(
          'divert-rule',
          `the ruleset does not refer to anchor "${own}": no SIP comes to the daemon`,
          'with fail: open the divert rules are loaded there; put the line that "pinholed rules" prints into pf.conf',
        );
  }
  const diverting = rules.filter(({ rule }) => rule.divertPort === divertPort).map(({ rule }) => rule);
  if (diverting.length === 0) {
    return fault(
      'divert-rule',
      `no rule diverts to port ${divertPort}: no SIP comes to the daemon`,
      `put ${DIVERT_LINES} into pf.conf and load it`,
    );
  }
  const came = diverting.reduce((sum, { packets }) => sum + Math.max(...packets.map(Number)), 0);
  const text = `${diverting.length} rules divert to port ${divertPort}, by which ${came} packets have come`;
  const missing = PASSING.filter(
    ({ proto, direction }) =>
      !diverting.some(
        (rule) => [0, proto].includes(rule.proto) && [PF_INOUT, direction].includes(rule.direction),
      ),
  ).map(({ name }) => name);
  return missing.length === 0
    ? ok('divert-rule', text)
    : caution(
        'divert-rule',
        `${text}, none of them ${missing.join(', nor ')}: such SIP passes unread`,
        `compare pf.conf with ${DIVERT_LINES}`,
      );
}

/** Where nobody takes what a rule diverts, the kernel drops it. */
function checkUndiverted({ divertPort }: CheckOptions, rules: readonly RuleInPlace[]): Finding {
  const diverting = rules.filter(({ rule }) => rule.divertPort === divertPort);
  return diverting.length === 0
    ? ok('divert-rule', `no rule diverts to port ${divertPort}: SIP is read by bpf as it passes`)
    : fault(
        'divert-rule',
        `${diverting.length} rules divert to port ${divertPort}, where nobody takes it with intercept: bpf: SIP is lost`,
        'take divert-to out of them, or set intercept: inline',
      );
}

/** Policy routing of SIP itself; media is not diverted. */
function checkRouted({ divertPort }: CheckOptions, rules: readonly RuleInPlace[]): Finding[] {
  const routed = rules.filter(({ rule }) => rule.divertPort === divertPort && rule.rt === PF_ROUTETO);
  if (routed.length === 0) return [];
  return [
    caution(
      'divert-route',
      `${routed.length} of the rules that divert have route-to: this kernel forgets the gateway, and such SIP leaves by the default route`,
      'let the hosts of these rules have their SIP by the default route, or use a kernel with the fix (opnsense/src#308: OPNsense 26.7.2-divert2)',
    ),
  ];
}

/**
 * A state that pfsync(4) brings belongs to the rule of the same number of the main ruleset where pf's checksum of that is the
 * same at both firewalls, and to no rule otherwise (pfsync_state_import, if_pfsync.c): its packets pass without divert-to.
 */
function checkSynced({ divertPort, shared }: CheckOptions, rules: readonly RuleInPlace[]): Finding[] {
  if (!shared) return [];
  const synced = rules.filter(
    ({ rule }) =>
      rule.divertPort === divertPort && rule.keep_state !== 0 && (rule.rule_flag & PFRULE_NOSYNC) === 0,
  );
  if (synced.length === 0) return [];
  return [
    caution(
      'states',
      `pfsync brings the states of ${synced.length} rules that divert to port ${divertPort}: where the firewalls' rulesets differ, or these rules are in an anchor, SIP passes unread after another firewall has taken over`,
      `give them "keep state (no-sync)", as ${DIVERT_LINES} have it`,
    ),
  ];
}
