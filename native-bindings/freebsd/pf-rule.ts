import {
  array,
  at,
  be16,
  bytes,
  cstring,
  i32,
  overlay,
  pointer,
  struct,
  u8,
  u16,
  u32,
  u64,
  type ValuesOf,
} from '../struct.ts';
import {
  IFNAMSIZ,
  PF_QNAME_SIZE,
  PF_RULE_LABEL_SIZE,
  PF_TABLE_NAME_SIZE,
  PF_TAG_NAME_SIZE,
  PFTM_OLD_MAX,
} from './constants.ts';

/** struct pf_addr_wrap (net/pfvar.h): an address with a mask, an interface's addresses, or a table. */
export const pfAddrWrap = struct('pf_addr_wrap', 48, {
  'v.a.addr': at(0, bytes(16)),
  'v.a.mask': at(16, bytes(16)),
  'v.ifname': overlay(0, cstring(IFNAMSIZ)),
  'v.tblname': overlay(0, cstring(PF_TABLE_NAME_SIZE)),
  /** A kernel pointer; must be zero. */
  p: at(32, pointer),
  type: at(40, u8),
  iflags: at(41, u8),
});

/** struct pf_rule_addr. Ports are in network order in memory; `port_op` is one of PF_OP_. */
export const pfRuleAddr = struct('pf_rule_addr', 56, {
  addr: at(0, pfAddrWrap),
  port: at(48, array(be16, 2)),
  neg: at(52, u8),
  port_op: at(53, u8),
});

/** struct pf_pooladdr: one address of a nat, rdr or route-to pool. */
export const pfPooladdr = struct('pf_pooladdr', 88, {
  addr: at(0, pfAddrWrap),
  entries: at(48, bytes(16)),
  ifname: at(64, cstring(IFNAMSIZ)),
  kif: at(80, pointer),
});

/** struct pf_pool; the addresses themselves go in by DIOCADDADDR. `proxy_port` is in host order. */
export const pfPool = struct('pf_pool', 72, {
  proxy_port: at(60, array(u16, 2)),
  opts: at(64, u8),
});

const divert = struct('pf_rule.divert', 20, {
  addr: at(0, bytes(16)),
  port: at(16, be16),
});

/**
 * struct pf_rule, frozen since FreeBSD 12: the members that a rule is written with and its counters. What is
 * not named here (kernel pointers, skip steps, fingerprints) stays zero.
 */
export const pfRule = struct('pf_rule', 976, {
  src: at(0, pfRuleAddr),
  dst: at(56, pfRuleAddr),
  label: at(176, cstring(PF_RULE_LABEL_SIZE)),
  ifname: at(240, cstring(IFNAMSIZ)),
  qname: at(256, cstring(PF_QNAME_SIZE)),
  pqname: at(320, cstring(PF_QNAME_SIZE)),
  tagname: at(384, cstring(PF_TAG_NAME_SIZE)),
  match_tagname: at(448, cstring(PF_TAG_NAME_SIZE)),
  overload_tblname: at(512, cstring(PF_TABLE_NAME_SIZE)),
  rpool: at(560, pfPool),
  evaluations: at(632, u64),
  packets: at(640, array(u64, 2)),
  bytes: at(656, array(u64, 2)),
  /** Routing table; -1 leaves the packet's own, 0 would move it to table 0. */
  rtableid: at(700, i32),
  /** Seconds, indexed by PFTM_; 0 is the global timeout. */
  timeout: at(704, array(u32, PFTM_OLD_MAX)),
  max_states: at(784, u32),
  max_src_nodes: at(788, u32),
  max_src_states: at(792, u32),
  max_src_conn: at(796, u32),
  nr: at(820, u32),
  prob: at(824, u32),
  states_cur: at(840, u64),
  states_tot: at(848, u64),
  rule_flag: at(900, u32),
  action: at(904, u8),
  direction: at(905, u8),
  log: at(906, u8),
  logif: at(907, u8),
  quick: at(908, u8),
  ifnot: at(909, u8),
  match_tag_not: at(910, u8),
  natpass: at(911, u8),
  keep_state: at(912, u8),
  af: at(913, u8),
  proto: at(914, u8),
  type: at(915, u8),
  code: at(916, u8),
  flags: at(917, u8),
  flagset: at(918, u8),
  min_ttl: at(919, u8),
  allow_opts: at(920, u8),
  rt: at(921, u8),
  return_ttl: at(922, u8),
  tos: at(923, u8),
  set_tos: at(924, u8),
  anchor_relative: at(925, u8),
  anchor_wildcard: at(926, u8),
  flush: at(927, u8),
  prio: at(928, u8),
  set_prio: at(929, array(u8, 2)),
  divert: at(932, divert),
});

export type PfRuleValues = ValuesOf<typeof pfRule>;
