/**
 * pf(4)'s requests on an open /dev/pf, one function for each: encode, ioctl, decode. What to ask and in which
 * order is the caller's affair. Every refusal is a SystemError whose `call` is the request's name; EBUSY means
 * that another program changed the rules in between and the sequence may be tried again.
 */
import type { Libc } from '../engine.ts';
import type { ContentsOf, ValuesOf } from '../struct.ts';
import { O_CLOEXEC, O_RDWR, PF_CHANGE_GET_TICKET, PF_CHANGE_REMOVE, PF_PASS } from './constants.ts';
import { type PfIoctl, pfIoctls } from './ioctls.ts';
import { type NvList, packNvList, unpackNvList } from './nvlist.ts';
import {
  killStatesRequest,
  nvNumber,
  type PfRuleReadBack,
  type PfStatus,
  ruleFromReply,
  type StateSelector,
  statusFromReply,
} from './pf-nv.ts';
import type { PfRuleValues, pfPooladdr } from './pf-rule.ts';
import { PF_STATE_VERSION, pfiocStatesV2, pfStateExport } from './pf-states.ts';
import {
  pfiocLimit,
  pfiocNv,
  pfiocPooladdr,
  pfiocRule,
  pfiocRuleset,
  pfiocTrans,
  pfiocTransE,
} from './pfioc.ts';

/** One ruleset of one anchor in a transaction. */
interface TransactionElement {
  /** PF_RULESET_FILTER and the like. */
  readonly ruleset: number;
  /** Path of the anchor, `pinholed/03`; empty is the main ruleset. */
  readonly anchor: string;
}

/** An open transaction: the tickets are in the order of its elements. */
interface RulesetTransaction {
  readonly elements: readonly TransactionElement[];
  readonly tickets: readonly number[];
  /** struct pfioc_trans, and the pfioc_trans_e it points to. */
  readonly memory: Buffer;
}

/** A rule for DIOCADDRULE or DIOCCHANGERULE. */
export interface RuleRequest {
  /** Of the transaction's element, or of `changeTicket`. */
  readonly ticket: number;
  /** Of `beginAddrs`, called after the last rule was added. */
  readonly poolTicket: number;
  readonly anchor: string;
  readonly rule: PfRuleValues;
  /** The anchor this rule calls: a name below `anchor`, `*` at its end for all below it. */
  readonly anchorCall?: string;
}

/** An open /dev/pf. Needs root to open; afterwards no privilege at all. */
export interface Pf {
  readonly fd: number;
  /** DIOCXBEGIN: starts an inactive copy of each ruleset; makes the anchors that are missing. */
  begin(elements: readonly TransactionElement[]): RulesetTransaction;
  /** DIOCXCOMMIT: makes the inactive copies the active rules, all at once. */
  commit(transaction: RulesetTransaction): void;
  /** DIOCXROLLBACK. */
  rollback(transaction: RulesetTransaction): void;
  /** DIOCBEGINADDRS: empties the address pool and gives the ticket that the next rule must carry. */
  beginAddrs(): number;
  /** DIOCADDADDR: one address into the pool, for nat, rdr and route-to rules. `af` is AF_INET or AF_INET6. */
  addAddr(poolTicket: number, af: number, address: ValuesOf<typeof pfPooladdr>): void;
  /** DIOCGETADDR: the first pool address of an active rule. EBUSY: it has none, or the rules changed since `rules`. */
  poolAddress(anchor: string, ticket: number, nr: number, action: number): ContentsOf<typeof pfPooladdr>;
  /** DIOCADDRULE: appends a rule to a transaction's ruleset. EEXIST on FreeBSD 15 for an exact duplicate. */
  addRule(request: RuleRequest): void;
  /**
   * DIOCCHANGERULE, PF_CHANGE_GET_TICKET: the ticket that one change of the active rules must carry. Each change
   * spends it. `action` says which ruleset: PF_PASS the filter rules, PF_NAT, PF_RDR. EINVAL: no such anchor.
   */
  changeTicket(anchor: string, action?: number): number;
  /**
   * DIOCCHANGERULE: puts one rule into the active ruleset. `place` is PF_CHANGE_ADD_HEAD or _TAIL, or _BEFORE or
   * _AFTER the rule at position `nr`. The rules behind it move down by one.
   */
  insertRule(place: number, request: RuleRequest, nr?: number): void;
  /** DIOCCHANGERULE, PF_CHANGE_REMOVE: takes out the rule at position `nr`. The rules behind it move up by one. */
  removeRule(anchor: string, ticket: number, nr: number, action?: number): void;
  /** DIOCGETRULES: how many rules are active, and the ticket to read them with. EINVAL: no such anchor. */
  rules(anchor: string, action?: number): { readonly count: number; readonly ticket: number };
  /** DIOCGETRULENV. `ruleset` is PF_PASS and the like. EBUSY: the rules changed since `rules`. */
  rule(anchor: string, ticket: number, nr: number, action?: number): PfRuleReadBack;
  /** DIOCGETRULESETS and DIOCGETRULESET: names of the anchors below `path`. ENOENT: no such anchor. */
  anchors(path: string): string[];
  /** DIOCKILLSTATESNV: how many states were killed. Without `state` it walks the whole state table: milliseconds. */
  killStates(selector: StateSelector): number;
  /**
   * DIOCGETSTATESV2: every state, one struct pf_state_export after the other, or null when there are more than
   * `most`. Costs about as much as `pfctl -s states`. The memory is good until the next call. ENODEV: this kernel
   * does not know the request (FreeBSD 15 without COMPAT_FREEBSD14).
   */
  states(most: number): Buffer | null;
  /** DIOCGETSTATUSNV. */
  status(): PfStatus;
  /** DIOCGETLIMIT: the limit PF_LIMIT_. EINVAL: this kernel has no such limit. */
  limit(index: number): number;
  /** DIOCSETLIMIT. */
  setLimit(index: number, limit: number): void;
  close(): void;
}

