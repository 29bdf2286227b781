/** Rules as iptables-save(8) and ip6tables-save(8) print them: iptables-extensions(8). */
import { parseNetwork } from '../../address/network.ts';
import type { Family } from '../forwarding.ts';
import {
  hasPort,
  isProtocol,
  isWithin,
  maybe,
  not,
  type Ports,
  type Protocol,
  passesBy,
  type Test,
  whether,
} from '../probe.ts';
import { admits, type Chain, type Hook, type NetfilterRule, type RuleVerdict } from './rule.ts';

/** linux/netfilter_ipv4.h, NF_IP_PRI_; of the table nat by the hook. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 };
const NAT_PRIORITIES: Readonly<Record<string, number>> = { PREROUTING: -100, OUTPUT: -100 };
const NAT_PRIORITY = 100;
const HOOKS: Readonly<Record<string, Hook>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
};
const PROTOCOLS: Readonly<Record<string, readonly Protocol[]>> = {
  udp: ['udp'],
  17: ['udp'],
  tcp: ['tcp'],
  6: ['tcp'],
};

/** The chains that a listing has. `program` names it in what people read: `iptables`, `ip6tables`. */
export function readIptables(text: string, program: string, family: Family): Chain[] {
  const chains: (Chain & { readonly rules: NetfilterRule[] })[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    const known = { table: `${program} ${table}`, families: [family] };
    if (name !== undefined) {
      const hook = policy === '-' ? undefined : HOOKS[name];
      const translates = table === 'nat';
      const priority = translates ? (NAT_PRIORITIES[name] ?? NAT_PRIORITY) : PRIORITIES[table];
      const drops = policy === 'DROP';
      const base =
        hook === undefined || priority === undefined
          ? null
          : ({ hook, priority, policy: drops ? 'drop' : 'accept', translates } as const);
      chains.push({ ...known, name, base, rules: [] });
    } else if (line.startsWith('-A ')) {
      const [chain, ...words] = wordsOf(line.slice(3));
      chains.find((one) => one.table === known.table && one.name === chain)?.rules.push(readRule(words));
    }
  }
  return chains;
}

/** Words, of which a quoted one may have spaces. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

function readRule(words: readonly string[]): NetfilterRule {
  const tests: Test[] = [];
  let verdict: RuleVerdict = { type: 'continue' };
  let negated = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '!') {
      negated = true;
    } else if (word === '-j' || word === '-g') {
      verdict = readTarget(word, words[at + 1] ?? '', words.slice(at + 2));
      break;
    } else if (word.startsWith('-')) {
      const test = readMatch(word, words[at + 1] ?? '');
      if (test !== null) tests.push(negated ? (probe) => not(test(probe)) : test);
      negated = false;
    }
  }
  return { tests, verdict };
}

/** What a match asks; null for what asks nothing by itself. */
function readMatch(option: string, value: string): Test | null {
  switch (option) {
    case '-m':
    case '--comment':
      return null;
    case '-p':
      return value === 'all' ? null : isProtocol(...(PROTOCOLS[value] ?? []));
    case '--dport':
    case '--dports':
      return hasPort('destinationPort', portsOf(value));
    case '--sport':
    case '--sports':
      return hasPort('sourcePort', portsOf(value));
    case '--ports': {
      const [to, from] = [hasPort('destinationPort', portsOf(value)), hasPort('sourcePort', portsOf(value))];
      return (probe) => (to(probe) === 'yes' ? 'yes' : from(probe));
    }
    case '--ctstate':
    case '--state':
      return ({ state }) => whether(value.toLowerCase().split(',').includes(state));
    case '--invert':
      // Of the match rpfilter.
      return ({ forged }) => whether(forged);
    case '-s':
      return within('from', value);
    case '-d':
      return within('to', value);
    case '-i':
      return passesBy('comesBy', [value.replace(/\+$/, '*')]);
    case '-o':
      return passesBy('goesBy', [value.replace(/\+$/, '*')]);
    case '--mark': {
      const [wanted, mask = 0xffffffff] = value.split('/').map(Number);
      return ({ mark }) => whether(admits(mask, wanted!, mark));
    }
    default:
      return maybe;
  }
}

function within(end: 'from' | 'to', text: string): Test {
  const network = parseNetwork(text);
  return network === null ? maybe : isWithin(end, [network]);
}

function readTarget(option: '-j' | '-g', name: string, words: readonly string[]): RuleVerdict {
  const after = (word: string) => (words.includes(word) ? words[words.indexOf(word) + 1] : undefined);
  switch (name) {
    case 'ACCEPT':
      return { type: 'accept' };
    case 'DROP':
    case 'REJECT':
      return { type: 'drop' };
    case 'RETURN':
      return { type: 'return' };
    case 'NFQUEUE': {
      const range = after('--queue-balance') ?? after('--queue-num') ?? '0';
      const [first, last = first] = range.split(':').map(Number);
      return { type: 'queue', first: first!, last: last!, bypass: words.includes('--queue-bypass') };
    }
    case 'DNAT':
    case 'NETMAP':
    case 'REDIRECT':
      return { type: 'dnat', ...readTo(after('--to-destination') ?? after('--to')) };
    case 'SNAT':
    case 'MASQUERADE': {
      const changed = words.some((word) => ['--to-ports', '--random', '--random-fully'].includes(word));
      const { to, ports } = readTo(after('--to-source'));
      return { type: 'snat', to, ports: changed ? 'changed' : ports };
    }
    case 'CT': {
      const helper = after('--helper');
      return helper === undefined ? { type: 'continue' } : { type: 'helper', name: helper };
    }
    default:
      // Another target of the kernel's own is a chain that there is not: packets go on behind it.
      return { type: option === '-j' ? 'jump' : 'goto', chain: name };
  }
}

/** `10.0.0.5`, `10.0.0.5:5080`, `[2001:db8::5]:5080`, `10.0.0.0/24`. */
function readTo(text = ''): Pick<RuleVerdict & { type: 'dnat' }, 'to' | 'ports'> {
  const [, bracketed, bare, port] = /^(?:\[([^\]]*)\]|([^:]*))(:.*)?$/.exec(text) ?? [null, null, text];
  return {
    to: parseNetwork(bracketed ?? bare ?? ''),
    ports: port === undefined ? 'kept' : 'changed',
  };
}

/** `5060,5080:5090` */
function portsOf(text: string): Ports {
  return text.split(',').map((range) => {
    const [first, last = first] = range.split(':').map(Number);
    return [first!, last!];
  });
}
