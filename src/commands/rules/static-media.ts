import { type Address, type Family, familyOf } from '../../address/address.ts';
import type { PortRange } from '../../address/ports.ts';
import type { StaticMedia } from '../../address/static-media.ts';

/** What inside hosts send to peers of one entry of `static-media`, in one address family. */
interface WayOut {
  readonly family: Family;
  readonly hosts: readonly Address[];
  readonly ranges: readonly PortRange[];
  /** Addresses, and networks with their prefix. */
  readonly peers: readonly string[];
}

/** What a ruleset that lets out only what is listed has to let out for these entries; never with an empty list. */
export function wayToStaticPeers(entries: readonly StaticMedia[]): WayOut[] {
  return entries.flatMap(({ hosts, ports, peers, mediaFrom }) =>
    ([4, 6] as const).flatMap((family) => {
      const own = hosts.filter((host) => familyOf(host) === family);
      const theirs = [
        ...peers.filter((peer) => peer.family === family).map(({ text }) => text),
        ...(mediaFrom ?? []).filter((sender) => familyOf(sender) === family),
      ];
      return own.length === 0 || theirs.length === 0
        ? []
        : [{ family, hosts: own, ranges: ports, peers: theirs }];
    }),
  );
}
