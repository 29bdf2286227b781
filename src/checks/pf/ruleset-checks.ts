/** Whether the packets of a call pass pf's ruleset as they have to: what becomes of each is asked of the rules. */
import { PF_REPLYTO } from '../../../native-bindings/freebsd/constants.ts';
import { familyOf } from '../../address/address.ts';
import { type Ingress, insideInterfaces } from '../../address/ingress.ts';
import { parseNetwork } from '../../address/network.ts';
import type { Settings } from '../../config/schema.ts';
import { caution, type Finding, fault, ok, PASTE, unknown } from '../finding.ts';
import type { Family } from '../forwarding.ts';
import { insideNetworks, uplinksOf } from '../interfaces.ts';
import { isOf, type Mapping, mediaText, unknownForward } from '../nat.ts';
import { type Probe, probeOf } from '../probe.ts';
import {
  type Filtered,
  type InterfaceDirection,
  type PfRuleset,
  ruleText,
  targetText,
  type WalkTranslation,
} from './walk.ts';

interface RulesetCheckOptions
  extends Pick<Settings, 'inside' | 'mediaPorts' | 'sipPorts' | 'outbound' | 'uplinks'> {
  readonly mappings: readonly Mapping[];
  readonly ingress: Ingress | null;
  /** Families that the machine forwards. */
  readonly forwarded: readonly Family[];
}

/** What is known of the interfaces; a name that is not known is null. */
interface Sides {
  readonly inside: readonly (string | null)[];
  readonly uplinks: readonly (string | null)[];
}

export function checkRuleset(ruleset: PfRuleset, options: RulesetCheckOptions): Finding[] {
  const sides = sidesOf(options);
  return [
    ...checkPinholes(ruleset, sides, options),
    checkOutgoing(ruleset, sides, options),
    checkAntispoof(ruleset, options),
    ...checkUplinks(ruleset, options),
    ...options.mappings.flatMap((mapping) => checkMapping(ruleset, mapping, sides, options)),
    ...checkForwards(ruleset, sides, options),
  ];
}

function sidesOf(options: RulesetCheckOptions): Sides {
  return { inside: orNull(insideNames(options)), uplinks: orNull(uplinkNames(options)) };
}

function insideNames({ ingress }: RulesetCheckOptions): string[] {
  return ingress === null ? [] : insideInterfaces(ingress).flatMap((one) => (one.uplink ? [] : [one.name]));
}

function uplinkNames({ ingress, uplinks }: RulesetCheckOptions): string[] {
  return [...new Set([...uplinks.map((one) => one.interface), ...uplinksOf(ingress)])];
}

function orNull(names: readonly string[]): readonly (string | null)[] {
  return names.length === 0 ? [null] : names;
}

interface Asked extends Filtered {
  readonly direction: InterfaceDirection;
  readonly by: string | null;
}

/** The way of a packet by each of these interfaces. */
function ask(
  ruleset: PfRuleset,
  direction: InterfaceDirection,
  names: readonly (string | null)[],
  probe: Partial<Probe> & Pick<Probe, 'family'>,
): Asked[] {
  return names.map((by) => {
    const whole = probeOf({ ...probe, ...(direction === 'in' ? { comesBy: by } : { goesBy: by }) });
    return { ...ruleset.filter(whole, direction), direction, by };
  });
}

function isBlocked({ decisions }: Filtered): boolean {
  return decisions.every(({ verdict }) => verdict === 'block');
}

function wordsOf({ direction, by }: Asked): string {
  return `${direction}${by === null ? '' : ` on ${by}`}`;
}

