/** Enough of pf.conf(5) to load a ruleset into the fake: what pfctl(8) makes of it, lists multiplied out. */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_ADDR_DYNIFTL,
  PF_ADDR_TABLE,
  PF_ADDR_URPFFAILED,
  PF_BINAT,
  PF_DROP,
  PF_IN,
  PF_NAT,
  PF_OP_EQ,
  PF_OP_IRG,
  PF_OP_RRG,
  PF_OUT,
  PF_PASS,
  PF_RDR,
  PF_REPLYTO,
  PF_ROUTETO,
  PF_RULESET_BINAT,
  PF_RULESET_FILTER,
  PF_RULESET_NAT,
  PF_RULESET_RDR,
  PF_STATE_NORMAL,
  PFRULE_NOSYNC,
} from '../../native-bindings/freebsd/constants.ts';
import type { PfRuleValues, pfPooladdr } from '../../native-bindings/freebsd/pf-rule.ts';
import type { ValuesOf } from '../../native-bindings/struct.ts';
import { parseNetwork } from '../../src/address/network.ts';
import type { FakePf } from './fake-pf.ts';

type PoolAddress = ValuesOf<typeof pfPooladdr>;
type End = NonNullable<PfRuleValues['src']>;

interface Loaded {
  readonly ruleset: number;
  readonly path: string;
  readonly values: PfRuleValues;
  readonly anchorCall?: string;
  readonly pool?: PoolAddress;
}

/** An interface's own address and network, for `antispoof`. */
export type Interfaces = Readonly<Record<string, { readonly address: string; readonly network: string }>>;

const RULESETS = { rdr: PF_RULESET_RDR, nat: PF_RULESET_NAT, binat: PF_RULESET_BINAT } as const;
const ACTIONS = { rdr: PF_RDR, nat: PF_NAT, binat: PF_BINAT } as const;
const PROTOCOLS: Readonly<Record<string, number>> = { udp: IPPROTO_UDP, tcp: IPPROTO_TCP };
const OTHER_PROTOCOL = 58;

/** Makes these lines the rules of the fake. */
export function loadPfConf(pf: FakePf, text: string, interfaces: Interfaces = {}): void {
  const rules = readPfConf(text, interfaces);
  const places = new Map(rules.map(({ ruleset, path }) => [`${ruleset} ${path}`, { ruleset, anchor: path }]));
  const elements = [...places.values()];
  const transaction = pf.begin(elements);
  for (const { ruleset, path, values, anchorCall, pool } of rules) {
    const at = elements.findIndex((one) => one.ruleset === ruleset && one.anchor === path);
    const poolTicket = pf.beginAddrs();
    if (pool !== undefined) pf.addAddr(poolTicket, values.af ?? AF_INET, pool);
    const request = { ticket: transaction.tickets[at]!, poolTicket, anchor: path, rule: values };
    try {
      pf.addRule(anchorCall === undefined ? request : { ...request, anchorCall });
    } catch (error) {
      // Rules that differ in nothing that is read here.
      if ((error as { code?: string }).code !== 'EEXIST') throw error;
    }
  }
  pf.commit(transaction);
}

function readPfConf(text: string, interfaces: Interfaces): Loaded[] {
  const macros = new Map<string, string>();
  const rules: Loaded[] = [];
  const paths = [''];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*/, '').replace(/\$(\w+)/g, (_, name: string) => macros.get(name) ?? '');
    const [, name, value] = /^(\w+)\s*=\s*"([^"]*)"\s*$/.exec(line) ?? [];
    if (name !== undefined) {
      macros.set(name, value!);
      continue;
    }
    const words = line.match(/"[^"]*"|->|><|[{}(),!]|[^\s{}(),!"]+/g) ?? [];
    const path = paths.at(-1)!;
    if (words.length === 0 || /^(set|table|scrub|no)$/.test(words[0]!)) continue;
    if (words[0] === '}') paths.pop();
    else if (words[0] === 'antispoof') rules.push(...antispoof(words, path, interfaces));
    else {
      const made = createLine(words).rule(path, rules.length);
      rules.push(...made);
      if (words.at(-1) === '{') paths.push(`${path === '' ? '' : `${path}/`}${made[0]!.anchorCall!}`);
    }
  }
  return rules;
}

function antispoof(words: readonly string[], path: string, interfaces: Interfaces): Loaded[] {
  const name = words.at(-1) === '}' ? words.at(-2)! : words.find((_, at) => words[at - 1] === 'for')!;
  const own = interfaces[words[words.indexOf('for') + 1] === '{' ? words[words.indexOf('for') + 2]! : name];
  if (own === undefined) return [];
  const quick = words.includes('quick') ? 1 : 0;
  const common = { action: PF_DROP, direction: PF_IN, quick, af: AF_INET };
  const place = { ruleset: PF_RULESET_FILTER, path };
  const ifname = words[words.indexOf('for') + 1] === '{' ? words[words.indexOf('for') + 2]! : name;
  return [
    { ...place, values: { ...common, ifname, ifnot: 1, src: networkEnd(own.network) } },
    { ...place, values: { ...common, src: networkEnd(own.address) } },
  ];
}

function networkEnd(text: string): End {
  const { bytes, prefix } = parseNetwork(text)!;
  const mask = bytes.map((_, index) => (0xff << (8 - Math.min(8, Math.max(0, prefix - index * 8)))) & 0xff);
  return { addr: { 'v.a.addr': bytes, 'v.a.mask': Uint8Array.from(mask) } };
}

