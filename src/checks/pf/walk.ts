/** What becomes of a packet in pf's ruleset, as the kernel holds it: pf.conf(5), pf.c (pf_test_rule, pf_match_translation). */

import { SystemError } from '../../../native-bindings/errno.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_ADDR_ADDRMASK,
  PF_ADDR_URPFFAILED,
  PF_BINAT,
  PF_DROP,
  PF_IN,
  PF_INOUT,
  PF_NAT,
  PF_OUT,
  PF_PASS,
  PF_RDR,
} from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack, RuleEnd } from '../../../native-bindings/freebsd/pf-nv.ts';
import { formatIPv4, formatIPv6 } from '../../address/address.ts';
import { type Network, networkOf } from '../../address/network.ts';
import { hasPortOf } from '../../firewall/pf/ports.ts';
import { calledBy, type RuleInPlace, readRules } from '../../firewall/pf/ruleset.ts';
import {
  allOf,
  type Certainty,
  isFamily,
  isProtocol,
  isWithin,
  maybe,
  not,
  type Probe,
  passesBy,
  type Test,
  whether,
} from '../probe.ts';

/** What may become of a probe. */
interface Decision {
  readonly verdict: 'pass' | 'block';
  /** Null where no rule has to do with it: it passes. */
  readonly rule: RuleInPlace | null;
}

export interface Filtered {
  /** Never empty. */
  readonly decisions: readonly Decision[];
  /** Whether packets of it come to the anchor of the pinholes, before a quick rule has decided. */
  readonly comesToAnchor: Certainty;
}

/** A translation that may be applied to a probe; the first that surely is is the last. */
export interface WalkTranslation {
  readonly kind: 'rdr' | 'binat' | 'nat';
  readonly rule: RuleInPlace;
  /** Where to, or as what; null for what is not one address or network. */
  readonly to: Network | null;
  /** It stands before the anchor of the pinholes' own translations. */
  readonly isBeforeAnchor: boolean;
}

export interface PfRuleset {
  filter(probe: Probe, direction: InterfaceDirection): Filtered;
  /** `rdr` and `binat` on the way in, `nat` and `binat` on the way out. */
  translate(probe: Probe, direction: InterfaceDirection): WalkTranslation[];
}

export type InterfaceDirection = 'in' | 'out';

const DEPTH = 8;
const KINDS = { [PF_RDR]: 'rdr', [PF_BINAT]: 'binat', [PF_NAT]: 'nat' } as const;

/** `own`: the daemon's anchors, by the kind of their rules. Reads rules once, when they are asked for. */
export function createPfRuleset(
  pf: Pf,
  own: { readonly pass: string; readonly rdr: string; readonly binat: string },
): PfRuleset {
  const known = new Map<string, readonly PfRuleReadBack[]>();
  const read = (path: string, action: number): readonly PfRuleReadBack[] => {
    const key = `${action} ${path}`;
    const rules = known.get(key) ?? readRules(pf, path, action);
    known.set(key, rules);
    return rules;
  };

  function filter(probe: Probe, direction: InterfaceDirection): Filtered {
    const quick: Decision[] = [];
    let last: Decision[] = [{ verdict: 'pass', rule: null }];
    let comesToAnchor: Certainty = 'no';

    /** Whether a quick rule ends the probe's way there. */
    function visit(path: string, above: Certainty, depth: number): Certainty {
      let ended: Certainty = 'no';
      for (const rule of read(path, PF_PASS)) {
        const met = both(above, allOf(testsOf(rule, direction), probe));
        if (met === 'no') continue;
        if (rule.anchorCall !== '') {
          const end = step(path, rule, met, depth);
          if (end === 'yes') return 'yes';
          if (end === 'maybe') ended = 'maybe';
          continue;
        }
        if (rule.action !== PF_PASS && rule.action !== PF_DROP) continue;
        const decision: Decision = {
          verdict: rule.action === PF_PASS ? 'pass' : 'block',
          rule: { path, rule },
        };
        if (rule.quick !== 0) {
          quick.push(decision);
          if (met === 'yes') return 'yes';
          ended = 'maybe';
        } else {
          last = met === 'yes' ? [decision] : [...last, decision];
        }
      }
      return ended;
    }

    function step(path: string, rule: PfRuleReadBack, met: Certainty, depth: number): Certainty {
      let ended: Certainty = 'no';
      for (const called of calledBy(pf, { path, rule })) {
        if (called === own.pass) {
          if (comesToAnchor !== 'yes') comesToAnchor = met;
        } else if (depth < DEPTH && !called.startsWith(`${own.pass}/`)) {
          const end = visit(called, met, depth + 1);
          if (end === 'yes') return 'yes';
          if (end === 'maybe') ended = 'maybe';
        }
      }
      return ended;
    }

    const ended = visit('', 'yes', 0);
    return { decisions: ended === 'yes' ? quick : [...quick, ...last], comesToAnchor };
  }

  function translate(probe: Probe, direction: InterfaceDirection): WalkTranslation[] {
    const first = direction === 'in' ? PF_RDR : PF_NAT;
    return [PF_BINAT, first].flatMap((action) => translations(probe, direction, action));
  }

  function translations(probe: Probe, direction: InterfaceDirection, action: number): WalkTranslation[] {
    const found: WalkTranslation[] = [];
    const anchor = action === PF_BINAT ? own.binat : own.rdr;
    let isBeforeAnchor = true;

    function visit(path: string, above: Certainty, depth: number): boolean {
      for (const [nr, rule] of read(path, action).entries()) {
        if (rule.anchorCall !== '') {
          for (const called of calledBy(pf, { path, rule })) {
            if (called === anchor) isBeforeAnchor = false;
            else if (depth < DEPTH && !called.startsWith(`${anchor}/`) && visit(called, above, depth + 1))
              return true;
          }
          continue;
        }
        const pool = poolOf(path, nr, rule, action);
        const reversed = rule.action === PF_BINAT && direction === 'in';
        const tests = reversed ? binatTests(rule, pool) : testsOf(rule, direction);
        const met = both(above, allOf(tests, probe));
        if (met === 'no') continue;
        const kind = KINDS[rule.action as keyof typeof KINDS];
        if (kind !== undefined) {
          const to = reversed ? networkOfEnd(rule.src, rule.af) : pool;
          found.push({ kind, rule: { path, rule }, to, isBeforeAnchor });
        }
        if (met === 'yes') return true;
      }
      return false;
    }

    visit('', 'yes', 0);
    return found;
  }

  /** The first address of a rule's pool; null where it has none (`no rdr`), or the rules have changed meanwhile. */
  function poolOf(path: string, nr: number, { af }: PfRuleReadBack, action: number): Network | null {
    try {
      const { ticket } = pf.rules(path, action);
      return networkOfEnd(pf.poolAddress(path, ticket, nr, action), af);
    } catch (error) {
      if (error instanceof SystemError) return null;
      throw error;
    }
  }

  return { filter, translate };
}

