/** Rules as iptables-save(8) and ip6tables-save(8) print them: iptables-extensions(8). */
import type { Family } from '../forwarding.ts';
import {
  anything,
  type Chain,
  type Conditions,
  type Hook,
  type Ports,
  type Protocol,
  type Rule,
  type Verdict,
} from './rule.ts';

/** linux/netfilter_ipv4.h, NF_IP_PRI_. The tables `nat` see only the first packet of a flow and filter nothing. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 };
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
  const chains: (Chain & { readonly rules: Rule[] })[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const priority = PRIORITIES[table];
    if (priority === undefined) continue;
    const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    const known = { table: `${program} ${table}`, families: [family] };
    if (name !== undefined) {
      const hook = policy === '-' ? undefined : HOOKS[name];
      const drops = policy === 'DROP';
      const base =
        hook === undefined ? null : ({ hook, priority, policy: drops ? 'drop' : 'accept' } as const);
      chains.push({ ...known, name, base, rules: [] });
    } else if (line.startsWith('-A ')) {
      const [chain, ...words] = wordsOf(line.slice(3));
      chains
        .find((one) => one.table === known.table && one.name === chain)
        ?.rules.push(readRule(words, family));
    }
  }
  return chains;
}

/** Words, of which a quoted one may have spaces. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

function readRule(words: readonly string[], family: Family): Rule {
  let conditions = anything([family]);
  let verdict: Verdict = { type: 'continue' };
  let negated = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    const value = words[at + 1] ?? '';
    if (word === '!') {
      negated = true;
    } else if (word === '-j' || word === '-g') {
      verdict = readTarget(word, value, words.slice(at + 2));
      break;
    } else if (word.startsWith('-')) {
      conditions = { ...conditions, ...(negated ? { narrowed: true } : readMatch(word, value)) };
      negated = false;
    }
  }
  return { ...conditions, verdict };
}

/** What a match asks of a packet from outside. */
function readMatch(option: string, value: string): Partial<Conditions> {
  switch (option) {
    case '-m':
    case '--comment':
      return {};
    case '-p':
      return value === 'all' ? {} : { protocols: PROTOCOLS[value] ?? [] };
    case '--dport':
    case '--dports':
      return { destinationPorts: portsOf(value) };
    case '--sport':
    case '--sports':
      return { sourcePorts: portsOf(value) };
    case '--ports':
      return { eitherPorts: portsOf(value) };
    case '--ctstate':
    case '--state':
      return { states: value.toLowerCase().split(',') };
    case '-i':
      return value === 'lo' ? { families: [] } : { narrowed: true };
    case '--mark': {
      const [mark, mask = 0xffffffff] = value.split('/').map(Number);
      return { mark: { mask, value: mark!, negated: false } };
    }
    default:
      return { narrowed: true };
  }
}

function readTarget(option: '-j' | '-g', name: string, words: readonly string[]): Verdict {
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
    case 'CT': {
      const helper = after('--helper');
      return helper === undefined ? { type: 'continue' } : { type: 'helper', name: helper };
    }
    default:
      // Another target of the kernel's own is a chain that there is not: packets go on behind it.
      return { type: option === '-j' ? 'jump' : 'goto', chain: name };
  }
}

/** `5060,5080:5090` */
function portsOf(text: string): Ports {
  return text.split(',').map((range) => {
    const [first, last = first] = range.split(':').map(Number);
    return [first!, last!];
  });
}
