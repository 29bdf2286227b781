/** Whether the rules of a Linux machine are such that SIP comes to the daemon and media passes its pinholes. */

import { PRIORITY } from '../../firewall/nftables/table.ts';
import { type CheckName, caution, type Finding, fault, ok } from '../finding.ts';
import type { Family } from '../forwarding.ts';
import { dropsByDefault, passagesOf } from './passages.ts';
import {
  admits,
  type Chain,
  commonPorts,
  type Hook,
  type Ports,
  type Protocol,
  portsLeft,
  type Rule,
} from './rule.ts';

/** What is checked here. */
export const RULE_CHECKS = [
  'queue-rule',
  'queue-bypass',
  'default-drop',
  'accept-established',
  'accept-mark',
  'accept-sip',
] as const satisfies CheckName[];

export interface RuleCheckOptions {
  /** Number of the daemon's queue. */
  readonly queue: number;
  /** Bits in the mark of packets that match a pinhole. */
  readonly mark: number;
  readonly sipPorts: Ports;
  readonly failOpen: boolean;
  /** Families that the machine forwards. */
  readonly forwarded: readonly Family[];
  /** Whether nft can queue on this kernel. Asked only where it matters. */
  readonly nftQueues: () => boolean;
}

/** Where packets go: through the machine, to it, from it. */
type Place = 'forward' | 'input' | 'output';

/** Hooks that a packet passes which goes there. */
const HOOKS: Readonly<Record<Place, readonly Hook[]>> = {
  forward: ['prerouting', 'forward', 'postrouting'],
  input: ['prerouting', 'input'],
  output: ['output', 'postrouting'],
};
const PLACES: Readonly<Record<Place, string>> = {
  forward: 'what is forwarded',
  input: 'what comes to this machine',
  output: 'what this machine sends',
};
const FAMILIES: readonly Family[] = [4, 6];
const PROTOCOLS: readonly Protocol[] = ['udp', 'tcp'];
const SIDES = ['to', 'from'] as const;
type Side = (typeof SIDES)[number];
const PASTE = 'the lines that "pinholed rules" prints';

/** A rule that queues SIP. */
interface Queueing {
  readonly chain: Chain;
  readonly rule: Rule;
  readonly first: number;
  readonly last: number;
  readonly bypass: boolean;
  /** A rule before it in its chain accepts what belongs to flows that are known. */
  readonly isLate: boolean;
}

export interface RulesChecked {
  readonly findings: readonly Finding[];
  /** SIP is queued on its way to and from this machine only. */
  readonly isLocal: boolean;
}

/** Every check of the administrator's rules. `chains` are those of all tables but the daemon's own. */
export function checkRules(chains: readonly Chain[], options: RuleCheckOptions): RulesChecked {
  const base = chains
    .filter((chain) => chain.base !== null)
    .map((chain) => ({ chain, passages: passagesOf(chain, chains) }));
  const queueing = base.flatMap(({ chain, passages }) => queueingOf(chain, passages, options.sipPorts));
  const own = queueing.filter(({ first, last }) => first <= options.queue && options.queue <= last);
  const places = placesOf(own);
  const findings = [
    checkQueue(own, queueing, places, options),
    ...checkBypass(own, options),
    ...checkFilters(base, places, options),
  ];
  return { findings, isLocal: !places.includes('forward') };
}

function queueingOf(chain: Chain, passages: readonly Rule[], sipPorts: Ports): Queueing[] {
  let isLate = false;
  return passages.flatMap((rule): Queueing[] => {
    const { verdict, states, narrowed } = rule;
    if (verdict.type === 'accept' && states?.includes('established') && !narrowed && anyPort(rule))
      isLate = true;
    const hasSip = SIDES.some((side) => commonPorts(sipPorts, portsAt(rule, side)).length > 0);
    if (verdict.type !== 'queue' || !hasSip) return [];
    const { first, last, bypass } = verdict;
    return [{ chain, rule, first, last, bypass, isLate }];
  });
}

