/** Whether a packet from outside that bears an inside address is dropped. */
import type { Ingress } from '../../address/ingress.ts';
import type { Network } from '../../address/network.ts';
import { caution, type Finding, ok } from '../finding.ts';
import type { Family } from '../forwarding.ts';
import { uplinksOf } from '../interfaces.ts';
import { type Ports, probeOf } from '../probe.ts';
import type { ReadFile } from './kernel-checks.ts';
import { isDropped } from './rule.ts';
import type { NetfilterRuleset } from './ruleset.ts';

interface AntispoofOptions {
  readonly forwarded: readonly Family[];
  readonly ingress: Ingress | null;
  readonly inside: readonly Network[];
  readonly sipPorts: Ports;
}

/** Strict reverse path of RFC 3704 (ip-sysctl, rp_filter); there is none for IPv6. */
const STRICT = 1;

export function checkAntispoof(
  ruleset: NetfilterRuleset,
  read: ReadFile,
  options: AntispoofOptions,
): Finding {
  const open = options.forwarded.filter(
    (family) =>
      options.inside.some((network) => network.family === family) &&
      !(family === 4 && isStrict(read, uplinksOf(options.ingress))) &&
      !dropsForged(ruleset, family, options),
  );
  if (open.length === 0) return ok('antispoof', 'what claims an inside address comes in from inside alone');
  return caution(
    'antispoof',
    `an inside address may come in from outside, over ${open.map((family) => `IPv${family}`).join(' and ')}: the daemon ` +
      'refuses such SIP, but media with it passes a pinhole',
    'at prerouting, priority raw: "fib saddr . iif oif missing drop"; for IPv4 alone net.ipv4.conf.all.rp_filter=1',
  );
}

function dropsForged(
  ruleset: NetfilterRuleset,
  family: Family,
  { inside, sipPorts }: AntispoofOptions,
): boolean {
  const from = inside.filter((network) => network.family === family);
  const [[destinationPort] = [5060]] = sipPorts;
  const probe = probeOf({ family, from, destinationPort, forged: true });
  const chains = (['prerouting', 'forward'] as const).flatMap((hook) => ruleset.filters(hook));
  return chains.some((chain) => isDropped(ruleset.askChain(chain, probe)));
}

/** Of an interface the larger counts of its own setting and that for all. */
function isStrict(read: ReadFile, uplinks: readonly string[]): boolean {
  const settingOf = (name: string) => {
    const found = read(`/proc/sys/net/ipv4/conf/${name}/rp_filter`);
    return found.ok ? Number(found.text) : 0;
  };
  const all = settingOf('all');
  if (uplinks.length === 0) return all === STRICT;
  return uplinks.every((name) => Math.max(all, settingOf(name)) === STRICT);
}
