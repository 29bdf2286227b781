/** A pinhole as pf rules, and pf rules as a pinhole. */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_ADDR_ADDRMASK,
  PF_LOG,
  PF_LOG_ALL,
  PF_OP_EQ,
  PF_OP_NONE,
  PF_OP_RRG,
  PF_PASS,
  PF_STATE_NORMAL,
  TH_ACK,
  TH_SYN,
} from '../../../native-bindings/freebsd/constants.ts';
import type { PfRuleReadBack, RuleEnd } from '../../../native-bindings/freebsd/pf-nv.ts';
import type { PfRuleValues } from '../../../native-bindings/freebsd/pf-rule.ts';
import { type Address, addressBytes, familyOf, formatIPv4, formatIPv6 } from '../../address/address.ts';
import { type Opening, openingId } from '../../pinhole/opening.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';

/** What all pinhole rules have in common, from the settings. */
export interface RuleStyle {
  readonly log: 'off' | 'first' | 'all';
  /** With a tag the rules are not quick: a later rule that looks for it decides, as with ftp-proxy(8) -T. */
  readonly tag: string | null;
  readonly queue: string | null;
  /** `max` states of one rule. */
  readonly statesPerRule: number;
  /** State timeouts in ms. */
  readonly udpFirst: number;
  readonly udpSingle: number;
  readonly udpMultiple: number;
}

/** One pf rule of a pinhole: one source, or any. */
export interface PinholeRule {
  /** Equal keys are equal rules, which pf takes only once in an anchor. */
  readonly key: string;
  readonly label: string;
  readonly protocol: 'udp' | 'tcp';
  readonly source: Address | null;
  readonly sourcePort: number | null;
  readonly address: Address;
  readonly ports: readonly [first: number, last: number];
}

const LOG = { off: 0, first: PF_LOG, all: PF_LOG | PF_LOG_ALL } as const;
/** PFTM_UDP_FIRST_PACKET follows the six of TCP. */
const NO_TCP_TIMEOUTS = [0, 0, 0, 0, 0, 0];
const FULL = new Uint8Array(16).fill(0xff);

/** The rules of a pinhole: one for each of its sources. */
export function rulesOf(pinhole: Pinhole): PinholeRule[] {
  const { label, protocol, sources, sourcePort, address, ports } = pinhole;
  const each = sources === 'any' ? [null] : sources;
  return each.map((source) => ruleWith({ label, protocol, source, sourcePort, address, ports }));
}

/** What this one rule lets through. */
export function openingOf({ protocol, source, sourcePort, address, ports }: PinholeRule): Opening {
  const sources = source === null ? ('any' as const) : [source];
  return { direction: 'in', protocol, sources, sourcePort, address, ports, translation: null };
}

function ruleWith(rule: Omit<PinholeRule, 'key'>): PinholeRule {
  return { ...rule, key: `${rule.source ?? 'any'} ${targetOf(rule)}` };
}

/** What the rules of one pinhole have in common. */
function targetOf({ label, protocol, sourcePort, address, ports }: Omit<PinholeRule, 'key'>): string {
  return `${label} ${protocol} :${sourcePort ?? '*'} > ${address} ${ports[0]}-${ports[1]}`;
}

/**
 * The rule for DIOCADDRULE. It has no direction and no interface: with `set state-policy if-bound` one rule then
 * makes the state on the way in and the one on the way out.
 */
export function encodeRule(rule: PinholeRule, style: RuleStyle): PfRuleValues {
  const { protocol, source, sourcePort, address, ports } = rule;
  const tcp = protocol === 'tcp';
  const [first, last] = ports;
  return {
    src: {
      ...(source !== null && { addr: hostOnly(source) }),
      ...(sourcePort !== null && { port: [sourcePort, 0], port_op: PF_OP_EQ }),
    },
    dst: {
      addr: hostOnly(address),
      port: [first, first === last ? 0 : last],
      port_op: first === last ? PF_OP_EQ : PF_OP_RRG,
    },
    label: rule.label,
    rtableid: -1,
    ...(!tcp && {
      timeout: [
        ...NO_TCP_TIMEOUTS,
        seconds(style.udpFirst),
        seconds(style.udpSingle),
        seconds(style.udpMultiple),
      ],
    }),
    action: PF_PASS,
    log: LOG[style.log],
    quick: style.tag === null ? 1 : 0,
    ...(style.tag !== null && { tagname: style.tag }),
    ...(style.queue !== null && { qname: style.queue }),
    keep_state: PF_STATE_NORMAL,
    max_states: style.statesPerRule,
    flags: tcp ? TH_SYN : 0,
    flagset: tcp ? TH_SYN | TH_ACK : 0,
    af: familyOf(address) === 4 ? AF_INET : AF_INET6,
    proto: tcp ? IPPROTO_TCP : IPPROTO_UDP,
  };
}

function seconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1000));
}

function hostOnly(address: Address): { 'v.a.addr': Uint8Array; 'v.a.mask': Uint8Array } {
  const bytes = addressBytes(address);
  return { 'v.a.addr': bytes, 'v.a.mask': FULL.subarray(0, bytes.length) };
}

/** The rule of a pinhole that the kernel has, or null when it is none that `encodeRule` could have made. */
export function decodeRule(rule: PfRuleReadBack): PinholeRule | null {
  const { src, dst, af, proto, label } = rule;
  const protocol = proto === IPPROTO_UDP ? 'udp' : proto === IPPROTO_TCP ? 'tcp' : null;
  if (protocol === null || (af !== AF_INET && af !== AF_INET6)) return null;
  if (rule.action !== PF_PASS || rule.direction !== 0 || rule.ifname !== '' || rule.anchorCall !== '')
    return null;
  if (rule.keep_state !== PF_STATE_NORMAL || rule.match_tagname !== '' || rule.divertPort !== 0) return null;
  if (rule.prob !== 0 || rule.tos !== 0 || src.neg !== 0 || dst.neg !== 0) return null;
  const source = hostOf(src, af);
  const address = hostOf(dst, af);
  const ports = portsOf(dst);
  if (source === undefined || address === undefined || address === null || ports === null) return null;
  if (src.port_op !== PF_OP_NONE && src.port_op !== PF_OP_EQ) return null;
  const sourcePort = src.port_op === PF_OP_EQ ? src.port[0]! : null;
  return ruleWith({ label, protocol, source, sourcePort, address, ports });
}

/** The one address of a rule's end; null for any, undefined for anything else. */
function hostOf({ addr }: RuleEnd, af: number): Address | null | undefined {
  const size = af === AF_INET ? 4 : 16;
  if (addr.type !== PF_ADDR_ADDRMASK) return undefined;
  const mask = addr['v.a.mask'].subarray(0, size);
  if (mask.every((byte) => byte === 0)) return null;
  if (!mask.every((byte) => byte === 0xff)) return undefined;
  return size === 4 ? formatIPv4(addr['v.a.addr'], 0) : formatIPv6(addr['v.a.addr'], 0);
}

function portsOf({ port, port_op }: RuleEnd): readonly [number, number] | null {
  if (port_op === PF_OP_EQ) return [port[0]!, port[0]!];
  return port_op === PF_OP_RRG ? [port[0]!, port[1]!] : null;
}

/** A pinhole put together from its rules. What it carries the rules do not say. */
export interface Assembled {
  readonly pinhole: Pinhole;
  readonly rules: readonly PinholeRule[];
}

/** Puts rules that differ in nothing but their source together again, one pinhole for each such group. */
export function assemble(rules: Iterable<PinholeRule>): Assembled[] {
  const groups = new Map<string, Map<string, PinholeRule>>();
  for (const rule of rules) {
    const target = targetOf(rule);
    const group = groups.get(target) ?? new Map<string, PinholeRule>();
    group.set(rule.key, rule);
    groups.set(target, group);
  }
  return [...groups.values()].flatMap((group) => {
    const members = [...group.values()];
    const named = members.filter(({ source }) => source !== null);
    const open = members.filter(({ source }) => source === null);
    return [named, open]
      .filter((part) => part.length > 0)
      .map((part) => ({ pinhole: pinholeOf(part), rules: part }));
  });
}

function pinholeOf(rules: readonly PinholeRule[]): Pinhole {
  const sources = rules.flatMap(({ source }) => source ?? []).sort();
  const opening: Opening = { ...openingOf(rules[0]!), sources: sources.length === 0 ? 'any' : sources };
  return { ...opening, id: openingId(opening), kind: null, media: '', label: rules[0]!.label };
}