function placesOf(own: readonly Queueing[]): Place[] {
  const hooks = new Set(own.map(({ chain }) => chain.base!.hook));
  const through = hooks.size === 0 || HOOKS.forward.some((hook) => hooks.has(hook));
  const local = hooks.has('input') || hooks.has('output');
  return [...(through ? (['forward'] as const) : []), ...(local ? (['input', 'output'] as const) : [])];
}

function checkQueue(
  own: readonly Queueing[],
  all: readonly Queueing[],
  places: readonly Place[],
  { queue, sipPorts, forwarded, nftQueues }: RuleCheckOptions,
): Finding {
  const advice = () =>
    nftQueues()
      ? `load ${PASTE}`
      : `load ${PASTE} for iptables: this kernel has no "queue" for nft (CONFIG_NFT_QUEUE)`;
  if (own.length === 0) {
    const [other] = all;
    if (other !== undefined) {
      return fault(
        'queue-rule',
        `SIP is handed to queue ${other.first}, and the daemon reads queue ${queue}`,
        `make the rules in ${nameOf(other.chain)} and linux.queue the same number`,
      );
    }
    return fault('queue-rule', `no rule hands SIP to queue ${queue}: none comes to the daemon`, advice());
  }
  const shared = own.find(({ first, last }) => first !== last);
  if (shared !== undefined) {
    return fault(
      'queue-rule',
      `SIP is divided among the queues ${shared.first} to ${shared.last}, of which the daemon reads ${queue} alone`,
      `name queue ${queue} alone in the rules of ${nameOf(shared.chain)}`,
    );
  }
  const late = own.find(({ isLate }) => isLate);
  if (late !== undefined) {
    return fault(
      'queue-rule',
      `${nameOf(late.chain)} accepts established flows before it hands SIP over: answers pass unread`,
      'put the queue rules first, or into a chain of their own at priority mangle',
    );
  }
  const missing = places.flatMap((place) => {
    const text = describe(
      missingOf(ruleFor(own, place), place === 'forward' ? forwarded : FAMILIES, sipPorts),
    );
    return text === '' ? [] : [places.length > 1 ? `${PLACES[place]}: ${text}` : text];
  });
  if (missing.length > 0) {
    return fault('queue-rule', `SIP passes unread: ${missing.join('; ')}`, advice());
  }
  const twice = twiceQueued(own, places, sipPorts);
  if (twice !== null) {
    return caution(
      'queue-rule',
      `SIP is handed over twice: ${twice}`,
      'leave one of the two; each packet is to come once',
    );
  }
  const where = [...new Set(own.map(({ chain }) => nameOf(chain)))].join(', ');
  const narrowed = own.some(({ rule }) => rule.narrowed) ? ', some of it under further conditions' : '';
  return ok('queue-rule', `SIP is handed to queue ${queue} in ${where}${narrowed}`);
}

/** The queueing rules that packets can meet which go there. */
function ruleFor(own: readonly Queueing[], place: Place): Rule[] {
  return own.filter(({ chain }) => HOOKS[place].includes(chain.base!.hook)).map(({ rule }) => rule);
}

interface Missing {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly side: Side;
  readonly ports: Ports;
}

/** What of SIP none of these rules applies to. */
function missingOf(
  rules: readonly Rule[],
  families: readonly Family[],
  sipPorts: Ports,
  sides: readonly Side[] = SIDES,
): Missing[] {
  return families.flatMap((family) =>
    PROTOCOLS.flatMap((protocol) =>
      sides.flatMap((side): Missing[] => {
        const ports = rules
          .filter((rule) => applies(rule, family, protocol))
          .reduce((left, rule) => portsLeft(left, portsAt(rule, side)), sipPorts);
        return ports.length === 0 ? [] : [{ family, protocol, side, ports }];
      }),
    ),
  );
}

function applies({ families, protocols }: Rule, family: Family, protocol: Protocol): boolean {
  return families.includes(family) && (protocols === null || protocols.includes(protocol));
}

