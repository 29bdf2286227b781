import type { ContentsOf } from '../struct.ts';
import { PF_OP_EQ, PF_OP_NONE, PF_OP_RRG } from './constants.ts';
import { type NvList, NvListError, type NvValue } from './nvlist.ts';
import type { pfRule, pfRuleAddr } from './pf-rule.ts';
import type { StateHandle } from './pf-states.ts';

/** One end of the states to kill: the initiator (`src`) or the responder (`dst`). */
interface StateEndFilter {
  /** 4 or 16 bytes in network order; absent: any. */
  readonly address?: Uint8Array;
  /** As long as the address; absent: the address alone. */
  readonly mask?: Uint8Array;
  /** One port, or first and last of a range. */
  readonly port?: number | readonly [first: number, last: number];
}

/** Which states DIOCKILLSTATESNV kills: those that match all that is given. */
export interface StateSelector {
  /** This one, found at once, whatever else is given; without it pf walks all its states. */
  readonly state?: StateHandle;
  /** Label of the rule that made the state, also after the rule is gone. */
  readonly label?: string;
  /** AF_INET or AF_INET6. */
  readonly af?: number;
  readonly proto?: number;
  readonly src?: StateEndFilter;
  readonly dst?: StateEndFilter;
  readonly ifname?: string;
  /** Also the state of the same flow on the other interface. */
  readonly killMatch?: boolean;
  /** Compare addresses and ports as rules see them, after rdr; else as they are on the wire. From 14.1 on. */
  readonly translated?: boolean;
}

/** pf's nvlists carry ports as the 16 bits lie in memory: in network order. */
function swapped(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8);
}

function padded(bytes: Uint8Array | undefined): Uint8Array {
  const address = new Uint8Array(16);
  if (bytes !== undefined) address.set(bytes);
  return address;
}

function stateEnd({ address, mask, port }: StateEndFilter = {}): NvList {
  const all = address === undefined ? undefined : new Uint8Array(address.length).fill(0xff);
  const [first, last] = typeof port === 'object' ? port : [port ?? 0, 0];
  const op = port === undefined ? PF_OP_NONE : typeof port === 'object' ? PF_OP_RRG : PF_OP_EQ;
  return {
    addr: { type: 0, iflags: 0, addr: { addr: padded(address) }, mask: { addr: padded(mask ?? all) } },
    port: [swapped(first), swapped(last)],
    neg: 0,
    port_op: op,
  };
}

/** The request of DIOCKILLSTATESNV (pf_nv.c, pf_nvstate_kill_to_kstate_kill). */
export function killStatesRequest(selector: StateSelector): NvList {
  return {
    cmp: { id: selector.state?.id ?? 0, creatorid: selector.state?.creatorid ?? 0, direction: 0 },
    af: selector.af ?? 0,
    proto: selector.proto ?? 0,
    src: stateEnd(selector.src),
    dst: stateEnd(selector.dst),
    rt_addr: stateEnd(),
    ifname: selector.ifname ?? '',
    label: selector.label ?? '',
    kill_match: selector.killMatch ?? false,
    ...(selector.translated === true && { nat: true }),
  };
}

function at(list: NvList, name: string): NvValue {
  const value = list[name];
  if (value === undefined) throw new NvListError(`pf's reply has no ${name}`);
  return value;
}

function nvBigint(list: NvList, name: string): bigint {
  const value = at(list, name);
  if (typeof value !== 'bigint') throw new NvListError(`${name} of pf's reply is no number`);
  return value;
}

/** A number of a reply of pf, exact up to 2^53. */
export function nvNumber(list: NvList, name: string): number {
  return Number(nvBigint(list, name));
}

function nvList(list: NvList, name: string): NvList {
  const value = at(list, name);
  if (typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array) {
    throw new NvListError(`${name} of pf's reply is no list`);
  }
  return value as NvList;
}

function nvString(list: NvList, name: string): string {
  const value = at(list, name);
  if (typeof value !== 'string') throw new NvListError(`${name} of pf's reply is no string`);
  return value;
}

function nvBytes(list: NvList, name: string): Buffer {
  const value = at(list, name);
  if (!Buffer.isBuffer(value)) throw new NvListError(`${name} of pf's reply is no binary`);
  return value;
}

function nvNumbers(list: NvList, name: string): bigint[] {
  const value = at(list, name);
  if (!Array.isArray(value) || typeof value[0] !== 'bigint') {
    throw new NvListError(`${name} of pf's reply is no array of numbers`);
  }
  return value as bigint[];
}

function nvStrings(list: NvList, name: string): string[] {
  const value = at(list, name);
  if (!Array.isArray(value) || typeof value[0] !== 'string') {
    throw new NvListError(`${name} of pf's reply is no array of strings`);
  }
  return value as string[];
}

