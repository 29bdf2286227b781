/** Whether rules hand SIP to the daemon's queue, each packet once. */
import { caution, type Finding, fault, ok, PASTE } from '../finding.ts';
import type { Family } from '../forwarding.ts';
import { type Ports, type Probe, type Protocol, probeOf } from '../probe.ts';
import type { ProbeOutcome, RuleVerdict } from './rule.ts';
import { HOOKS, type NetfilterRuleset, nameOf, PACKET_PATHS, type PacketPath } from './ruleset.ts';

interface QueueCheckOptions {
  /** Number of the daemon's queue. */
  readonly queue: number;
  readonly sipPorts: Ports;
  readonly failOpen: boolean;
  /** Families that the machine forwards. */
  readonly forwarded: readonly Family[];
  /** Whether nft can queue on this kernel. Asked only where it matters. */
  readonly nftQueues: () => boolean;
}

const FAMILIES: readonly Family[] = [4, 6];
const PROTOCOLS: readonly Protocol[] = ['udp', 'tcp'];
const SIDES = ['to', 'from'] as const;
type ProbeSide = (typeof SIDES)[number];

type Queueing = ProbeOutcome & { readonly verdict: RuleVerdict & { readonly type: 'queue' } };

/** A packet of SIP, and the queues that it is handed to. */
interface Asked {
  readonly place: PacketPath;
  readonly probe: Probe;
  readonly side: ProbeSide;
  readonly port: number;
  readonly queues: readonly Queueing[];
}

interface QueueChecked {
  readonly findings: readonly Finding[];
  /** Where SIP is handed over: through the machine, or to it and from it. */
  readonly places: readonly PacketPath[];
}

export function checkQueues(ruleset: NetfilterRuleset, options: QueueCheckOptions): QueueChecked {
  const all = (['forward', 'input', 'output'] as const).flatMap((place) => askAt(ruleset, place, options));
  const queues = all.flatMap((one) => one.queues);
  const own = queues.filter((one) => isOwn(one, options));
  const places = placesOf(own);
  const asked = all.filter(
    ({ place, probe }) =>
      places.includes(place) && (place !== 'forward' || options.forwarded.includes(probe.family)),
  );
  return {
    findings: [checkQueue(asked, queues, places, options), ...checkBypass(own, options)],
    places,
  };
}

function isOwn({ verdict }: Queueing, { queue }: QueueCheckOptions): boolean {
  return verdict.first <= queue && queue <= verdict.last;
}

/** Both ends of each range of ports, from and to it, as the first packet of a flow and as a later one. */
function askAt(ruleset: NetfilterRuleset, place: PacketPath, { sipPorts }: QueueCheckOptions): Asked[] {
  const ports = [...new Set(sipPorts.flat())];
  return FAMILIES.flatMap((family) =>
    PROTOCOLS.flatMap((protocol) =>
      SIDES.flatMap((side) =>
        ports.flatMap((port) =>
          (['new', 'established'] as const).map((state): Asked => {
            const end = side === 'to' ? { destinationPort: port } : { sourcePort: port };
            const probe = probeOf({ family, protocol, state, ...end });
            const met = HOOKS[place].flatMap((hook) => ruleset.ask(hook, probe));
            const queues = met.filter((one): one is Queueing => one.verdict.type === 'queue');
            return { place, probe, side, port, queues };
          }),
        ),
      ),
    ),
  );
}

function placesOf(own: readonly Queueing[]): PacketPath[] {
  const hooks = new Set(own.map(({ chain }) => chain.base!.hook));
  const through = hooks.size === 0 || HOOKS.forward.some((hook) => hooks.has(hook));
  const local = hooks.has('input') || hooks.has('output');
  return [...(through ? (['forward'] as const) : []), ...(local ? (['input', 'output'] as const) : [])];
}

