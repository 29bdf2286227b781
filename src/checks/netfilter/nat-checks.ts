/** Whether the ruleset translates as `nat` says. Where pinholes bring their own translation, theirs comes first. */
import { familyOf } from '../../address/address.ts';
import { type Network, parseNetwork } from '../../address/network.ts';
import { caution, type Finding, fault, ok } from '../finding.ts';
import { isOf, type Mapping, mediaText, unknownForward } from '../nat.ts';
import { type Ports, probeOf } from '../probe.ts';
import type { ProbeOutcome, RuleVerdict } from './rule.ts';
import type { NetfilterRuleset } from './ruleset.ts';

interface NatCheckOptions {
  readonly mappings: readonly Mapping[];
  readonly sipPorts: Ports;
  readonly mediaPorts: Ports;
  readonly inside: readonly Network[];
}

type TranslationVerdict = RuleVerdict & { readonly type: 'dnat' | 'snat' };

export function checkTranslation(ruleset: NetfilterRuleset, options: NatCheckOptions): Finding[] {
  return [
    ...options.mappings.flatMap((mapping) => checkMapping(ruleset, mapping, options)),
    ...checkForwards(ruleset, options),
  ];
}

function checkMapping(
  ruleset: NetfilterRuleset,
  { external, arrivesAt, hosts, byRuleset }: Mapping,
  { sipPorts, mediaPorts }: NatCheckOptions,
): Finding[] {
  const family = familyOf(arrivesAt);
  const to = [parseNetwork(arrivesAt)!];
  const own = hosts.filter((host) => host.family === family);
  const names = own.map(({ text }) => text.replace(/\/(32|128)$/, '')).join(', ');
  const leadsIn = (port: number, alsoChanged: boolean) =>
    translations(ruleset.translate('prerouting', probeOf({ family, to, destinationPort: port }))).some(
      ({ to: target, ports }) => isOf(target, own) && (alsoChanged || ports === 'kept'),
    );
  const found: Finding[] = [];
  if (!sipPorts.some(([first]) => leadsIn(first, true))) {
    found.push(
      caution(
        'nat',
        `no dnat rule brings SIP for ${arrivesAt} to ${names}: calls from outside come in only where the PBX has registered ` +
          'with who sends them',
        `add the line that "pinholed rules" prints, or leave it so for a trunk with registration`,
      ),
    );
  }
  if (byRuleset) {
    const ports = mediaPorts.flat().filter((port) => !leadsIn(port, false));
    if (ports.length > 0) {
      found.push(
        fault(
          'nat',
          `translation: ruleset, but no dnat rule brings media for ${arrivesAt} to ${names} with its port as it is ` +
            `(${mediaText(ports)}): nobody inside is heard, nor hears`,
          'forward all of media-ports, set media-ports to what is forwarded, or set translation: pinhole',
        ),
      );
    }
  }
  const [port = 1024] = byRuleset ? mediaPorts.flat() : sipPorts.flat();
  const left = translations(
    ruleset.translate('postrouting', probeOf({ family, from: own, sourcePort: port })),
  );
  const others = left.filter(({ to: target }) => target !== null && !isOf(target, to));
  if (own.length > 0 && left.length > 0 && others.length === left.length) {
    found.push(
      fault(
        'nat',
        `${names} announces ${external}, and its packets leave as ${others.map(({ to: one }) => one!.text).join(', ')}`,
        'make the snat rule and nat: the same address',
      ),
    );
  } else if (byRuleset && left.length > 0 && left.every(({ ports }) => ports === 'changed')) {
    found.push(
      caution(
        'nat',
        `what ${names} sends leaves from other ports than it announces`,
        'leave the ports as they are: no port range and no "random" in the snat rule',
      ),
    );
  }
  return found.length > 0 ? found : [ok('nat', `${external}: rules bring SIP to ${names}, and back`)];
}

/** SIP that is forwarded to an inside host, which then announces an address that nobody told the daemon about. */
function checkForwards(
  ruleset: NetfilterRuleset,
  { mappings, sipPorts, inside }: NatCheckOptions,
): Finding[] {
  const hosts = mappings.flatMap((mapping) => mapping.hosts);
  const forwarded = ([4, 6] as const).flatMap((family) =>
    sipPorts.flatMap(([port]) =>
      translations(ruleset.translate('prerouting', probeOf({ family, destinationPort: port }))).flatMap(
        ({ type, to }) =>
          type === 'dnat' && to !== null && isOf(to, inside) && !isOf(to, hosts) ? [to.text] : [],
      ),
    ),
  );
  return [...new Set(forwarded)].map(unknownForward);
}

function translations(outcomes: readonly ProbeOutcome[]): TranslationVerdict[] {
  return outcomes.flatMap(({ verdict }) =>
    verdict.type === 'dnat' || verdict.type === 'snat' ? [verdict] : [],
  );
}
