/** A pinhole as pf rules, and pf rules as a pinhole. */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_ADDR_ADDRMASK,
  PF_BINAT,
  PF_IN,
  PF_LOG,
  PF_LOG_ALL,
  PF_OUT,
  PF_PASS,
  PF_RDR,
  PF_REPLYTO,
  PF_STATE_NORMAL,
  PFRULE_IFBOUND,
  TH_ACK,
  TH_SYN,
} from '../../../native-bindings/freebsd/constants.ts';
import type { PfRuleReadBack, RuleEnd } from '../../../native-bindings/freebsd/pf-nv.ts';
import type { PfRuleValues, pfPooladdr } from '../../../native-bindings/freebsd/pf-rule.ts';
import type { ContentsOf } from '../../../native-bindings/struct.ts';
import { type Address, addressBytes, familyOf, formatIPv4, formatIPv6 } from '../../address/address.ts';
import { type Opening, openingId, wayWords } from '../../pinhole/opening.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import { onePortOf, portRange, rangeOf } from './ports.ts';
import type { NewRule } from './transaction.ts';
import { labelWith, parseLabel, type Way } from './way.ts';

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

/** What the system's ruleset asks of the rules, beside the settings. */
interface RuleContext {
  /** States belong to the interface they were made on (`set state-policy if-bound`). */
  readonly ifBound: boolean;
  /** Gateways by the interface of each uplink. */
  readonly gateways: ReadonlyMap<string, Address>;
}

/** An interface by which packets come in, and where answers to them go. */
export interface Uplink {
  readonly interface: string;
  readonly gateway: Address;
}

/**
 * One pf rule of a pinhole: one source, or any. `pass` lets through, `rdr` brings packets for the external address to
 * the host, `binat` gives the host's packets the external address and leaves their port.
 */
export interface PinholeRule {
  readonly kind: RuleKind;
  /** Equal keys are equal rules, which pf takes only once in an anchor. */
  readonly key: string;
  readonly label: string;
  readonly way: Way;
  readonly protocol: 'udp' | 'tcp';
  readonly source: Address | null;
  readonly sourcePort: number | null;
  readonly address: Address;
  readonly ports: readonly [first: number, last: number];
  /** Of a `pass`: the uplink by which packets come and are answered; null is any interface. */
  readonly uplink: string | null;
  /** Of a translation: the interface on which it is done; null is any. */
  readonly boundTo: string | null;
}

export type RuleKind = 'pass' | 'rdr' | 'binat';

const LOG = { off: 0, first: PF_LOG, all: PF_LOG | PF_LOG_ALL } as const;
/** PFTM_UDP_FIRST_PACKET follows the six of TCP. */
const NO_TCP_TIMEOUTS = [0, 0, 0, 0, 0, 0];
const FULL = new Uint8Array(16).fill(0xff);

/** The rules of a pinhole, for each of its sources: what translates, the uplinks, and the one for any interface. */
export function rulesOf(pinhole: Pinhole, uplinks: readonly Uplink[] = []): PinholeRule[] {
  const { direction, translation, address } = pinhole;
  const translates = direction === 'in' && translation?.by === 'pinhole';
  const ways =
    direction === 'in' ? uplinks.filter(({ gateway }) => familyOf(gateway) === familyOf(address)) : [];
  const passes = passRulesOf(pinhole);
  return [
    ...passes.flatMap((pass) => [
      ...(translates
        ? TRANSLATING.map((kind) => ruleWith({ ...pass, kind, boundTo: placeOf(pinhole) }))
        : []),
      ...ways.map(({ interface: uplink }) => ruleWith({ ...pass, uplink })),
      pass,
    ]),
    ...leavingOf(pinhole, passes),
  ];
}

/**
 * Where inside hosts are translated: a packet of theirs that is the first of its flow passes the filter twice, on its way
 * in from the host itself and on its way out from the external address, since pf translates before it filters.
 */
