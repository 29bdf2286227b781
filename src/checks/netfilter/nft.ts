/** The ruleset as `nft -j list ruleset` prints it: libnftables-json(5). */
import type { Family } from '../forwarding.ts';
import {
  anything,
  both,
  type Chain,
  type Conditions,
  type Hook,
  type Ports,
  type Protocol,
  type Rule,
  type Verdict,
} from './rule.ts';

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
            rules: statements.flatMap((one) => readRule(one, { families, named, helpers })),
            statements,
          };
        }),
      };
    });
}

function baseOf({ type, hook, prio, policy }: JsonObject): Chain['base'] {
  if (type === 'nat' || typeof hook !== 'string' || !HOOKS.has(hook)) return null;
  return { hook: hook as Hook, priority: Number(prio), policy: policy === 'drop' ? 'drop' : 'accept' };
}

interface Context {
  readonly families: readonly Family[];
  /** Sets and maps of the table, by `@name`. */
  readonly named: ReadonlyMap<string, JsonObject>;
  /** Type of each helper object, by name. */
  readonly helpers: ReadonlyMap<string, string>;
}

/** One rule, or one for each verdict of a map. */
function readRule(statements: readonly JsonObject[], context: Context): Rule[] {
  let rules: Rule[] = [{ ...anything(context.families), verdict: { type: 'continue' } }];
  const add = (more: readonly Rule[]) => {
    rules = rules.flatMap((rule) =>
      more.flatMap((other): Rule[] => {
        const conditions = both(rule, other);
        if (conditions === null) return [];
        if (other.verdict.type === 'continue') return [{ ...conditions, verdict: rule.verdict }];
        // What gives the packet to a helper may decide about it as well.
        const helping = rule.verdict.type === 'helper' ? [rule] : [];
        return [...helping, { ...conditions, verdict: other.verdict }];
      }),
    );
  };
  for (const statement of statements) {
    for (const [name, value] of Object.entries(statement)) {
      if (name === 'match') add([{ ...readMatch(objectOf(value), context), verdict: { type: 'continue' } }]);
      else if (name === 'vmap') add(readMap(objectOf(value), context));
      else if (!IDLE.has(name)) add([readVerdict(name, value, context)]);
    }
  }
  return rules;
}

function readVerdict(name: string, value: Json | undefined, { families, helpers }: Context): Rule {
  const all = anything(families);
  const verdict = (one: Verdict): Rule => ({ ...all, verdict: one });
  const chain = String(objectOf(value)?.['target']);
  switch (name) {
    case 'accept':
    case 'return':
      return verdict({ type: name });
    case 'drop':
    case 'reject':
      return verdict({ type: 'drop' });
    case 'jump':
    case 'goto':
      return verdict({ type: name, chain });
    case 'queue':
      return verdict(readQueue(objectOf(value)));
    case 'ct helper':
      return verdict({ type: 'helper', name: helpers.get(String(value)) ?? String(value) });
    default:
      return { ...all, narrowed: true, verdict: { type: 'continue' } };
  }
}

/** `queue flags bypass to 0`; without a number it is 0. */
function readQueue(queue: JsonObject | null): Verdict {
  const [range] = portsOf([queue?.['num'] ?? 0]) ?? [];
  const [first, last] = range ?? [0, 0];
  return { type: 'queue', first, last, bypass: listOf(queue?.['flags']).includes('bypass') };
}

/** `ct state vmap { established : accept }`: a rule for each. */
function readMap(map: JsonObject | null, context: Context): Rule[] {
  const key = map?.['key'];
  return valuesOf(map?.['data'], context).flatMap((entry): Rule[] => {
    const [value, verdict] = listOf(entry);
    const [name, target] = Object.entries(objectOf(verdict) ?? {})[0] ?? ['', null];
    if (key === undefined || value === undefined) return [];
    const conditions = readMatch({ op: '==', left: key, right: value }, context);
    return [{ ...conditions, verdict: readVerdict(name, target, context).verdict }];
  });
}

/** What a match asks of a packet from outside; `narrowed` where it is none of what is looked for. */
function readMatch(match: JsonObject | null, context: Context): Conditions {
  const all = anything(context.families);
  const other = { ...all, narrowed: true };
  const left = objectOf(match?.['left']);
  const values = valuesOf(match?.['right'], context);
  const op = match?.['op'];
  if (left === null) return other;
  const mark = readMark(left, op, values);
  if (mark !== null) return { ...all, mark };
  if (op !== '==' && op !== 'in') return other;
  const meta = objectOf(left['meta'])?.['key'];
  const payload = objectOf(left['payload']);
  if ((meta === 'iif' || meta === 'iifname') && values.every((name) => name === 'lo')) {
    return { ...all, families: [] };
  }
  if (meta === 'l4proto') return { ...all, protocols: protocolsOf(values) };
  if (meta === 'nfproto') return { ...all, families: known(values, NFPROTOS) };
  if (meta === 'protocol') {
    return { ...all, families: known(values, { ip: 4, ip6: 6 } as const) };
  }
  if (objectOf(left['ct'])?.['key'] === 'state') return { ...all, states: values.map(String) };
  return payload === null ? other : readPayload(payload, values, all);
}

function readPayload(payload: JsonObject, values: readonly Json[], all: Conditions): Conditions {
  const { protocol, field } = payload;
  if (protocol === 'ip' || protocol === 'ip6') {
    const families = all.families.filter((family) => family === (protocol === 'ip' ? 4 : 6));
    if (field === 'protocol' || field === 'nexthdr')
      return { ...all, families, protocols: protocolsOf(values) };
    return { ...all, families, narrowed: true };
  }
  const ports = portsOf(values);
  const protocols = protocol === 'th' ? null : protocolsOf([String(protocol)]);
  if (ports === null || protocols?.length === 0) return { ...all, protocols, narrowed: true };
  if (field === 'dport') return { ...all, protocols, destinationPorts: ports };
  if (field === 'sport') return { ...all, protocols, sourcePorts: ports };
  return { ...all, protocols, narrowed: true };
}

/** `meta mark 4`, `meta mark & 4 == 4`, `meta mark & 4 != 0`. */
function readMark(left: JsonObject, op: Json | undefined, values: readonly Json[]): Conditions['mark'] {
  const isMark = (one: Json | undefined) => objectOf(objectOf(one)?.['meta'])?.['key'] === 'mark';
  const [masked, mask] = listOf(left['&']);
  const [value, ...more] = values;
  if (typeof value !== 'number' || more.length > 0) return null;
  const negated = op === '!=';
  if (!negated && op !== '==') return null;
  if (isMark(left)) return { mask: 0xffffffff, value, negated };
  return isMark(masked) && typeof mask === 'number' ? { mask, value, negated } : null;
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

/** The values of a set, of a named one, of a list, or the one that it is. */
function valuesOf(value: Json | undefined, { named }: Pick<Context, 'named'>): readonly Json[] {
  if (typeof value === 'string' && value.startsWith('@')) {
    return listOf(named.get(value)?.['elem']).map(elementOf);
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
