import { at, be16, bytes, cstring, i32, pointer, struct, u8, u32, u64 } from '../struct.ts';
import { MAXPATHLEN, PF_ANCHOR_NAME_SIZE } from './constants.ts';
import { pfPooladdr, pfRule } from './pf-rule.ts';

/** struct pfioc_rule (net/pfvar.h): DIOCADDRULE, DIOCCHANGERULE, DIOCGETRULES. */
export const pfiocRule = struct('pfioc_rule', 3040, {
  action: at(0, u32),
  ticket: at(4, u32),
  pool_ticket: at(8, u32),
  nr: at(12, u32),
  anchor: at(16, cstring(MAXPATHLEN)),
  anchor_call: at(1040, cstring(MAXPATHLEN)),
  rule: at(2064, pfRule),
});

/** struct pfioc_pooladdr: DIOCBEGINADDRS, DIOCADDADDR, DIOCGETADDR. */
export const pfiocPooladdr = struct('pfioc_pooladdr', 1136, {
  action: at(0, u32),
  ticket: at(4, u32),
  nr: at(8, u32),
  r_num: at(12, u32),
  r_action: at(16, u8),
  r_last: at(17, u8),
  af: at(18, u8),
  anchor: at(19, cstring(MAXPATHLEN)),
  addr: at(1048, pfPooladdr),
});

/** struct pfioc_trans: DIOCXBEGIN, DIOCXCOMMIT, DIOCXROLLBACK. `array` points to `size` pfioc_trans_e. */
export const pfiocTrans = struct('pfioc_trans', 16, {
  size: at(0, i32),
  esize: at(4, i32),
  array: at(8, pointer),
});

/** struct pfioc_trans_e: one ruleset of one anchor, and its ticket. */
export const pfiocTransE = struct('pfioc_trans_e', 1032, {
  rs_num: at(0, i32),
  anchor: at(4, cstring(MAXPATHLEN)),
  ticket: at(1028, u32),
});

/** struct pfioc_nv: `data` points to `size` bytes, of which `len` are a packed nvlist. */
export const pfiocNv = struct('pfioc_nv', 24, {
  data: at(0, pointer),
  len: at(8, u64),
  size: at(16, u64),
});

/** struct pfioc_ruleset: DIOCGETRULESETS, DIOCGETRULESET. */
export const pfiocRuleset = struct('pfioc_ruleset', 1092, {
  nr: at(0, u32),
  path: at(4, cstring(MAXPATHLEN)),
  name: at(1028, cstring(PF_ANCHOR_NAME_SIZE)),
});

/** struct pfioc_limit: DIOCGETLIMIT, DIOCSETLIMIT. */
export const pfiocLimit = struct('pfioc_limit', 8, {
  index: at(0, i32),
  limit: at(4, u32),
});

/** struct pfioc_natlook: DIOCNATLOOK. Ports are in network order in memory. */
export const pfiocNatlook = struct('pfioc_natlook', 76, {
  saddr: at(0, bytes(16)),
  daddr: at(16, bytes(16)),
  rsaddr: at(32, bytes(16)),
  rdaddr: at(48, bytes(16)),
  sport: at(64, be16),
  dport: at(66, be16),
  rsport: at(68, be16),
  rdport: at(70, be16),
  af: at(72, u8),
  proto: at(73, u8),
  direction: at(74, u8),
});

/** struct divstat (netinet/ip_divert.h): the sysctl net.inet.divert.stats, FreeBSD 14 and later. */
export const divstat = struct('divstat', 32, {
  div_diverted: at(0, u64),
  div_noport: at(8, u64),
  div_outbound: at(16, u64),
  div_inbound: at(24, u64),
});
