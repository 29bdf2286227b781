/** The ruleset as `nft -j list ruleset` prints it: libnftables-json(5). */
import { parseAddress } from '../../address/address.ts';
import { type Network, networksBetween, parseNetwork } from '../../address/network.ts';
import type { Family } from '../forwarding.ts';
import {
  type Certainty,
  hasPort,
  isFamily,
  isProtocol,
  isWithin,
  maybe,
  not,
  type Ports,
  type Probe,
  type Protocol,
  passesBy,
  type Test,
  whether,
} from '../probe.ts';
import { admits, type Chain, type Hook, type NetfilterRule, type RuleVerdict } from './rule.ts';

/** JSON of which only the parts that are looked for are known. */
type Json = string | number | boolean | null | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [key: string]: Json;
}

export interface NftTable {
  readonly family: string;
  readonly name: string;
  /** `owner` where only the process that made it may change it. */
  readonly flags: readonly string[];
  readonly sets: readonly string[];
  readonly chains: readonly NftChain[];
}

export interface NftChain extends Chain {
  /** Its rules as they were listed. */
  readonly statements: readonly (readonly JsonObject[])[];
}

const FAMILIES: Readonly<Record<string, readonly Family[]>> = { inet: [4, 6], ip: [4], ip6: [6] };
const HOOKS: ReadonlySet<string> = new Set(['prerouting', 'input', 'forward', 'output', 'postrouting']);
const PROTOCOLS: Readonly<Record<string, Protocol>> = { udp: 'udp', tcp: 'tcp', 17: 'udp', 6: 'tcp' };
const NFPROTOS: Readonly<Record<string, Family>> = { ipv4: 4, ipv6: 6, 2: 4, 10: 6 };
/** Statements that decide nothing. */
const IDLE: ReadonlySet<string> = new Set(['counter', 'log', 'comment', 'mangle', 'meter', 'set', 'notrack']);

/** Tables of the families ip, ip6 and inet. Throws SyntaxError for what is no such listing. */
export function readNft(text: string): NftTable[] {
  const listed = (JSON.parse(text) as JsonObject)['nftables'];
  if (!Array.isArray(listed)) throw new SyntaxError('there is no "nftables" in it');
  const objects = listed as JsonObject[];
  const all = (kind: string): JsonObject[] => objectsOf(objects.map((one) => one[kind]));
  return all('table')
    .filter(({ family }) => String(family) in FAMILIES)
    .map((table): NftTable => {
      const { family, name } = table;
      const inTable = (kind: string) =>
        all(kind).filter((one) => one['family'] === family && one['table'] === name);
      const named = new Map([...inTable('set'), ...inTable('map')].map((set) => [`@${set['name']}`, set]));
      const helpers = new Map(inTable('ct helper').map((one) => [String(one['name']), String(one['type'])]));
      const rules = inTable('rule');
      return {
        family: String(family),
        name: String(name),
        flags: listOf(table['flags']).map(String),
        sets: inTable('set').map((set) => String(set['name'])),
        chains: inTable('chain').map((chain): NftChain => {
          const statements = rules
            .filter((rule) => rule['chain'] === chain['name'])
            .map((rule) => objectsOf(listOf(rule['expr'])));
          const families = FAMILIES[String(family)]!;
          return {
            table: `${family} ${name}`,
            name: String(chain['name']),
            families,
            base: baseOf(chain),
            rules: statements.flatMap((one) => readRule(one, { named, helpers })),
            statements,
          };
        }),
      };
    });
}

function baseOf({ type, hook, prio, policy }: JsonObject): Chain['base'] {
  if (typeof hook !== 'string' || !HOOKS.has(hook)) return null;
  return {
    hook: hook as Hook,
    priority: Number(prio),
    policy: policy === 'drop' ? 'drop' : 'accept',
    translates: type === 'nat',
  };
}

interface Context {
  /** Sets and maps of the table, by `@name`. */
  readonly named: ReadonlyMap<string, JsonObject>;
  /** Type of each helper object, by name. */
  readonly helpers: ReadonlyMap<string, string>;
}