/** One line, read from its words. */
function createLine(words: readonly string[]) {
  let at = 0;
  const next = (): string | undefined => words[at];

  function take(...wanted: readonly string[]): string | null {
    const word = next();
    if (word === undefined || !wanted.includes(word)) return null;
    return words[at++]!;
  }

  /** `x` or `{ x, y }`. */
  function list<T>(read: () => T): T[] {
    if (take('{') === null) return [read()];
    const items: T[] = [];
    while (take('}') === null) if (take(',') === null) items.push(read());
    return items;
  }

  const word = (): string => words[at++]!.replace(/^"|"$/g, '');

  function skipBrackets(): void {
    if (take('(') !== null) while (take(')') === null) at++;
    else list(word);
  }

  const address = (): End & { readonly family: 4 | 6 | null } => {
    const neg = take('!') === null ? 0 : 1;
    if (next() === '(') {
      skipBrackets();
      return { family: null, neg, addr: { type: PF_ADDR_DYNIFTL } };
    }
    const text = word();
    if (text === 'any') return { family: null };
    if (text === 'urpf-failed') return { family: null, neg, addr: { type: PF_ADDR_URPFFAILED } };
    if (text.startsWith('<')) return { family: null, neg, addr: { type: PF_ADDR_TABLE } };
    const network = parseNetwork(text);
    // The name of an interface.
    if (network === null) return { family: null, neg, addr: { type: PF_ADDR_DYNIFTL } };
    return { family: network.family, neg, ...networkEnd(text) };
  };

  const port = (): Pick<End, 'port' | 'port_op'> => {
    take('=');
    const [first, last] = word().split(':').map(Number);
    if (take('><') !== null) return { port: [first!, Number(word())], port_op: PF_OP_IRG };
    return last === undefined
      ? { port: [first!, 0], port_op: PF_OP_EQ }
      : { port: [first!, last], port_op: PF_OP_RRG };
  };

  function end(keyword: 'from' | 'to'): (End & { readonly family: 4 | 6 | null })[] {
    if (take(keyword) === null) return [{ family: null }];
    const addresses = next() === 'port' ? [{ family: null }] : list(address);
    const ports = take('port') === null ? [{}] : list(port);
    return addresses.flatMap((address) => ports.map((port) => ({ ...address, ...port })));
  }

  function rule(path: string, count: number): Loaded[] {
    const first = word();
    const [, kind, isAnchor] = /^(rdr|nat|binat)?(-?anchor)?$/.exec(first) ?? [];
    const translates = kind as keyof typeof RULESETS | undefined;
    const ruleset = translates === undefined ? PF_RULESET_FILTER : RULESETS[translates];
    const common: PfRuleValues = {
      action: translates === undefined ? (first === 'block' ? PF_DROP : PF_PASS) : ACTIONS[translates],
      keep_state: first === 'pass' ? PF_STATE_NORMAL : 0,
      rtableid: -1,
      nr: count,
    };
    const called = isAnchor === undefined ? undefined : anchorName(count);
    take('pass', 'drop', 'return');
    const direction = take('in', 'out');
    let more: PfRuleValues = direction === null ? {} : { direction: direction === 'in' ? PF_IN : PF_OUT };
    take('log');
    if (take('quick') !== null) more = { ...more, quick: 1 };
    let names: string[] = [''];
    if (take('on') !== null) {
      if (take('!') !== null) more = { ...more, ifnot: 1 };
      names = list(word);
    }
    let pool: PoolAddress | undefined;
    const way = take('route-to', 'reply-to');
    if (way !== null) {
      skipBrackets();
      more = { ...more, rt: way === 'reply-to' ? PF_REPLYTO : PF_ROUTETO };
      pool = networkEnd('203.0.113.1') as PoolAddress;
    }
    const family = take('inet', 'inet6');
    const protocols = take('proto') === null ? [0] : list(() => PROTOCOLS[word()] ?? OTHER_PROTOCOL);
    take('all');
    const [sources, destinations] = [end('from'), end('to')];
    for (; next() !== undefined; at++) {
      const following = words[at + 1]?.replace(/^"|"$/g, '');
      if (next() === 'label') more = { ...more, label: following!.slice(0, 60) };
      else if (next() === 'no-sync') more = { ...more, rule_flag: PFRULE_NOSYNC };
      else if (next() === 'no' && following === 'state') more = { ...more, keep_state: 0 };
      else if (next() === 'tagged') more = { ...more, match_tagname: following! };
      else if (next() === 'divert-to') more = { ...more, divert: { port: Number(following) } };
      else if (next() === '->') {
        at++;
        const { addr } = address();
        at--;
        pool = { addr: addr ?? {} } as PoolAddress;
      }
    }
    return names.flatMap((ifname) =>
      protocols.flatMap((proto) =>
        sources.flatMap(({ family: one, ...src }) =>
          destinations.flatMap(({ family: other, ...dst }): Loaded[] => {
            const known = family === null ? (one ?? other) : family === 'inet' ? 4 : 6;
            if ((one ?? known) !== known || (other ?? known) !== known) return [];
            const af = known === null ? {} : { af: known === 4 ? AF_INET : AF_INET6 };
            const values = { ...common, ...more, ...af, proto, src, dst, ...(ifname !== '' && { ifname }) };
            return [
              {
                ...{ ruleset, path, values },
                ...(called !== undefined && { anchorCall: called }),
                ...(pool !== undefined && { pool }),
              },
            ];
          }),
        ),
      ),
    );
  }

  function anchorName(count: number): string {
    return next()?.startsWith('"') ? word() : `anonymous${count}`;
  }
  return { rule };
}
