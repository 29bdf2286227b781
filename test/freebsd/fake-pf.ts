import { freebsdErrno, SystemError } from '../../native-bindings/errno.ts';
import {
  PF_BINAT,
  PF_CHANGE_ADD_TAIL,
  PF_DROP,
  PF_IN,
  PF_LIMIT_ANCHORS,
  PF_NAT,
  PF_PASS,
  PF_RDR,
  PF_RULESET_BINAT,
  PF_RULESET_FILTER,
  PF_RULESET_NAT,
  PF_RULESET_RDR,
  PF_RULESET_SCRUB,
  PF_SCRUB,
} from '../../native-bindings/freebsd/constants.ts';
import type { Pf, RuleRequest } from '../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack, StateSelector } from '../../native-bindings/freebsd/pf-nv.ts';
import { type PfRuleValues, pfPooladdr } from '../../native-bindings/freebsd/pf-rule.ts';
import { pfStateExport } from '../../native-bindings/freebsd/pf-states.ts';
import type { ValuesOf } from '../../native-bindings/struct.ts';

export type StateValues = ValuesOf<typeof pfStateExport>;

type PoolAddress = ValuesOf<typeof pfPooladdr>;

interface FakeRule {
  readonly values: PfRuleValues;
  readonly anchorCall: string;
  readonly pool: readonly PoolAddress[];
  packets: bigint;
}

/** One ruleset of an anchor. */
interface FakeAnchor {
  active: FakeRule[];
  activeTicket: number;
  inactive: FakeRule[];
  inactiveTicket: number;
  open: boolean;
}

/** A packet filter's rules in memory, with pf_ioctl.c's rules about tickets, duplicates and empty anchors. */
export interface FakePf extends Pf {
  /** What another program may do at any time. */
  readonly others: {
    /** DIOCBEGINADDRS: takes the pool's ticket away. */
    takePool(): void;
    /** `pfctl -a path -F rules`. */
    flush(path: string): void;
    /** `pfctl -a path -f`: replaces the rules. */
    replace(path: string, rules: readonly PfRuleValues[]): void;
  };
  /** Is asked before each request; a symbol makes it fail with that errno. */
  refuse: (call: string, subject: string) => string | null;
  /** Requests so far, by name. */
  readonly calls: Map<string, number>;
  readonly kills: StateSelector[];
  /** Counts packets for the rule at this place, as many in as out. */
  pass(path: string, nr: number, packets: number): void;
  /** What DIOCGETSTATESV2 tells; null: this kernel does not know it. */
  stateTable: readonly StateValues[] | null;
  /** Every rule of an anchor. `action`: PF_PASS and the like. */
  contents(path: string, action?: number): PfRuleReadBack[];
}

const RULESET_OF: Readonly<Record<number, number>> = {
  [PF_PASS]: PF_RULESET_FILTER,
  [PF_DROP]: PF_RULESET_FILTER,
  [PF_NAT]: PF_RULESET_NAT,
  [PF_BINAT]: PF_RULESET_BINAT,
  [PF_RDR]: PF_RULESET_RDR,
  [PF_SCRUB]: PF_RULESET_SCRUB,
};

