import type { NatSettings } from '../../config/nat.ts';
import type { Settings } from '../../config/schema.ts';

/** `203.0.113.2`, or the interface whose address it is, as the packet filter's language has it. */
export function externalOf({ external }: NatSettings, ofInterface: (name: string) => string): string {
  return 'address' in external ? external.address : ofInterface(external.interface);
}

/** The hosts of a mapping as a packet filter's rule would have them. */
export function hostsOf({ hosts }: NatSettings): string[] {
  return hosts.map(({ text, prefix, bytes }) =>
    prefix === bytes.length * 8 ? text.slice(0, text.lastIndexOf('/')) : text,
  );
}

/** Mappings for which something translates here, those whose pinholes bring their own translation, and those that the ruleset translates. */
export function byTranslator({ nat }: Pick<Settings, 'nat'>): {
  readonly all: readonly NatSettings[];
  readonly own: readonly NatSettings[];
  readonly ruleset: readonly NatSettings[];
} {
  const all = nat.filter((mapping) => hostsOf(mapping).join(' ') !== mapping.arrivesAt);
  return {
    all,
    own: all.filter(({ translation }) => translation !== 'ruleset'),
    ruleset: all.filter(({ translation }) => translation === 'ruleset'),
  };
}
