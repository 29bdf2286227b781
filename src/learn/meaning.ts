import { type Address, familyOf } from '../address/address.ts';
import { networkSet } from '../address/network.ts';
import { PRIVATE_NETWORKS } from '../address/private.ts';
import type { CallReport } from '../history/call-report.ts';
import type { FlowReport } from '../report/replay/model.ts';
import type { Meaning } from './seen.ts';

const isPrivate = networkSet(PRIVATE_NETWORKS);

/** Media that was seen; none where only signalling was. */
type Media = readonly Pick<FlowReport, 'source' | 'sourcePort' | 'destination' | 'destinationPort'>[];

/**
 * What it means that a host inside announces another address in an answered call. A public one that stands for a private
 * host: its own, translated on the way. Any other: a media host, if media came from there or, where no media was seen at
 * all, if it is inside. Anything else has no reason, and none is made up.
 */
export function createMeanings(
  reports: readonly CallReport[],
  media: Media,
  isInside: (address: Address) => boolean,
): (owner: Address, announced: Address) => Meaning {
  const senders = new Set(media.map(({ source }) => source));
  const ports = new Set(media.map(({ source, sourcePort }) => `${source} ${sourcePort}`));
  const reached = new Set(
    media.map(({ destination, destinationPort }) => `${destination} ${destinationPort}`),
  );
  const meanings = new Map<string, Meaning>();
  for (const { answeredAt, refusals } of reports) {
    for (const { reason, transport } of refusals) {
      if (answeredAt === null || reason !== 'foreign-address' || transport === null) continue;
      const { owner, address, ports: announced, candidate } = transport;
      if (address === null || candidate || !isInside(owner)) continue;
      const key = `${owner} ${address}`;
      meanings.set(key, meanings.get(key) ?? meaningOf(owner, address, announced[0]));
    }
  }

  function meaningOf(owner: Address, announced: Address, port: number): Meaning {
    const stands = isPrivate(owner) && !isPrivate(announced) && !isInside(announced);
    const isOwners = ports.has(`${owner} ${port}`) || reached.has(`${owner} ${port}`);
    if (stands && familyOf(owner) === familyOf(announced) && (isOwners || !senders.has(announced))) {
      return 'nat';
    }
    const hasNoMedia = media.length === 0;
    return senders.has(announced) || (hasNoMedia && isInside(announced)) ? 'media-host' : null;
  }

  return (owner, announced) => meanings.get(`${owner} ${announced}`) ?? null;
}