export function createFakePf(): FakePf {
  /** By path, then by ruleset: PF_RULESET_FILTER and the like. */
  const anchors = new Map<string, Map<number, FakeAnchor>>();
  let poolTicket = 100;
  /** What DIOCADDADDR put in: the next rule takes it. */
  let poolBuffer: PoolAddress[] = [];
  const calls = new Map<string, number>();
  const kills: StateSelector[] = [];

  const failed = (call: string, code: string, subject: string) =>
    new SystemError('freebsd', call, freebsdErrno[code]!, subject);

  function enter(call: string, subject: string): void {
    calls.set(call, (calls.get(call) ?? 0) + 1);
    const code = fake.refuse(call, subject);
    if (code !== null) throw failed(call, code, subject);
  }

  /** Makes the anchor and those above it. */
  function make(path: string, ruleset = PF_RULESET_FILTER): FakeAnchor {
    const above = path.lastIndexOf('/');
    if (above > 0) make(path.slice(0, above));
    const rulesets = anchors.get(path) ?? new Map<number, FakeAnchor>();
    anchors.set(path, rulesets);
    const found = rulesets.get(ruleset);
    if (found !== undefined) return found;
    const made = { active: [], activeTicket: 0, inactive: [], inactiveTicket: 0, open: false };
    rulesets.set(ruleset, made);
    return made;
  }

  /** The ruleset that rules of this action are in. */
  function find(call: string, path: string, action: number): FakeAnchor {
    if (!anchors.has(path)) throw failed(call, 'EINVAL', path);
    return make(path, RULESET_OF[action]!);
  }

  function takePool(): PoolAddress[] {
    const taken = poolBuffer;
    poolBuffer = [];
    return taken;
  }

  /** Paths that some active or inactive rule calls. */
  function referenced(): Set<string> {
    const paths = new Set<string>(['']);
    for (const [path, rulesets] of anchors) {
      for (const { active, inactive } of rulesets.values()) {
        for (const { anchorCall } of [...active, ...inactive]) {
          if (anchorCall !== '') paths.add(path === '' ? anchorCall : `${path}/${anchorCall}`);
        }
      }
    }
    return paths;
  }

  /** pf_remove_if_empty_kruleset, from the leaves up. */
  function removeEmpty(): void {
    for (let again = true; again; ) {
      again = false;
      const called = referenced();
      for (const [path, rulesets] of anchors) {
        const children = [...anchors.keys()].some((other) => other.startsWith(`${path}/`));
        const used = [...rulesets.values()].some(({ active, open }) => active.length > 0 || open);
        if (used || children || called.has(path)) continue;
        anchors.delete(path);
        again = true;
      }
    }
  }

  /** All of a rule but its counters. */
  const identity = (rule: FakeRule) =>
    JSON.stringify([readBack(rule, 0), rule.pool], (_, value) => (typeof value === 'bigint' ? 0 : value));

  function checked(call: string, into: readonly FakeRule[], request: RuleRequest): FakeRule {
    const rule = {
      values: request.rule,
      anchorCall: request.anchorCall ?? '',
      pool: takePool(),
      packets: 0n,
    };
    const { action = PF_PASS, rt = 0 } = rule.values;
    const translates = action !== PF_PASS && action !== PF_DROP && rule.anchorCall === '';
    if ((translates || rt !== 0) && rule.pool.length === 0) throw failed(call, 'EINVAL', request.anchor);
    if (into.some((one) => identity(one) === identity(rule))) throw failed(call, 'EEXIST', request.anchor);
    if (rule.anchorCall !== '') {
      make(request.anchor === '' ? rule.anchorCall : `${request.anchor}/${rule.anchorCall}`);
    }
    return rule;
  }

  function swap(path: string, ruleset = PF_RULESET_FILTER): void {
    const anchor = make(path, ruleset);
    anchor.active = anchor.inactive;
    anchor.inactive = [];
    anchor.activeTicket = anchor.inactiveTicket;
    anchor.open = false;
  }

  function begin(path: string, ruleset = PF_RULESET_FILTER): number {
    const anchor = make(path, ruleset);
    anchor.inactive = [];
    anchor.open = true;
    return ++anchor.inactiveTicket;
  }

  const fake: FakePf = {
    fd: 9,
    refuse: () => null,
    calls,
    kills,
    others: {
      takePool() {
        poolTicket++;
      },
      flush(path) {
        begin(path);
        swap(path);
        removeEmpty();
      },
      replace(path, rules) {
        begin(path);
        make(path).inactive = rules.map((values) => ({ values, anchorCall: '', pool: [], packets: 0n }));
        swap(path);
      },
    },
    begin(elements) {
      enter('DIOCXBEGIN', elements.map(({ anchor }) => anchor).join(','));
      return {
        elements,
        tickets: elements.map(({ anchor, ruleset }) => begin(anchor, ruleset)),
        memory: Buffer.alloc(0),
      };
    },
    commit({ elements, tickets }) {
      enter('DIOCXCOMMIT', elements.map(({ anchor }) => anchor).join(','));
      for (const [index, { anchor, ruleset }] of elements.entries()) {
        const found = anchors.get(anchor)?.get(ruleset);
        if (!found?.open || found.inactiveTicket !== tickets[index]) {
          throw failed('DIOCXCOMMIT', 'EBUSY', anchor);
        }
      }
      for (const { anchor, ruleset } of elements) swap(anchor, ruleset);
      removeEmpty();
    },
    rollback({ elements }) {
      for (const { anchor, ruleset } of elements) {
        const found = anchors.get(anchor)?.get(ruleset);
        if (found) Object.assign(found, { inactive: [], open: false });
      }
      removeEmpty();
    },
    beginAddrs() {
      enter('DIOCBEGINADDRS', '');
      poolBuffer = [];
      return ++poolTicket;
    },
    addAddr(ticket, _, address) {
      enter('DIOCADDADDR', '');
      if (ticket !== poolTicket) throw failed('DIOCADDADDR', 'EBUSY', '');
      poolBuffer.push(address);
    },
    poolAddress(path, ticket, nr, action) {
      enter('DIOCGETADDR', path);
      const { active, activeTicket } = find('DIOCGETADDR', path, action);
      const address = active[nr]?.pool[0];
      if (ticket !== activeTicket || address === undefined) throw failed('DIOCGETADDR', 'EBUSY', path);
      return pfPooladdr.decode(pfPooladdr.encode(address));
    },
    addRule(request) {
      enter('DIOCADDRULE', request.anchor);
      const anchor = find('DIOCADDRULE', request.anchor, request.rule.action ?? PF_PASS);
      if (request.ticket !== anchor.inactiveTicket || request.poolTicket !== poolTicket) {
        throw failed('DIOCADDRULE', 'EBUSY', request.anchor);
      }
      anchor.inactive.push(checked('DIOCADDRULE', anchor.inactive, request));
    },
    changeTicket(path, action = PF_PASS) {
      enter('DIOCCHANGERULE', path);
      return ++find('DIOCCHANGERULE', path, action).activeTicket;
    },
    insertRule(place, request) {
      enter('DIOCCHANGERULE', request.anchor);
      if (place !== PF_CHANGE_ADD_TAIL) throw new Error(`place ${place} is not in the fake`);
      if (request.poolTicket !== poolTicket) throw failed('DIOCCHANGERULE', 'EBUSY', request.anchor);
      const anchor = find('DIOCCHANGERULE', request.anchor, request.rule.action ?? PF_PASS);
      if (request.ticket !== anchor.activeTicket) throw failed('DIOCCHANGERULE', 'EINVAL', request.anchor);
      anchor.active.push(checked('DIOCCHANGERULE', anchor.active, request));
      anchor.activeTicket++;
    },
    removeRule(path, ticket, nr, action = PF_PASS) {
      enter('DIOCCHANGERULE', path);
      const anchor = find('DIOCCHANGERULE', path, action);
      if (ticket !== anchor.activeTicket || anchor.active[nr] === undefined) {
        throw failed('DIOCCHANGERULE', 'EINVAL', path);
      }
      anchor.active.splice(nr, 1);
      anchor.activeTicket++;
      removeEmpty();
    },
    rules(path, action = PF_PASS) {
      enter('DIOCGETRULES', path);
      if (path === '') make('');
      const { active, activeTicket } = find('DIOCGETRULES', path, action);
      return { count: active.length, ticket: activeTicket };
    },
    rule(path, ticket, nr, action = PF_PASS) {
      enter('DIOCGETRULENV', path);
      const { active, activeTicket } = find('DIOCGETRULENV', path, action);
      const rule = active[nr];
      if (ticket !== activeTicket || rule === undefined) throw failed('DIOCGETRULENV', 'EBUSY', path);
      return readBack(rule, nr);
    },
    anchors(path) {
      enter('DIOCGETRULESETS', path);
      if (path !== '' && !anchors.has(path)) throw failed('DIOCGETRULESETS', 'ENOENT', path);
      const prefix = path === '' ? '' : `${path}/`;
      const below = [...anchors.keys()].filter((one) => one !== '' && one.startsWith(prefix));
      return below.map((one) => one.slice(prefix.length)).filter((one) => !one.includes('/'));
    },
    killStates(selector) {
      enter('DIOCKILLSTATESNV', selector.label ?? '');
      kills.push(selector);
      const before = fake.stateTable ?? [];
      const after = before.filter((one) => !isSelected(one, selector));
      if (fake.stateTable !== null) fake.stateTable = after;
      return before.length - after.length;
    },
    stateTable: null,
    states(most) {
      enter('DIOCGETSTATESV2', '');
      const { stateTable } = fake;
      if (stateTable === null) throw failed('DIOCGETSTATESV2', 'ENODEV', '');
      return stateTable.length > most
        ? null
        : Buffer.concat(stateTable.map((one) => pfStateExport.encode(one)));
    },
    status: () => ({ running: true, states: 0, reass: 1, counters: new Map() }),
    limit(index) {
      if (index !== PF_LIMIT_ANCHORS) throw failed('DIOCGETLIMIT', 'EINVAL', '');
      return 512;
    },
    setLimit() {},
    close() {},
    pass(path, nr, packets) {
      make(path).active[nr]!.packets += BigInt(packets);
    },
    contents: (path, action = PF_PASS) =>
      (anchors.get(path)?.get(RULESET_OF[action]!)?.active ?? []).map(readBack),
  };
  return fake;
}

