/** Whether what calls need passes the chains that drop, and whether anything is dropped at all. */
import type { Network } from '../../address/network.ts';
import { PRIORITY } from '../../firewall/nftables/table.ts';
import { caution, type Finding, fault, ok } from '../finding.ts';
import type { Family } from '../forwarding.ts';
import { type Ports, type Probe, type Protocol, probeOf } from '../probe.ts';
import { describeMissed } from './queue-checks.ts';
import { type Chain, isDropped, isDroppedAtLast } from './rule.ts';
import { type NetfilterRuleset, nameOf, PACKET_PATHS, type PacketPath } from './ruleset.ts';

interface FilterCheckOptions {
  /** Bits in the mark of packets that match a pinhole. */
  readonly mark: number;
  readonly sipPorts: Ports;
  readonly mediaPorts: Ports;
  readonly inside: readonly Network[];
  /** Those of them that there are routes to. */
  readonly routed: readonly Network[];
  /** Calls open the way out, too. */
  readonly outbound: boolean;
  readonly tcpMedia: boolean;
  /** Families that the machine forwards. */
  readonly forwarded: readonly Family[];
}

const FAMILIES: readonly Family[] = [4, 6];

export function checkFilters(
  ruleset: NetfilterRuleset,
  places: readonly PacketPath[],
  options: FilterCheckOptions,
): Finding[] {
  const open: string[] = [];
  const closed: Chain[] = [];
  const findings = places.flatMap((place) => {
    const families = (place === 'forward' ? options.forwarded : FAMILIES) as readonly Family[];
    const chains = ruleset.filters(place);
    const drops = (chain: Chain, family: Family) =>
      isDroppedAtLast(ruleset.askChain(chain, incoming(family, options)));
    const unfiltered = families.filter((family) => !chains.some((chain) => drops(chain, family)));
    if (place !== 'output' && unfiltered.length > 0) {
      open.push(`${PACKET_PATHS[place]} over ${unfiltered.map((one) => `IPv${one}`).join(' and ')}`);
    }
    const dropping = chains.filter((chain) => families.some((family) => drops(chain, family)));
    closed.push(...dropping);
    return chains.flatMap((chain) => {
      const own = families.filter((family) => chain.families.includes(family));
      const found = own.length === 0 ? [] : checkChain(ruleset, chain, own, options);
      return dropping.includes(chain) ? found : found.filter(({ level }) => level !== 'ok');
    });
  });
  const drops =
    open.length === 0
      ? ok('default-drop', `${closed.map(nameOf).join(', ')}: what no rule accepts is dropped`)
      : caution(
          'default-drop',
          `no chain drops ${open.join(', ')}: it passes with and without a pinhole`,
          'give a chain at priority filter "policy drop", and rules for what may pass',
        );
  return [drops, ...findings];
}

/** Media that nobody has opened a way for. */
function incoming(family: Family, options: FilterCheckOptions): Probe {
  const [first, last] = options.mediaPorts[0] ?? [1024, 65_535];
  const { inside } = options;
  return probeOf({ family, inside, to: insideOf(family, options), destinationPort: (first + last) >> 1 });
}

function insideOf(family: Family, { inside }: FilterCheckOptions): readonly Network[] | null {
  const own = inside.filter((network) => network.family === family);
  return own.length === 0 ? null : own;
}

/** What has to pass a chain, each with what to do when it does not. */
function checkChain(
  ruleset: NetfilterRuleset,
  chain: Chain,
  families: readonly Family[],
  options: FilterCheckOptions,
): Finding[] {
  const { mark, sipPorts, inside, outbound, tcpMedia } = options;
  const { hook, priority } = chain.base!;
  const name = nameOf(chain);
  const isNft = !chain.table.startsWith('ip6tables') && !chain.table.startsWith('iptables');
  const line = (nft: string, iptables: string) =>
    isNft ? `add "${nft}" to it` : `add "${iptables}" to it, before what drops`;
  const isStopped = (probe: Probe) => isDropped(ruleset.askChain(chain, probe));
  const isEarly = priority <= PRIORITY;

  function established(): Finding {
    return families.some((family) => isStopped(probeOf({ family, inside, state: 'established' })))
      ? fault(
          'accept-established',
          `${name} drops, and does not accept established flows: answers do not pass`,
          line('ct state established accept', '-m conntrack --ctstate ESTABLISHED -j ACCEPT'),
        )
      : ok('accept-established', `${name} accepts established flows`);
  }

  function marked(): Finding {
    const bits = `0x${mark.toString(16)}`;
    const own = { mark: isEarly ? 0 : mark };
    if (!families.some((family) => isStopped({ ...incoming(family, options), ...own }))) {
      return ok('accept-mark', `${name} accepts the mark ${bits} of pinholes`);
    }
    return isEarly
      ? fault(
          'accept-mark',
          `${name} drops at priority ${priority}, before pinholes are looked at (${PRIORITY}): media does not pass`,
          'give the chain "priority filter" or a higher one',
        )
      : fault(
          'accept-mark',
          `${name} drops, and does not accept the mark ${bits} of pinholes: media does not pass`,
          line(`meta mark & ${bits} == ${bits} accept`, `-m mark --mark ${bits}/${bits} -j ACCEPT`),
        );
  }

  function sip(): Finding {
    const probes = families.flatMap((family) =>
      (['udp', 'tcp'] as const).flatMap((protocol) =>
        [...new Set(sipPorts.flat())].map((port) => ({
          probe: probeOf({ family, protocol, inside, destinationPort: port }),
          side: 'to' as const,
          port,
        })),
      ),
    );
    const missing = describeMissed(probes.filter(({ probe }) => isStopped(probe)));
    if (missing !== '') {
      return fault(
        'accept-sip',
        `${name} drops SIP: ${missing}`,
        line(
          `meta l4proto { tcp, udp } th dport ${portText(sipPorts, '-')} accept`,
          `-p udp -m multiport --dports ${portText(sipPorts, ':').replace(/[{} ]/g, '')} -j ACCEPT`,
        ),
      );
    }
    const narrowed = probes.every(({ probe }) => ruleset.askChain(chain, probe).some(({ sure }) => !sure));
    return ok('accept-sip', `${name} accepts SIP${narrowed ? ' under further conditions' : ''}`);
  }

  /** An offer's media begins inside as often as not: what has no state yet. */
  function outgoing(): Finding[] {
    if (hook === 'input') return [];
    if (outbound && !isEarly) {
      return [ok('outbound-media', `${name}: calls open the way out for what inside hosts send (outbound)`)];
    }
    const protocols: readonly Protocol[] = tcpMedia ? ['udp', 'tcp'] : ['udp'];
    const stopped = families.filter((family) => {
      const from = hook === 'output' ? null : options.routed.filter((network) => network.family === family);
      if (from?.length === 0) return false;
      return protocols.some((protocol) => isStopped(probeOf({ family, protocol, from, inside })));
    });
    if (stopped.length === 0) return [ok('outbound-media', `${name} lets out what inside hosts send`)];
    return [
      fault(
        'outbound-media',
        `${name} drops the media that inside hosts send over ${stopped.map((one) => `IPv${one}`).join(' and ')}: ` +
          'they hear and are not heard',
        'add the lines for media that "pinholed rules" prints, or set outbound: true',
      ),
    ];
  }

  return [established(), marked(), sip(), ...outgoing()];
}

function portText(ports: Ports, dash: string): string {
  const texts = ports.map(([first, last]) => (first === last ? `${first}` : `${first}${dash}${last}`));
  return texts.length === 1 ? texts[0]! : `{ ${texts.join(', ')} }`;
}