/** Media towards inside hosts: comes to the anchor, and without a pinhole passes nowhere else. */
function checkPinholes(ruleset: PfRuleset, sides: Sides, options: RulesetCheckOptions): Finding[] {
  const { inside, mediaPorts, forwarded } = options;
  const [[first, last] = [1024, 65_535]] = mediaPorts;
  const asked = forwarded.flatMap((family) => {
    const to = inside.filter((network) => network.family === family);
    if (to.length === 0) return [];
    const media = { family, to, inside, destinationPort: (first + last) >> 1 };
    return [...ask(ruleset, 'in', sides.uplinks, media), ...ask(ruleset, 'out', sides.inside, media)];
  });
  const found: Finding[] = [];
  for (const one of asked) {
    const rule = one.decisions.at(-1)!.rule;
    if (one.comesToAnchor !== 'no' || rule === null || rule.rule.quick === 0) continue;
    const text = `${ruleText(rule)} decides about media ${wordsOf(one)} before the pinholes are looked at`;
    const advice = 'put the anchor line before it';
    found.push(
      isBlocked(one)
        ? fault('block-quick', `${text}: it is blocked, whatever is open`, advice)
        : caution('block-quick', `${text}: it passes with and without a pinhole`, advice),
    );
  }
  const incoming = asked.filter(({ direction }) => direction === 'in');
  const open = incoming.find(({ decisions }) => decisions.every(({ verdict }) => verdict === 'pass'));
  return [
    ...(found.length > 0
      ? unique(found)
      : [ok('block-quick', 'no quick rule keeps media from the pinholes')]),
    open === undefined
      ? ok('default-drop', 'media that nobody opened a way for is blocked')
      : caution(
          'default-drop',
          `media towards inside hosts passes ${wordsOf(open)} with and without a pinhole`,
          'begin the filter rules with "block all", and pass what may pass',
        ),
  ];
}

/** Media that inside hosts send has no state yet where the inside host is the first to send. */
function checkOutgoing(ruleset: PfRuleset, sides: Sides, options: RulesetCheckOptions): Finding {
  const { inside, outbound, forwarded, ingress } = options;
  const networks = insideNetworks(ingress, inside);
  const asked = forwarded.flatMap((family) => {
    const from = networks.filter((network) => network.family === family);
    if (from.length === 0) return [];
    return [
      ...ask(ruleset, 'in', sides.inside, { family, from, inside }),
      // WalkTranslation by then, maybe.
      ...ask(ruleset, 'out', sides.uplinks, { family }),
    ];
  });
  const stopped = asked.filter((one) => isBlocked(one) && !(outbound && one.comesToAnchor !== 'no'));
  if (stopped.length === 0) {
    return ok(
      'outbound-media',
      outbound
        ? 'calls open the way out for what inside hosts send (outbound)'
        : 'what inside hosts send passes',
    );
  }
  const where = [...new Set(stopped.map(wordsOf))].join(', ');
  const { rule } = stopped[0]!.decisions.at(-1)!;
  return fault(
    'outbound-media',
    `media that inside hosts send is blocked ${where}${rule === null ? '' : ` by ${ruleText(rule)}`}: they hear and are not heard`,
    `add ${PASTE} for it, or set outbound: true`,
  );
}

/** Why none of these leads outside alone, and what to do: those with a default route never count as inside. */
function outsideUnknown(ingress: Ingress | null, names: readonly string[]): string {
  if (ingress === null) return 'the routes could not be read: look at the rules yourself';
  if (names.length === 0) return 'name them: uplinks: [...]';
  return `${names.join(', ')} of uplinks counts as inside as well: set inside-interfaces to the others that lead inside`;
}

/** What bears an inside address on its way in by an uplink. */
function checkAntispoof(ruleset: PfRuleset, options: RulesetCheckOptions): Finding {
  const { inside, ingress, forwarded } = options;
  const names = uplinkNames(options);
  const leadInside = insideNames(options);
  const outside = names.filter((name) => !leadInside.includes(name));
  if (ingress === null || outside.length === 0) {
    return unknown(
      'antispoof',
      'no interface is known that leads outside alone',
      outsideUnknown(ingress, names),
    );
  }
  const networks = insideNetworks(ingress, inside);
  const open = forwarded.flatMap((family) => {
    const from = networks.filter((network) => network.family === family);
    if (from.length === 0) return [];
    const [[destinationPort] = [5060]] = options.sipPorts;
    return ask(ruleset, 'in', outside, { family, from, inside, destinationPort, forged: true }).filter(
      (one) => !isBlocked(one),
    );
  });
  return open.length === 0
    ? ok('antispoof', 'what claims an inside address comes in from inside alone')
    : caution(
        'antispoof',
        `an inside address may come ${[...new Set(open.map(wordsOf))].join(', ')}: the daemon refuses such SIP, but media with it ` +
          'passes a pinhole',
        'the antispoof line that "pinholed rules" prints',
      );
}