function leavingOf({ direction, translation }: Pinhole, [pass]: readonly PinholeRule[]): PinholeRule[] {
  if (direction === 'in' || translation === null || pass === undefined) return [];
  return [ruleWith({ ...pass, source: translation.arrivesAt })];
}

/** Whether a rule is of `leavingOf`: its source is none of the pinhole's. */
function isLeaving({ way: { direction, translation }, source }: PinholeRule): boolean {
  return direction === 'out' && translation !== null && source === translation.arrivesAt;
}

const TRANSLATING = ['rdr', 'binat'] as const;

/** Where the other party is behind the same external address, its packets come and go on an inside interface. */
function placeOf({ sources, translation }: Pinhole): string | null {
  if (translation === null || (sources !== 'any' && sources.includes(translation.external))) return null;
  return translation.interface;
}

/** Of the rules of a pinhole those that let through on any interface: one for each of its sources. */
export function passRulesOf(pinhole: Pinhole): PinholeRule[] {
  const { label, protocol, sources, sourcePort, address, ports, direction, translation } = pinhole;
  const common = {
    kind: 'pass',
    label,
    way: { direction, translation },
    uplink: null,
    boundTo: null,
  } as const;
  const each = sources === 'any' ? [null] : sources;
  return each.map((source) => ruleWith({ ...common, protocol, source, sourcePort, address, ports }));
}

/** The rule of the same pinhole and source that lets through on any interface. */
export function anywhere(rule: PinholeRule): PinholeRule {
  return rule.uplink === null ? rule : ruleWith({ ...rule, uplink: null });
}

/** What this one rule lets through. */
export function openingOf({ way, protocol, source, sourcePort, address, ports }: PinholeRule): Opening {
  return { ...way, protocol, sources: source === null ? 'any' : [source], sourcePort, address, ports };
}

function ruleWith(rule: Omit<PinholeRule, 'key'>): PinholeRule {
  const { kind, source, uplink, boundTo } = rule;
  const words = [
    ...(kind === 'pass' ? [] : [boundTo === null ? kind : `${kind} on ${boundTo}`]),
    ...(uplink === null ? [] : [`reply-to ${uplink}`]),
    source ?? 'any',
    targetOf(rule),
  ];
  return { ...rule, key: words.join(' ') };
}

/** What the rules of one pinhole have in common. */
function targetOf({ label, way, protocol, sourcePort, address, ports }: Omit<PinholeRule, 'key'>): string {
  const words = [
    `${label} ${protocol} :${sourcePort ?? '*'} > ${address} ${ports[0]}-${ports[1]}`,
    ...wayWords(way),
  ];
  return words.join(' ');
}

/** The rule for DIOCADDRULE or DIOCCHANGERULE. Throws where an uplink is not known any more. */
export function encodeRule(rule: PinholeRule, style: RuleStyle, context: RuleContext): NewRule {
  if (rule.kind !== 'pass') return encodeTranslation(rule);
  const values = encodePass(rule, style, context);
  const gateway = rule.uplink === null ? undefined : context.gateways.get(rule.uplink);
  if (rule.uplink === null || gateway === undefined) return { values };
  const address = { addr: hostOnly(gateway), ifname: rule.uplink };
  return {
    values: { ...values, direction: PF_IN, ifname: rule.uplink, rt: PF_REPLYTO },
    pool: { af: values.af!, address },
  };
}

/**
 * It has no direction and no interface: with `set state-policy if-bound` one rule then makes the state on the way in
 * and the one on the way out.
 */