const NV_SIZE = 16 * 1024;
const NV_SIZE_MAX = 1024 * 1024;
/** States that may come while they are counted and read. The kernel leaves out what has no room, and does not say so. */
const STATES_TO_COME = 256;

/** Opens `path` for reading and writing. Throws SystemError: EACCES without root, ENOENT without pf.ko. */
export function openPf(libc: Libc, path = '/dev/pf'): Pf {
  const fd = libc.check('open', libc.open(path, O_RDWR | O_CLOEXEC, 0), path);
  // Each kind of request has its own memory: nothing is allocated for a rule.
  const ruleMemory = Buffer.alloc(pfiocRule.size);
  const poolMemory = Buffer.alloc(pfiocPooladdr.size);
  let stateMemory = Buffer.alloc(0);

  const request = (name: PfIoctl, memory: Buffer, subject: string): void => {
    libc.check(name, libc.ioctl(fd, pfIoctls[name], memory), subject);
  };
  const ask = (name: PfIoctl, memory: Buffer, subject: string): Buffer => {
    request(name, memory, subject);
    return memory;
  };
  const askNv = (name: PfIoctl, packed: Buffer, subject: string): NvList => {
    for (let size = NV_SIZE; ; size *= 4) {
      const data = Buffer.alloc(Math.max(size, packed.length));
      packed.copy(data);
      const nv = pfiocNv.encode({
        data: libc.address(data),
        len: BigInt(packed.length),
        size: BigInt(data.length),
      });
      if (libc.ioctl(fd, pfIoctls[name], nv) === 0) {
        return unpackNvList(data.subarray(0, Number(pfiocNv.get('len', nv))));
      }
      if (libc.failure() !== 'ENOSPC' || size >= NV_SIZE_MAX) throw libc.error(name, subject);
    }
  };
  const changeRule = (
    action: number,
    nr: number,
    { ticket, poolTicket, anchor, rule, anchorCall }: RuleRequest,
  ) => {
    pfiocRule.encode(
      { action, ticket, pool_ticket: poolTicket, nr, anchor, anchor_call: anchorCall ?? '', rule },
      ruleMemory,
    );
    request('DIOCCHANGERULE', ruleMemory, anchor);
  };
  const askStates = (into: Buffer): number => {
    const memory = pfiocStatesV2.encode({
      ps_len: into.length,
      ps_req_version: PF_STATE_VERSION,
      ps_buf: into.length === 0 ? 0n : libc.address(into),
    });
    return pfiocStatesV2.get('ps_len', ask('DIOCGETSTATESV2', memory, ''));
  };
  const transact = (name: PfIoctl, { memory, elements }: RulesetTransaction): void => {
    request(name, memory, elements.map(({ anchor }) => anchor).join(', '));
  };

  return {
    fd,
    begin(elements) {
      const memory = Buffer.alloc(pfiocTrans.size + elements.length * pfiocTransE.size);
      pfiocTrans.encode(
        {
          size: elements.length,
          esize: pfiocTransE.size,
          array: libc.address(memory) + BigInt(pfiocTrans.size),
        },
        memory,
      );
      const place = (index: number): number => pfiocTrans.size + index * pfiocTransE.size;
      elements.forEach(({ ruleset, anchor }, index) => {
        pfiocTransE.encode({ rs_num: ruleset, anchor }, memory, place(index));
      });
      transact('DIOCXBEGIN', { elements, tickets: [], memory });
      const tickets = elements.map((_, index) => pfiocTransE.get('ticket', memory, place(index)));
      return { elements, tickets, memory };
    },
    commit: (transaction) => transact('DIOCXCOMMIT', transaction),
    rollback: (transaction) => transact('DIOCXROLLBACK', transaction),
    beginAddrs() {
      pfiocPooladdr.encode({}, poolMemory);
      request('DIOCBEGINADDRS', poolMemory, '');
      return pfiocPooladdr.get('ticket', poolMemory);
    },
    addAddr(poolTicket, af, addr) {
      pfiocPooladdr.encode({ ticket: poolTicket, af, addr }, poolMemory);
      request('DIOCADDADDR', poolMemory, '');
    },
    poolAddress(anchor, ticket, nr, action) {
      pfiocPooladdr.encode({ ticket, r_num: nr, r_action: action, anchor }, poolMemory);
      request('DIOCGETADDR', poolMemory, `${anchor} rule ${nr}`);
      return pfiocPooladdr.get('addr', poolMemory);
    },
    addRule({ ticket, poolTicket, anchor, rule, anchorCall }) {
      pfiocRule.encode(
        { ticket, pool_ticket: poolTicket, anchor, anchor_call: anchorCall ?? '', rule },
        ruleMemory,
      );
      request('DIOCADDRULE', ruleMemory, anchor);
    },
    changeTicket(anchor, action = PF_PASS) {
      pfiocRule.encode({ action: PF_CHANGE_GET_TICKET, anchor, rule: { action } }, ruleMemory);
      request('DIOCCHANGERULE', ruleMemory, anchor);
      return pfiocRule.get('ticket', ruleMemory);
    },
    insertRule: (place, rule, nr = 0) => changeRule(place, nr, rule),
    removeRule(anchor, ticket, nr, action = PF_PASS) {
      changeRule(PF_CHANGE_REMOVE, nr, { ticket, poolTicket: 0, anchor, rule: { action } });
    },
    rules(anchor, action = PF_PASS) {
      pfiocRule.encode({ anchor, rule: { action } }, ruleMemory);
      request('DIOCGETRULES', ruleMemory, anchor);
      return { count: pfiocRule.get('nr', ruleMemory), ticket: pfiocRule.get('ticket', ruleMemory) };
    },
    rule(anchor, ticket, nr, action = PF_PASS) {
      const packed = packNvList({ anchor, ruleset: action, ticket, nr, clear_counter: false });
      return ruleFromReply(askNv('DIOCGETRULENV', packed, `${anchor} rule ${nr}`));
    },
    anchors(path) {
      const count = pfiocRuleset.get('nr', ask('DIOCGETRULESETS', pfiocRuleset.encode({ path }), path));
      return Array.from({ length: count }, (_, nr) =>
        pfiocRuleset.get('name', ask('DIOCGETRULESET', pfiocRuleset.encode({ path, nr }), path)),
      );
    },
    killStates(selector) {
      const packed = packNvList(killStatesRequest(selector));
      return nvNumber(askNv('DIOCKILLSTATESNV', packed, selector.label ?? ''), 'killed');
    },
    states(most) {
      const room = STATES_TO_COME * pfStateExport.size;
      for (;;) {
        const wanted = askStates(Buffer.alloc(0));
        if (wanted > most * pfStateExport.size) return null;
        if (stateMemory.length < wanted + room) stateMemory = Buffer.alloc(wanted + 2 * room);
        const length = askStates(stateMemory);
        if (length + room / 2 < stateMemory.length) return stateMemory.subarray(0, length);
      }
    },
    status: () => statusFromReply(askNv('DIOCGETSTATUSNV', packNvList({}), '')),
    limit: (index) =>
      pfiocLimit.get('limit', ask('DIOCGETLIMIT', pfiocLimit.encode({ index }), `limit ${index}`)),
    setLimit(index, limit) {
      ask('DIOCSETLIMIT', pfiocLimit.encode({ index, limit }), `limit ${index}`);
    },
    close() {
      libc.close(fd);
    },
  };
}