/** A rule as the kernel holds it: the members of struct pf_rule that DIOCGETRULENV gives, in the struct's own terms. */
export interface PfRuleReadBack
  extends Pick<
    ContentsOf<typeof pfRule>,
    | 'label'
    | 'ifname'
    | 'qname'
    | 'pqname'
    | 'tagname'
    | 'match_tagname'
    | 'evaluations'
    | 'packets'
    | 'bytes'
    | 'rtableid'
    | 'timeout'
    | 'max_states'
    | 'nr'
    | 'prob'
    | 'states_cur'
    | 'states_tot'
    | 'rule_flag'
    | 'rt'
    | 'action'
    | 'direction'
    | 'log'
    | 'quick'
    | 'ifnot'
    | 'keep_state'
    | 'af'
    | 'proto'
    | 'allow_opts'
    | 'tos'
    | 'prio'
    | 'anchor_relative'
    | 'anchor_wildcard'
  > {
  readonly src: RuleEnd;
  readonly dst: RuleEnd;
  /** Divert port, in host order; 0 for a rule that diverts nothing. */
  readonly divertPort: number;
  /** The anchor this rule calls, relative to its own; empty for a rule that calls none. */
  readonly anchorCall: string;
}

export type RuleEnd = Pick<ContentsOf<typeof pfRuleAddr>, 'port' | 'neg' | 'port_op'> & {
  readonly addr: { readonly 'v.a.addr': Buffer; readonly 'v.a.mask': Buffer; readonly type: number };
};

function ruleEnd(list: NvList): RuleEnd {
  const wrap = nvList(list, 'addr');
  return {
    addr: {
      'v.a.addr': nvBytes(nvList(wrap, 'addr'), 'addr'),
      'v.a.mask': nvBytes(nvList(wrap, 'mask'), 'addr'),
      type: nvNumber(wrap, 'type'),
    },
    port: nvNumbers(list, 'port').map((port) => swapped(Number(port))),
    neg: nvNumber(list, 'neg'),
    port_op: nvNumber(list, 'port_op'),
  };
}

/** The reply of DIOCGETRULENV (pf_nv.c, pf_krule_to_nvrule). Throws NvListError when a member is missing. */
export function ruleFromReply(reply: NvList): PfRuleReadBack {
  const rule = nvList(reply, 'rule');
  const number = (name: string): number => nvNumber(rule, name);
  const string = (name: string): string => nvString(rule, name);
  return {
    src: ruleEnd(nvList(rule, 'src')),
    dst: ruleEnd(nvList(rule, 'dst')),
    label: 'labels' in rule ? nvStrings(rule, 'labels')[0]! : string('label'),
    ifname: string('ifname'),
    qname: string('qname'),
    pqname: string('pqname'),
    tagname: string('tagname'),
    match_tagname: string('match_tagname'),
    evaluations: nvBigint(rule, 'evaluations'),
    packets: nvNumbers(rule, 'packets'),
    bytes: nvNumbers(rule, 'bytes'),
    rtableid: Number(BigInt.asIntN(32, nvBigint(rule, 'rtableid'))),
    timeout: nvNumbers(rule, 'timeout').map(Number),
    max_states: number('max_states'),
    nr: number('nr'),
    prob: number('prob'),
    states_cur: nvBigint(rule, 'states_cur'),
    states_tot: nvBigint(rule, 'states_tot'),
    rule_flag: number('rule_flag'),
    rt: number('rt'),
    action: number('action'),
    direction: number('direction'),
    log: number('log'),
    quick: number('quick'),
    ifnot: number('ifnot'),
    keep_state: number('keep_state'),
    af: number('af'),
    proto: number('proto'),
    allow_opts: number('allow_opts'),
    tos: number('tos'),
    prio: number('prio'),
    anchor_relative: number('anchor_relative'),
    anchor_wildcard: number('anchor_wildcard'),
    divertPort: swapped(nvNumber(nvList(rule, 'divert'), 'port')),
    anchorCall: nvString(reply, 'anchor_call'),
  };
}

/** What pf says of itself. */
export interface PfStatus {
  readonly running: boolean;
  readonly states: number;
  /** PF_REASS_ENABLED and PF_REASS_NODF; 0 where `set reassemble` is off (scrub rules may still reassemble). */
  readonly reass: number;
  /** Packets dropped or noted, by pf's name of the reason: `match`, `memory`, `state-insert`. */
  readonly counters: ReadonlyMap<string, bigint>;
}

/** The reply of DIOCGETSTATUSNV (pf_ioctl.c, pf_getstatus). `reass` came with FreeBSD 14 and is 0 without. */
export function statusFromReply(reply: NvList): PfStatus {
  const counters = nvList(reply, 'counters');
  const values = nvNumbers(counters, 'counters');
  return {
    running: at(reply, 'running') === true,
    states: nvNumber(reply, 'states'),
    reass: 'reass' in reply ? nvNumber(reply, 'reass') : 0,
    counters: new Map(nvStrings(counters, 'names').map((name, index) => [name, values[index] ?? 0n])),
  };
}