/** One rule, or one for each verdict that it may give. */
function readRule(statements: readonly JsonObject[], context: Context): NetfilterRule[] {
  const tests: Test[] = [];
  const rules: NetfilterRule[] = [];
  for (const statement of statements) {
    for (const [name, value] of Object.entries(statement)) {
      if (IDLE.has(name)) continue;
      if (name === 'match') tests.push(...readMatch(objectOf(value), context));
      else if (name === 'vmap') rules.push(...readMap(tests, objectOf(value), context));
      else {
        const verdict = readVerdict(name, value, context);
        if (verdict === null) tests.push(maybe);
        else rules.push({ tests: [...tests], verdict });
      }
    }
  }
  return rules;
}

/** Null for a statement that may end the rule or not, such as a rate. */
function readVerdict(name: string, value: Json | undefined, { helpers }: Context): RuleVerdict | null {
  const chain = String(objectOf(value)?.['target']);
  switch (name) {
    case 'accept':
    case 'return':
      return { type: name };
    case 'drop':
    case 'reject':
      return { type: 'drop' };
    case 'jump':
    case 'goto':
      return { type: name, chain };
    case 'queue':
      return readQueue(objectOf(value));
    case 'dnat':
    case 'redirect':
      return { type: 'dnat', ...readTranslation(objectOf(value)) };
    case 'snat':
    case 'masquerade':
      return { type: 'snat', ...readTranslation(objectOf(value)) };
    case 'ct helper':
      return { type: 'helper', name: helpers.get(String(value)) ?? String(value) };
    default:
      return null;
  }
}

/** `queue flags bypass to 0`; without a number it is 0. */
function readQueue(queue: JsonObject | null): RuleVerdict {
  const [range] = portsOf([queue?.['num'] ?? 0]) ?? [];
  const [first, last] = range ?? [0, 0];
  return { type: 'queue', first, last, bypass: listOf(queue?.['flags']).includes('bypass') };
}

function readTranslation(to: JsonObject | null): Pick<RuleVerdict & { type: 'dnat' }, 'to' | 'ports'> {
  const changes = to?.['port'] !== undefined || listOf(to?.['flags']).some((flag) => flag !== 'persistent');
  const [address = null] = networksOf(to?.['addr'] ?? null);
  return { to: address, ports: changes ? 'changed' : 'kept' };
}

/** `ct state vmap { established : accept }`: a rule for each. */
function readMap(tests: readonly Test[], map: JsonObject | null, context: Context): NetfilterRule[] {
  const key = map?.['key'];
  return (valuesOf(map?.['data'], context) ?? []).flatMap((entry): NetfilterRule[] => {
    const [value, verdict] = listOf(entry);
    const [name, target] = Object.entries(objectOf(verdict) ?? {})[0] ?? ['', null];
    if (key === undefined || value === undefined) return [];
    const own = readMatch({ op: '==', left: key, right: value }, context);
    const read = readVerdict(name, target, context);
    return read === null ? [] : [{ tests: [...tests, ...own], verdict: read }];
  });
}

/** What a match asks of a packet. What is none of what is looked for is met by some. */
function readMatch(match: JsonObject | null, context: Context): Test[] {
  const left = objectOf(match?.['left']);
  const values = valuesOf(match?.['right'], context);
  const op = match?.['op'];
  if (left === null || values === null || (op !== '==' && op !== 'in' && op !== '!=')) return [maybe];
  const asked = (test: Test): Test => (op === '!=' ? (probe) => not(test(probe)) : test);
  const mark = readMark(left, values);
  if (mark !== null) return [asked(mark)];
  const payload = objectOf(left['payload']);
  if (payload !== null) return readPayload(payload, values, asked);
  if (isReversePath(left)) return [asked(({ forged }) => whether(forged === (values[0] === false)))];
  if (objectOf(left['ct'])?.['key'] === 'state') {
    return [asked(({ state }) => whether(values.includes(state)))];
  }
  const test = readMeta(objectOf(left['meta'])?.['key'], values);
  return [test === null ? maybe : asked(test)];
}

function readMeta(key: Json | undefined, values: readonly Json[]): Test | null {
  switch (key) {
    case 'iif':
    case 'iifname':
      return passesBy('comesBy', values.map(String));
    case 'oif':
    case 'oifname':
      return passesBy('goesBy', values.map(String));
    case 'l4proto':
      return isProtocol(...protocolsOf(values));
    case 'nfproto':
      return isFamily(...known(values, NFPROTOS));
    case 'protocol':
      return isFamily(...known(values, { ip: 4, ip6: 6 } as const));
    default:
      return null;
  }
}

