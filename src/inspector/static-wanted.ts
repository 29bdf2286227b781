import { type Address, familyOf } from '../address/address.ts';
import type { StaticMedia } from '../address/static-media.ts';
import type { Call } from '../call/call.ts';
import type { Wanted } from '../call/wanted.ts';

/**
 * What a standing call wants: the ports of its entry at each host, as it is reached from outside, for its peer and the
 * further senders. Nobody announced them: the settings stand for what the host would have said.
 */
export function staticWanted(
  { parties, state }: Pick<Call, 'parties' | 'state'>,
  { hosts, ports, mediaFrom }: StaticMedia,
  reachedAt: (host: Address) => readonly Address[],
): Wanted[] {
  if (state === 'ended') return [];
  const [peer] = parties;
  const senders = [...new Set([peer, ...(mediaFrom ?? [])])].sort();
  const wanted: Wanted[] = [];
  for (const host of hosts) {
    const sources = senders.filter((sender) => familyOf(sender) === familyOf(host));
    for (const address of sources.length === 0 ? [] : reachedAt(host)) {
      for (const range of ports) {
        wanted.push({
          slot: `1:${wanted.length}`,
          media: 'static',
          kind: 'udp',
          protocol: 'udp',
          owner: host,
          peer,
          connection: { kind: 'address', address },
          ports: range,
          relayed: false,
          sources,
          sourcePort: null,
          candidate: false,
          agreed: true,
        });
      }
    }
  }
  return wanted;
}