/** The ports of one side for which a rule applies whatever the other one is. */
function portsAt({ sourcePorts, destinationPorts, eitherPorts }: Rule, side: Side): Ports {
  const [own, other] = side === 'to' ? [destinationPorts, sourcePorts] : [sourcePorts, destinationPorts];
  if (other !== null) return [];
  return own ?? eitherPorts ?? [[0, 65_535]];
}

function anyPort({ sourcePorts, destinationPorts, eitherPorts }: Rule): boolean {
  return sourcePorts === null && destinationPorts === null && eitherPorts === null;
}

/** `UDP over IPv4 to port 5060`, with what has the same ports and direction in one phrase. */
function describe(missing: readonly Missing[]): string {
  const groups = new Map<string, Missing[]>();
  for (const one of missing) {
    const key = `${one.side} ${JSON.stringify(one.ports)}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()]
    .map((group) => {
      const names = (list: readonly string[]) => [...new Set(list)].join(' and ');
      const [{ side, ports }] = group as [Missing];
      const familiesOf = (protocol: Protocol) =>
        names(group.filter((one) => one.protocol === protocol).map(({ family }) => `IPv${family}`));
      const [udp, tcp] = PROTOCOLS.map(familiesOf) as [string, string];
      const what =
        udp === tcp
          ? `UDP and TCP over ${udp}`
          : [`UDP over ${udp}`, `TCP over ${tcp}`].filter((phrase) => !phrase.endsWith(' ')).join(', ');
      const text = ports.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(', ');
      return `${what} ${side} port ${text}`;
    })
    .join('; ');
}

/** Two chains in which the same packet is queued, or null. */
function twiceQueued(own: readonly Queueing[], places: readonly Place[], sipPorts: Ports): string | null {
  for (const place of places) {
    const met = own.filter(({ chain }) => HOOKS[place].includes(chain.base!.hook));
    for (const one of met) {
      const other = met.find(({ chain, rule }) => chain !== one.chain && overlap(rule, one.rule, sipPorts));
      if (other !== undefined) return `in ${nameOf(one.chain)} and in ${nameOf(other.chain)}`;
    }
  }
  return null;
}

function overlap(one: Rule, other: Rule, sipPorts: Ports): boolean {
  return FAMILIES.some((family) =>
    PROTOCOLS.some(
      (protocol) =>
        applies(one, family, protocol) &&
        applies(other, family, protocol) &&
        SIDES.some(
          (side) => commonPorts(commonPorts(sipPorts, portsAt(one, side)), portsAt(other, side)).length > 0,
        ),
    ),
  );
}

function checkBypass(own: readonly Queueing[], { failOpen }: RuleCheckOptions): Finding[] {
  const wrong = own.filter(({ bypass }) => bypass !== failOpen);
  if (own.length === 0) return [];
  if (wrong.length === 0) {
    const text = failOpen ? 'have the flag bypass: SIP passes unread' : 'have no flag bypass: SIP is dropped';
    return [ok('queue-bypass', `the queue rules ${text} while the daemon is down`)];
  }
  const where = [...new Set(wrong.map(({ chain }) => nameOf(chain)))].join(', ');
  return [
    failOpen
      ? fault(
          'queue-bypass',
          `fail: open, but queue rules in ${where} have no flag bypass: SIP is dropped while the daemon is down`,
          'add "flags bypass" ("--queue-bypass" with iptables) to them, or set fail: closed',
        )
      : fault(
          'queue-bypass',
          `fail: closed, but queue rules in ${where} have the flag bypass: SIP passes unread while the daemon is down`,
          'take "bypass" out of them, or set fail: open',
        ),
  ];
}

interface BaseChain {
  readonly chain: Chain;
  readonly passages: readonly Rule[];
}

/** The chains that drop: what they have to accept. */
function checkFilters(
  base: readonly BaseChain[],
  places: readonly Place[],
  options: RuleCheckOptions,
): Finding[] {
  const { forwarded } = options;
  const dropping = base.filter(
    ({ chain, passages }) => places.includes(chain.base!.hook as Place) && dropsByDefault(chain, passages),
  );
  const open = places.flatMap((place) => {
    if (place === 'output') return [];
    const wanted = place === 'forward' ? forwarded : FAMILIES;
    const families = wanted.filter(
      (family) =>
        !dropping.some(({ chain }) => chain.base!.hook === place && chain.families.includes(family)),
    );
    return families.length === 0
      ? []
      : [`${PLACES[place]} over ${families.map((one) => `IPv${one}`).join(' and ')}`];
  });
  const drops =
    open.length === 0
      ? ok(
          'default-drop',
          `${dropping.map(({ chain }) => nameOf(chain)).join(', ')}: what no rule accepts is dropped`,
        )
      : caution(
          'default-drop',
          `no chain drops ${open.join(', ')}: it passes with and without a pinhole`,
          'give a chain at priority filter "policy drop", and rules for what may pass',
        );
  return [drops, ...dropping.flatMap((one) => checkFilter(one, options))];
}

function checkFilter({ chain, passages }: BaseChain, options: RuleCheckOptions): Finding[] {
  const { mark, sipPorts, forwarded } = options;
  const accepting = passages.filter(({ verdict }) => verdict.type === 'accept');
  const isForward = chain.base!.hook === 'forward';
  const families = chain.families.filter((family) => !isForward || forwarded.includes(family));
  if (families.length === 0) return [];
  const name = nameOf(chain);
  const covered = (rules: readonly Rule[]) =>
    families.every((family) => rules.some((rule) => applies(rule, family, 'udp')));
  const established = accepting.filter(({ states }) => states?.includes('established'));
  const marked = accepting.filter(
    (rule) => rule.mark !== null && admits(rule.mark, mark) && !admits(rule.mark, 0),
  );
  const fresh = accepting.filter((rule) => rule.mark === null && (rule.states?.includes('new') ?? true));
  const missing = describe(missingOf(fresh, families, sipPorts, ['to']));
  const bits = `0x${mark.toString(16)}`;
  const isNft = !chain.table.startsWith('ip6tables') && !chain.table.startsWith('iptables');
  const line = (nft: string, iptables: string) =>
    isNft ? `add "${nft}" to it` : `add "${iptables}" to it, before what drops`;
  return [
    covered(established)
      ? ok('accept-established', `${name} accepts established flows`)
      : fault(
          'accept-established',
          `${name} drops, and does not accept established flows: answers do not pass`,
          line('ct state established accept', '-m conntrack --ctstate ESTABLISHED -j ACCEPT'),
        ),
    checkMark(),
    missing === ''
      ? ok(
          'accept-sip',
          `${name} accepts SIP${fresh.every(({ narrowed }) => narrowed) ? ' under further conditions' : ''}`,
        )
      : fault(
          'accept-sip',
          `${name} drops SIP: ${missing}`,
          line(
            `meta l4proto { tcp, udp } th dport ${portText(sipPorts, '-')} accept`,
            `-p udp -m multiport --dports ${portText(sipPorts, ':').replace(/[{} ]/g, '')} -j ACCEPT`,
          ),
        ),
  ];

  function checkMark(): Finding {
    if (chain.base!.priority <= PRIORITY) {
      return fault(
        'accept-mark',
        `${name} drops at priority ${chain.base!.priority}, before pinholes are looked at (${PRIORITY}): media does not pass`,
        'give the chain "priority filter" or a higher one',
      );
    }
    return covered(marked)
      ? ok('accept-mark', `${name} accepts the mark ${bits} of pinholes`)
      : fault(
          'accept-mark',
          `${name} drops, and does not accept the mark ${bits} of pinholes: media does not pass`,
          line(`meta mark & ${bits} == ${bits} accept`, `-m mark --mark ${bits}/${bits} -j ACCEPT`),
        );
  }
}

function portText(ports: Ports, dash: string): string {
  const texts = ports.map(([first, last]) => (first === last ? `${first}` : `${first}${dash}${last}`));
  return texts.length === 1 ? texts[0]! : `{ ${texts.join(', ')} }`;
}

function nameOf({ name, table }: Chain): string {
  return `chain ${name} of ${table}`;
}