/** `fib saddr . iif oif missing`: the way back to the source is another. */
function isReversePath(left: JsonObject): boolean {
  const fib = objectOf(left['fib']);
  const flags = listOf(fib?.['flags']);
  return fib?.['result'] === 'oif' && flags.includes('saddr') && flags.includes('iif');
}

function readPayload(
  { protocol, field }: JsonObject,
  values: readonly Json[],
  asked: (test: Test) => Test,
): Test[] {
  if (protocol === 'ip' || protocol === 'ip6') {
    const family = isFamily(protocol === 'ip' ? 4 : 6);
    if (field === 'protocol' || field === 'nexthdr') {
      return [family, asked(isProtocol(...protocolsOf(values)))];
    }
    const networks = values.map(networksOf);
    const end = field === 'saddr' ? 'from' : field === 'daddr' ? 'to' : null;
    const isKnown = networks.every((one) => one.length > 0);
    return [family, end === null || !isKnown ? maybe : asked(isWithin(end, networks.flat()))];
  }
  const carrier = protocol === 'th' ? [] : [isProtocol(...protocolsOf([String(protocol)]))];
  const ports = portsOf(values);
  const side = field === 'dport' ? 'destinationPort' : field === 'sport' ? 'sourcePort' : null;
  return [...carrier, ports === null || side === null ? maybe : asked(hasPort(side, ports))];
}

/** `meta mark 4`, `meta mark & 4 == 4`. */
function readMark(left: JsonObject, values: readonly Json[]): Test | null {
  const isMark = (one: Json | undefined) => objectOf(objectOf(one)?.['meta'])?.['key'] === 'mark';
  const [masked, mask] = listOf(left['&']);
  const [value, ...more] = values;
  if (typeof value !== 'number' || more.length > 0) return null;
  const asked =
    (bits: number) =>
    (probe: Probe): Certainty =>
      whether(admits(bits, value, probe.mark));
  if (isMark(left)) return asked(0xffffffff);
  return isMark(masked) && typeof mask === 'number' ? asked(mask) : null;
}

/** Of an address, `{"prefix": ...}` or `{"range": ...}`; none for a map or a name. */
function networksOf(value: Json): Network[] {
  const [first, last] = listOf(objectOf(value)?.['range']).map((end) => parseAddress(String(end)));
  if (first && last) return networksBetween(first, last);
  const prefix = objectOf(objectOf(value)?.['prefix']);
  const text = prefix === null ? value : `${prefix['addr']}/${prefix['len']}`;
  return [typeof text === 'string' ? parseNetwork(text) : null].filter((one) => one !== null);
}

function protocolsOf(values: readonly Json[]): Protocol[] {
  return known(values, PROTOCOLS);
}

function known<T>(values: readonly Json[], table: Readonly<Record<string, T>>): T[] {
  return [...new Set(values.flatMap((value) => table[String(value)] ?? []))];
}

/** Null where one of them is no port. */
function portsOf(values: readonly Json[]): Ports | null {
  const ranges = values.map((value): readonly [number, number] | null => {
    const [first, last] = typeof value === 'number' ? [value, value] : listOf(objectOf(value)?.['range']);
    return typeof first === 'number' && typeof last === 'number' ? [first, last] : null;
  });
  return ranges.every((range) => range !== null) ? ranges : null;
}

/** The values of a set, of a named one, of a list, or the one that it is. Null for a set that others fill. */
function valuesOf(value: Json | undefined, { named }: Pick<Context, 'named'>): readonly Json[] | null {
  if (typeof value === 'string' && value.startsWith('@')) {
    const elements = listOf(named.get(value)?.['elem']);
    return elements.length === 0 ? null : elements.map(elementOf);
  }
  const set = objectOf(value)?.['set'];
  return listOf(set ?? value).map(elementOf);
}

/** An element with a counter or a comment is `{"elem": {"val": ...}}`. */
function elementOf(value: Json): Json {
  return objectOf(objectOf(value)?.['elem'])?.['val'] ?? value;
}

function listOf(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function objectOf(value: Json | undefined): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
}

function objectsOf(values: readonly (Json | undefined)[]): JsonObject[] {
  return values.flatMap((value): JsonObject[] => {
    const object = objectOf(value);
    return object === null ? [] : [object];
  });
}