function encodePass(rule: PinholeRule, style: RuleStyle, { ifBound }: RuleContext): PfRuleValues {
  const { protocol, source, sourcePort, address, ports } = rule;
  const tcp = protocol === 'tcp';
  return {
    src: from(source, sourcePort),
    dst: { addr: hostOnly(address), ...portRange(ports) },
    label: labelWith(rule.label, rule.way),
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
    ...(ifBound && { rule_flag: PFRULE_IFBOUND }),
    keep_state: PF_STATE_NORMAL,
    max_states: mostStates(ports, style),
    flags: tcp ? TH_SYN : 0,
    flagset: tcp ? TH_SYN | TH_ACK : 0,
    af: familyOf(address) === 4 ? AF_INET : AF_INET6,
    proto: tcp ? IPPROTO_TCP : IPPROTO_UDP,
  };
}

/** As many ports as a pinhole of a call has at most. */
const PORTS_OF_A_CALL = 16;
/** Each port of a wider pinhole is another stream's, with a state on either interface. */
const STATES_PER_PORT = 2;

function mostStates([first, last]: PinholeRule['ports'], { statesPerRule }: RuleStyle): number {
  const ports = last - first + 1;
  return ports <= PORTS_OF_A_CALL ? statesPerRule : Math.max(statesPerRule, STATES_PER_PORT * ports);
}

/**
 * `rdr on em0 inet proto udp from PARTY to EXTERNAL port 10000:10001 -> HOST`, and
 * `binat out on em0 inet proto udp from HOST port 10000:10001 to PARTY -> EXTERNAL`, which pfctl(8) has no words for:
 * without direction what comes to any other port of the external address would go to the host. A nat rule would do
 * instead, but on FreeBSD 15 one in an anchor gives way to one of the ruleset around it, before or after.
 */
function encodeTranslation(rule: PinholeRule): NewRule {
  const { kind, protocol, source, sourcePort, address, ports, boundTo } = rule;
  const { translation } = rule.way;
  if (translation === null) throw new TypeError(`a ${kind} rule without an address: ${rule.key}`);
  const { arrivesAt } = translation;
  const af = familyOf(address) === 4 ? AF_INET : AF_INET6;
  const common = {
    label: labelWith(rule.label, rule.way),
    rtableid: -1,
    ...(boundTo !== null && { ifname: boundTo }),
    af,
    proto: protocol === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP,
  };
  const party = from(source, sourcePort);
  if (kind === 'rdr') {
    const dst = { addr: hostOnly(arrivesAt), ...portRange(ports) };
    return {
      values: { ...common, action: PF_RDR, src: party, dst },
      pool: { af, address: { addr: hostOnly(address) } },
    };
  }
  const src = { addr: hostOnly(address), ...portRange(ports) };
  return {
    values: { ...common, action: PF_BINAT, direction: PF_OUT, src, dst: party },
    pool: { af, address: { addr: hostOnly(arrivesAt) } },
  };
}

/** The outside party's end. */
function from(source: Address | null, sourcePort: number | null) {
  return {
    ...(source !== null && { addr: hostOnly(source) }),
    ...(sourcePort !== null && portRange([sourcePort, sourcePort])),
  };
}

function seconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1000));
}

function hostOnly(address: Address): { 'v.a.addr': Uint8Array; 'v.a.mask': Uint8Array } {
  const bytes = addressBytes(address);
  return { 'v.a.addr': bytes, 'v.a.mask': FULL.subarray(0, bytes.length) };
}

/** A rule as the kernel has it, and where it translates to. */
interface ReadRule {
  readonly rule: PfRuleReadBack;
  /** The first address of its pool; null where it has none. */
  readonly pool: ContentsOf<typeof pfPooladdr> | null;
}

/** The rule of a pinhole that the kernel has, or null when it is none that `encodeRule` could have made. */
export function decodeRule(read: ReadRule): PinholeRule | null {
  const { rule } = read;
  const { src, dst, af, proto } = rule;
  const protocol = proto === IPPROTO_UDP ? 'udp' : proto === IPPROTO_TCP ? 'tcp' : null;
  if (protocol === null || (af !== AF_INET && af !== AF_INET6)) return null;
  if (rule.anchorCall !== '' || rule.match_tagname !== '' || rule.divertPort !== 0) return null;
  if (rule.prob !== 0 || rule.tos !== 0 || src.neg !== 0 || dst.neg !== 0) return null;
  const named = parseLabel(rule.label);
  if (named === null) return null;
  const common = { ...named, protocol, uplink: null, boundTo: null } as const;
  return rule.action === PF_PASS ? decodePass(read, common) : decodeTranslation(read, common);
}