function both(one: Certainty, other: Certainty): Certainty {
  if (one === 'no' || other === 'no') return 'no';
  return one === 'yes' ? other : 'maybe';
}

/** What a rule asks of a packet in this direction; a `binat` on its way in asks it of the other address. */
function testsOf(rule: PfRuleReadBack, direction: InterfaceDirection): Test[] {
  const { proto, match_tagname, prob, tos } = rule;
  return [
    ...common(rule, direction),
    () => whether(proto === 0 || proto === IPPROTO_UDP || proto === IPPROTO_TCP),
    ...(proto === IPPROTO_UDP ? [isProtocol('udp')] : proto === IPPROTO_TCP ? [isProtocol('tcp')] : []),
    addressTest('from', rule.src, rule.af),
    addressTest('to', rule.dst, rule.af),
    ({ sourcePort }) => whether(hasPortOf(rule.src, sourcePort)),
    ({ destinationPort }) => whether(hasPortOf(rule.dst, destinationPort)),
    ...(match_tagname !== '' || prob !== 0 || tos !== 0 ? [maybe] : []),
  ];
}

function common(rule: PfRuleReadBack, direction: InterfaceDirection): Test[] {
  const wanted = direction === 'in' ? PF_IN : PF_OUT;
  const { direction: own, af, ifname, ifnot } = rule;
  const by = interfaceTest(ifname, direction === 'in' ? 'comesBy' : 'goesBy');
  return [
    () => whether(own === PF_INOUT || own === wanted),
    ...(af === AF_INET ? [isFamily(4)] : af === AF_INET6 ? [isFamily(6)] : []),
    ...(by === null ? [] : [ifnot === 0 ? by : (probe: Probe) => not(by(probe))]),
  ];
}

function binatTests(rule: PfRuleReadBack, to: Network | null): Test[] {
  if (rule.direction !== PF_INOUT) return [() => 'no'];
  return [
    ...common(rule, 'in'),
    to === null ? maybe : isWithin('to', [to]),
    addressTest('from', rule.dst, rule.af),
  ];
}

/** A name that ends with no digit is that of a group (ifconfig(8)). */
function interfaceTest(name: string, end: 'comesBy' | 'goesBy'): Test | null {
  if (name === '' || name === 'any') return null;
  return /\d$/.test(name) ? passesBy(end, [name]) : maybe;
}

function addressTest(end: 'from' | 'to', ruleEnd: RuleEnd, af: number): Test {
  const { addr, neg } = ruleEnd;
  if (addr.type === PF_ADDR_URPFFAILED) return ({ forged }) => whether(forged === (neg === 0));
  if (addr.type !== PF_ADDR_ADDRMASK) return maybe;
  if (addr['v.a.mask'].every((byte) => byte === 0)) return () => whether(neg === 0);
  const network = networkOfEnd(ruleEnd, af);
  if (network === null) return maybe;
  const test = isWithin(end, [network]);
  return neg === 0 ? test : (probe) => not(test(probe));
}

/** Null for a table, an interface's address, any. */
function networkOfEnd({ addr }: Pick<RuleEnd, 'addr'>, af: number): Network | null {
  if (addr.type !== PF_ADDR_ADDRMASK || (af !== AF_INET && af !== AF_INET6)) return null;
  const size = af === AF_INET ? 4 : 16;
  const mask = addr['v.a.mask'].subarray(0, size);
  const prefix = mask.reduce((bits, byte) => bits + byte.toString(2).replaceAll('0', '').length, 0);
  return prefix === 0 ? null : networkOf(addr['v.a.addr'].subarray(0, size), prefix);
}

/** `rule 12 ("user rule") of the main ruleset` */
export function ruleText({ path, rule }: RuleInPlace): string {
  const label = rule.label === '' ? '' : ` ("${rule.label}")`;
  return `rule ${rule.nr}${label} of ${path === '' ? 'the main ruleset' : `anchor "${path}"`}`;
}

/** `192.0.2.1` for a network of one address. */
export function targetText({ bytes, prefix, text }: Network): string {
  if (prefix !== bytes.length * 8) return text;
  return bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0);
}