/** Answers to SIP that came in by one of several uplinks have to leave by it. */
function checkUplinks(ruleset: PfRuleset, options: RulesetCheckOptions): Finding[] {
  const { uplinks, sipPorts, inside, ingress } = options;
  if (uplinks.length === 0) {
    const names = uplinksOf(ingress);
    return names.length < 2
      ? []
      : [
          caution(
            'reply-to',
            `there are several ways out (${names.join(', ')}), and uplinks is not set: media that comes in by one may be answered ` +
              'by another',
            'set uplinks: [{interface: ..., gateway: ...}, ...]',
          ),
        ];
  }
  const [[destinationPort] = [5060]] = sipPorts;
  const without = uplinks.filter(({ interface: by, gateway }) => {
    const family = familyOf(gateway);
    const to = inside.filter((network) => network.family === family);
    const [asked] = ask(ruleset, 'in', [by], {
      family,
      to: to.length === 0 ? null : to,
      inside,
      destinationPort,
    });
    const passing = asked!.decisions.filter(({ verdict }) => verdict === 'pass');
    return passing.length > 0 && !passing.some(({ rule }) => rule?.rule.rt === PF_REPLYTO);
  });
  if (without.length === 0) return [ok('reply-to', 'SIP is answered by the uplink that it came in by')];
  return [
    caution(
      'reply-to',
      `SIP that comes in by ${without.map((one) => one.interface).join(', ')} is answered by the default route`,
      `${PASTE} have a reply-to rule for each uplink`,
    ),
  ];
}

/** SIP for the external address, media where the ruleset has to translate it, and what stands in a pinhole's way. */
function checkMapping(
  ruleset: PfRuleset,
  { external, arrivesAt, hosts, byRuleset }: Mapping,
  sides: Sides,
  { sipPorts, mediaPorts }: RulesetCheckOptions,
): Finding[] {
  const family = familyOf(arrivesAt);
  const to = [parseNetwork(arrivesAt)!];
  const own = hosts.filter((host) => host.family === family);
  const names = own.map(targetText).join(', ');
  const inward = (port: number) => inwardBy(ruleset, sides, { family, to, destinationPort: port });
  const leadsIn = (port: number) => inward(port).some(({ to: target }) => isOf(target, own));
  const found: Finding[] = [];
  if (!sipPorts.some(([first]) => leadsIn(first))) {
    found.push(
      caution(
        'nat',
        `no rdr or binat rule brings SIP for ${arrivesAt} to ${names}: calls from outside come in only where the PBX has ` +
          'registered with who sends them',
        `add the rdr line that "pinholed rules" prints, or leave it so for a trunk with registration`,
      ),
    );
  }
  const ports = [...new Set(mediaPorts.flat())];
  if (byRuleset) {
    const missing = ports.filter((port) => !leadsIn(port));
    if (missing.length > 0) {
      found.push(
        fault(
          'nat',
          `translation: ruleset, but no rdr or binat rule brings media for ${arrivesAt} to ${names} (${mediaText(missing)}): nobody ` +
            'inside hears',
          'forward all of media-ports, set media-ports to what is forwarded, or set translation: pinhole',
        ),
      );
    }
  } else {
    const [before] = ports.flatMap((port) =>
      inward(port).filter((one) => one.isBeforeAnchor && one.kind === 'rdr' && !isOf(one.to, own)),
    );
    if (before !== undefined) {
      found.push(
        fault(
          'nat',
          `${ruleText(before.rule)} takes media for ${arrivesAt} to another host before the pinholes' rdr-anchor is looked at`,
          'narrow its ports, or put the rdr-anchor line before it',
        ),
      );
    }
  }
  return found.length > 0 ? found : [ok('nat', `${external}: rules bring SIP to ${names}`)];
}

/** SIP that is forwarded to an inside host, which then announces an address that nobody told the daemon about. */
function checkForwards(ruleset: PfRuleset, sides: Sides, options: RulesetCheckOptions): Finding[] {
  const { mappings, sipPorts, inside, forwarded } = options;
  const hosts = mappings.flatMap((mapping) => mapping.hosts);
  const targets = forwarded.flatMap((family) =>
    sipPorts.flatMap(([port]) =>
      inwardBy(ruleset, sides, { family, inside, destinationPort: port }).flatMap(({ to }) =>
        to !== null && isOf(to, inside) && !isOf(to, hosts) ? [targetText(to)] : [],
      ),
    ),
  );
  return [...new Set(targets)].map(unknownForward);
}

function inwardBy(
  ruleset: PfRuleset,
  { uplinks }: Sides,
  probe: Partial<Probe> & Pick<Probe, 'family'>,
): WalkTranslation[] {
  return uplinks.flatMap((comesBy) => ruleset.translate(probeOf({ ...probe, comesBy }), 'in'));
}

function unique(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((one) => [one.text, one])).values()];
}