type Decoded = Pick<PinholeRule, 'label' | 'way' | 'protocol' | 'uplink' | 'boundTo'>;

function decodePass({ rule }: ReadRule, common: Decoded): PinholeRule | null {
  const { src, dst, af } = rule;
  const isUplink = rule.rt === PF_REPLYTO && rule.direction === PF_IN && rule.ifname !== '';
  if (!isUplink && (rule.rt !== 0 || rule.direction !== 0 || rule.ifname !== '')) return null;
  if (rule.keep_state !== PF_STATE_NORMAL) return null;
  const party = partyOf(src, af);
  const address = hostOf(dst, af);
  const ports = rangeOf(dst);
  if (party === null || address === undefined || address === null || ports === null) return null;
  return ruleWith({
    ...common,
    kind: 'pass',
    ...party,
    address,
    ports,
    uplink: isUplink ? rule.ifname : null,
  });
}

/** The addresses of the rule and its pool have to be those that its label tells. */
function decodeTranslation({ rule, pool }: ReadRule, common: Decoded): PinholeRule | null {
  const { src, dst, af, action, direction, ifname } = rule;
  const { translation } = common.way;
  const kind =
    action === PF_RDR && direction === 0
      ? 'rdr'
      : action === PF_BINAT && direction === PF_OUT
        ? 'binat'
        : null;
  if (kind === null || pool === null || translation?.by !== 'pinhole') return null;
  const boundTo = ifname === '' ? null : ifname;
  if (boundTo !== null && boundTo !== translation.interface) return null;
  const [near, far] = kind === 'rdr' ? [dst, src] : [src, dst];
  const party = partyOf(far, af);
  const ports = rangeOf(near);
  const [own, other] = [hostOf(near, af), hostOf(pool, af)];
  const [address, external] = kind === 'rdr' ? [other, own] : [own, other];
  if (party === null || ports === null || !address || external !== translation.arrivesAt) return null;
  return ruleWith({ ...common, kind, ...party, address, ports, boundTo });
}

function partyOf(end: RuleEnd, af: number): Pick<PinholeRule, 'source' | 'sourcePort'> | null {
  const source = hostOf(end, af);
  const sourcePort = onePortOf(end);
  return source === undefined || sourcePort === undefined ? null : { source, sourcePort };
}

/** The one address of a rule's end; null for any, undefined for anything else. */
function hostOf({ addr }: Pick<RuleEnd, 'addr'>, af: number): Address | null | undefined {
  const size = af === AF_INET ? 4 : 16;
  if (addr.type !== PF_ADDR_ADDRMASK) return undefined;
  const mask = addr['v.a.mask'].subarray(0, size);
  if (mask.every((byte) => byte === 0)) return null;
  if (!mask.every((byte) => byte === 0xff)) return undefined;
  return size === 4 ? formatIPv4(addr['v.a.addr'], 0) : formatIPv6(addr['v.a.addr'], 0);
}

/** A pinhole put together from its rules. What it carries the rules do not say. */
interface Assembled {
  readonly pinhole: Pinhole;
  /** Those that let through on any interface. */
  readonly rules: readonly PinholeRule[];
}

/** Puts rules that differ in nothing but their source together again, one pinhole for each such group. */
export function assemble(rules: Iterable<PinholeRule>): Assembled[] {
  const groups = new Map<string, Map<string, PinholeRule>>();
  for (const rule of rules) {
    if (rule.kind !== 'pass' || rule.uplink !== null || isLeaving(rule)) continue;
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
