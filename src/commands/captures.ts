import type { Address } from '../address/address.ts';
import { type Network, parseNetwork } from '../address/network.ts';
import { readInterfaceAddresses } from '../daemon/interface-addresses.ts';
import { CaptureError, openCaptures } from '../intercept/capture.ts';
import { mappingsWith, type NatMapping } from '../policy/external.ts';
import { assumeInside } from '../report/replay/assume.ts';

/** `--inside`, for yargs' `coerce`. Throws what is to be said of a text that is no network. */
export function networkOf(text: string): Network {
  const network = parseNetwork(text);
  if (network !== null) return network;
  throw new Error(
    `--inside: expected a network such as 192.0.2.0/24 or 2001:db8::/32, found ${JSON.stringify(text)}`,
  );
}

/** `--tunnels`, of every command that reads captures. */
export const tunnelsOption = {
  type: 'boolean',
  default: false,
  describe: 'Look into GRE, IP-in-IP, GTP-U, VXLAN, Geneve, L2TP and ESP without encryption',
} as const;

/**
 * With the addresses that interfaces of this machine have: a capture does not tell them. Of one that has none `tell` gets a
 * line for people.
 */
export function atHome<S extends { readonly nat: readonly NatMapping[] }>(
  settings: S,
  tell: (line: string) => void = (line) => console.error(`pinholed: ${line}`),
  addresses: () => ReadonlyMap<string, readonly Address[]> = readInterfaceAddresses,
): S {
  const { nat } = settings;
  if (nat.every(({ external }) => 'address' in external)) return settings;
  const known = Object.fromEntries(addresses());
  for (const { external } of nat) {
    if ('interface' in external && (known[external.interface] ?? []).length === 0)
      tell(`interface ${external.interface} has no address here: its mapping is left out`);
  }
  return { ...settings, nat: mappingsWith(nat, known) };
}

/** What the files show of who is inside; null where that is not to be seen, or a file can be read only once. */
export function insideOf(files: readonly string[]): readonly Network[] | null {
  if (files.includes('-')) return null;
  const captures = openCaptures(files);
  const inside = assumeInside(captures);
  captures.close();
  return inside;
}

/**
 * Does what reads captures more than once. What is wrong with a file is a line on stderr, and the answer then is null.
 * `words`: the command line, in which yargs loses a `-`.
 */
export function reading<T>(words: readonly string[], read: () => T): T | null {
  if (words.includes('-')) {
    console.error(
      'pinholed: - can be read once only: write it to a file first, such as with tcpdump -w FILE',
    );
    return null;
  }
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    console.error(`pinholed: ${error.message}`);
    return null;
  }
}
