import type { Address } from '../../../address/address.ts';
import type { PacketView } from '../../../packet/ip.ts';
import { MOST_REMEMBERED } from './bounds.ts';

/** Two hosts of which one answered the other's INVITEs and only the answers were seen. */
export interface OneSided {
  readonly from: Address;
  readonly to: Address;
  readonly messages: number;
}

interface MessageDirections {
  add(packet: PacketView): void;
  /** The packet answered an INVITE. */
  answering(packet: PacketView): void;
  /** How many messages went from one host to another. */
  count(from: Address, to: Address): number;
  oneSided(): readonly OneSided[];
}

/** Who sent how many messages to whom. */
export function createMessageDirections(): MessageDirections {
  const counts = new Map<Address, Map<Address, number>>();
  /** In the order in which they were seen first. */
  const answering: (readonly [from: Address, to: Address])[] = [];
  const answeredBy = new Map<Address, Set<Address>>();

  function add({ source, destination }: PacketView): void {
    let to = counts.get(source);
    if (to === undefined) {
      if (counts.size >= MOST_REMEMBERED) return;
      to = new Map();
      counts.set(source, to);
    }
    if (to.size < MOST_REMEMBERED || to.has(destination)) to.set(destination, (to.get(destination) ?? 0) + 1);
  }

  function count(from: Address, to: Address): number {
    return counts.get(from)?.get(to) ?? 0;
  }

  function noteAnswering({ source, destination }: PacketView): void {
    const known = answeredBy.get(source);
    if (known?.has(destination) === true || answering.length >= MOST_REMEMBERED) return;
    if (known === undefined) answeredBy.set(source, new Set([destination]));
    else known.add(destination);
    answering.push([source, destination]);
  }

  return {
    add,
    answering: noteAnswering,
    count,
    oneSided: () =>
      answering.flatMap(([from, to]) => {
        return from === to || count(to, from) > 0 ? [] : [{ from, to, messages: count(from, to) }];
      }),
  };
}