/** pf_killstates and pf_killstates_row, for what the firewall asks: one state, or by the ends of the stack key. */
function isSelected(state: StateValues, selector: StateSelector): boolean {
  if (selector.state !== undefined) {
    return state.id === selector.state.id && (state.creatorid ?? 0) === selector.state.creatorid;
  }
  if (selector.label !== undefined || selector.translated !== true) return false;
  if (selector.af !== state.af || selector.proto !== state.proto) return false;
  const { addr, port } = state.key![1]!;
  const source = state.direction === PF_IN ? 0 : 1;
  return (
    [
      ['src', source],
      ['dst', 1 - source],
    ] as const
  ).every(([name, index]) => {
    const { address, port: wanted } = selector[name] ?? {};
    const own = addr!.subarray(index * 16, index * 16 + (address?.length ?? 0));
    const [first, last] = typeof wanted === 'object' ? wanted : [wanted, wanted];
    return (
      (address === undefined || Buffer.from(address).equals(own)) &&
      (first === undefined || (first <= port![index]! && port![index]! <= last!))
    );
  });
}

/** As DIOCGETRULENV tells it. */
function readBack({ values, anchorCall, packets }: FakeRule, nr: number): PfRuleReadBack {
  const end = (one: PfRuleValues['src']) => ({
    addr: {
      'v.a.addr': padded(one?.addr?.['v.a.addr']),
      'v.a.mask': padded(one?.addr?.['v.a.mask']),
      type: one?.addr?.type ?? 0,
    },
    port: [...(one?.port ?? [0, 0])],
    neg: one?.neg ?? 0,
    port_op: one?.port_op ?? 0,
  });
  return {
    src: end(values.src),
    dst: end(values.dst),
    label: values.label ?? '',
    ifname: values.ifname ?? '',
    qname: values.qname ?? '',
    pqname: '',
    tagname: values.tagname ?? '',
    match_tagname: values.match_tagname ?? '',
    evaluations: packets,
    packets: [packets, packets],
    bytes: [packets * 200n, packets * 200n],
    rtableid: values.rtableid ?? 0,
    timeout: [...(values.timeout ?? [])],
    max_states: values.max_states ?? 0,
    nr,
    prob: 0,
    states_cur: 0n,
    states_tot: 0n,
    rule_flag: values.rule_flag ?? 0,
    rt: values.rt ?? 0,
    action: values.action ?? 0,
    direction: values.direction ?? 0,
    log: values.log ?? 0,
    quick: values.quick ?? 0,
    ifnot: values.ifnot ?? 0,
    keep_state: values.keep_state ?? 0,
    af: values.af ?? 0,
    proto: values.proto ?? 0,
    allow_opts: 0,
    tos: 0,
    prio: 0,
    anchor_relative: 0,
    anchor_wildcard: 0,
    divertPort: values.divert?.port ?? 0,
    anchorCall,
  };
}

function padded(bytes: Uint8Array | undefined): Buffer {
  const result = Buffer.alloc(16);
  if (bytes !== undefined) result.set(bytes);
  return result;
}