function checkQueue(
  asked: readonly Asked[],
  queues: readonly Queueing[],
  places: readonly PacketPath[],
  options: QueueCheckOptions,
): Finding {
  const { queue, nftQueues } = options;
  const own = queues.filter((one) => isOwn(one, options));
  const advice = () =>
    nftQueues()
      ? `load ${PASTE}`
      : `load ${PASTE} for iptables: this kernel has no "queue" for nft (CONFIG_NFT_QUEUE)`;
  if (own.length === 0) {
    const [other] = queues;
    if (other !== undefined) {
      return fault(
        'queue-rule',
        `SIP is handed to queue ${other.verdict.first}, and the daemon reads queue ${queue}`,
        `make the rules in ${nameOf(other.chain)} and linux.queue the same number`,
      );
    }
    return fault('queue-rule', `no rule hands SIP to queue ${queue}: none comes to the daemon`, advice());
  }
  const shared = own.find(({ verdict: { first, last } }) => first !== last);
  if (shared !== undefined) {
    const { first, last } = shared.verdict;
    return fault(
      'queue-rule',
      `SIP is divided among the queues ${first} to ${last}, of which the daemon reads ${queue} alone`,
      `name queue ${queue} alone in the rules of ${nameOf(shared.chain)}`,
    );
  }
  const isHanded = ({ queues: met }: Asked) => met.some((one) => isOwn(one, options));
  const missed = asked.filter((one) => !isHanded(one));
  const late = asked.find(
    (one, at) => one.probe.state === 'new' && isHanded(one) && missed.includes(asked[at + 1]!),
  );
  if (late !== undefined) {
    return fault(
      'queue-rule',
      `${nameOf(late.queues[0]!.chain)} accepts established flows before it hands SIP over: answers pass unread`,
      'put the queue rules first, or into a chain of their own at priority mangle',
    );
  }
  const missing = places.flatMap((place) => {
    const text = describeMissed(missed.filter((one) => one.place === place));
    return text === '' ? [] : [places.length > 1 ? `${PACKET_PATHS[place]}: ${text}` : text];
  });
  if (missing.length > 0) {
    return fault('queue-rule', `SIP passes unread: ${missing.join('; ')}`, advice());
  }
  const twice = asked.map(chainsOf).find((chains) => chains.length > 1);
  if (twice !== undefined) {
    return caution(
      'queue-rule',
      `SIP is handed over twice: ${twice.map((chain) => `in ${chain}`).join(' and ')}`,
      'leave one of the two; each packet is to come once',
    );
  }
  const where = [...new Set(own.map(({ chain }) => nameOf(chain)))].join(', ');
  const narrowed = own.some(({ sure }) => !sure) ? ', some of it under further conditions' : '';
  return ok('queue-rule', `SIP is handed to queue ${queue} in ${where}${narrowed}`);
}

function chainsOf({ queues }: Asked): string[] {
  return [...new Set(queues.filter(({ sure }) => sure).map(({ chain }) => nameOf(chain)))];
}

interface Missed {
  readonly side: ProbeSide;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly ports: Set<number>;
}

/** `UDP over IPv4 to port 5060`, with what has the same ports and direction in one phrase. */
export function describeMissed(missed: readonly Pick<Asked, 'probe' | 'side' | 'port'>[]): string {
  const kinds = new Map<string, Missed>();
  for (const { probe, side, port } of missed) {
    const { family, protocol } = probe;
    const key = `${side} ${protocol} ${family}`;
    const kind = kinds.get(key) ?? { side, protocol, family, ports: new Set() };
    kind.ports.add(port);
    kinds.set(key, kind);
  }
  const groups = new Map<string, Missed[]>();
  for (const kind of kinds.values()) {
    const where = `${kind.side} port ${[...kind.ports].join(', ')}`;
    groups.set(where, [...(groups.get(where) ?? []), kind]);
  }
  return [...groups]
    .map(([where, group]) => {
      const [udp, tcp] = PROTOCOLS.map((protocol) =>
        group.flatMap((one) => (one.protocol === protocol ? [`IPv${one.family}`] : [])).join(' and '),
      ) as [string, string];
      const what =
        udp === tcp
          ? `UDP and TCP over ${udp}`
          : [`UDP over ${udp}`, `TCP over ${tcp}`].filter((phrase) => !phrase.endsWith(' ')).join(', ');
      return `${what} ${where}`;
    })
    .join('; ');
}

function checkBypass(own: readonly Queueing[], { failOpen }: QueueCheckOptions): Finding[] {
  const wrong = own.filter(({ verdict }) => verdict.bypass !== failOpen);
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
