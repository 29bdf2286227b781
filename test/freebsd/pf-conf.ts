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
  PF_RULESET_BINAT,
  PF_RULESET_FILTER,
  PF_RULESET_NAT,
  PF_RULESET_RDR,
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
      const made = new Words(words).rule(path, rules.length);
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
class Words {
  private at = 0;
  private readonly words: readonly string[];
  constructor(words: readonly string[]) {
    this.words = words;
  }

  private get next(): string | undefined {
    return this.words[this.at];
  }

  private take(...wanted: readonly string[]): string | null {
    if (this.next === undefined || !wanted.includes(this.next)) return null;
    return this.words[this.at++]!;
  }

  /** `x` or `{ x, y }`. */
  private list<T>(read: () => T): T[] {
    if (this.take('{') === null) return [read()];
    const items: T[] = [];
    while (this.take('}') === null) if (this.take(',') === null) items.push(read());
    return items;
  }

  private word = (): string => this.words[this.at++]!.replace(/^"|"$/g, '');

  private skipBrackets(): void {
    if (this.take('(') !== null) while (this.take(')') === null) this.at++;
    else this.list(this.word);
  }

  private address = (): End & { readonly family: 4 | 6 | null } => {
    const neg = this.take('!') === null ? 0 : 1;
    if (this.next === '(') {
      this.skipBrackets();
      return { family: null, neg, addr: { type: PF_ADDR_DYNIFTL } };
    }
    const text = this.word();
    if (text === 'any') return { family: null };
    if (text === 'urpf-failed') return { family: null, neg, addr: { type: PF_ADDR_URPFFAILED } };
    if (text.startsWith('<')) return { family: null, neg, addr: { type: PF_ADDR_TABLE } };
    const network = parseNetwork(text);
    // The name of an interface.
    if (network === null) return { family: null, neg, addr: { type: PF_ADDR_DYNIFTL } };
    return { family: network.family, neg, ...networkEnd(text) };
  };

  private port = (): Pick<End, 'port' | 'port_op'> => {
    this.take('=');
    const [first, last] = this.word().split(':').map(Number);
    if (this.take('><') !== null) return { port: [first!, Number(this.word())], port_op: PF_OP_IRG };
    return last === undefined
      ? { port: [first!, 0], port_op: PF_OP_EQ }
      : { port: [first!, last], port_op: PF_OP_RRG };
  };

  private end(keyword: 'from' | 'to'): (End & { readonly family: 4 | 6 | null })[] {
    if (this.take(keyword) === null) return [{ family: null }];
    const addresses = this.next === 'port' ? [{ family: null }] : this.list(this.address);
    const ports = this.take('port') === null ? [{}] : this.list(this.port);
    return addresses.flatMap((address) => ports.map((port) => ({ ...address, ...port })));
  }

  rule(path: string, count: number): Loaded[] {
    const first = this.word();
    const [, kind, isAnchor] = /^(rdr|nat|binat)?(-?anchor)?$/.exec(first) ?? [];
    const translates = kind as keyof typeof RULESETS | undefined;
    const ruleset = translates === undefined ? PF_RULESET_FILTER : RULESETS[translates];
    const common: PfRuleValues = {
      action: translates === undefined ? (first === 'block' ? PF_DROP : PF_PASS) : ACTIONS[translates],
      rtableid: -1,
      nr: count,
    };
    const called = isAnchor === undefined ? undefined : this.anchorName(count);
    this.take('pass', 'drop', 'return');
    const direction = this.take('in', 'out');
    let more: PfRuleValues = direction === null ? {} : { direction: direction === 'in' ? PF_IN : PF_OUT };
    this.take('log');
    if (this.take('quick') !== null) more = { ...more, quick: 1 };
    let names: string[] = [''];
    if (this.take('on') !== null) {
      if (this.take('!') !== null) more = { ...more, ifnot: 1 };
      names = this.list(this.word);
    }
    let pool: PoolAddress | undefined;
    const way = this.take('route-to', 'reply-to');
    if (way !== null) {
      this.skipBrackets();
      if (way === 'reply-to') more = { ...more, rt: PF_REPLYTO };
      pool = networkEnd('203.0.113.1') as PoolAddress;
    }
    const family = this.take('inet', 'inet6');
    const protocols =
      this.take('proto') === null ? [0] : this.list(() => PROTOCOLS[this.word()] ?? OTHER_PROTOCOL);
    this.take('all');
    const [sources, destinations] = [this.end('from'), this.end('to')];
    for (; this.next !== undefined; this.at++) {
      const following = this.words[this.at + 1]?.replace(/^"|"$/g, '');
      if (this.next === 'label') more = { ...more, label: following!.slice(0, 60) };
      else if (this.next === 'tagged') more = { ...more, match_tagname: following! };
      else if (this.next === 'divert-to') more = { ...more, divert: { port: Number(following) } };
      else if (this.next === '->') {
        this.at++;
        const { addr } = this.address();
        this.at--;
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

  private anchorName(count: number): string {
    return this.next?.startsWith('"') ? this.word() : `anonymous${count}`;
  }
}
