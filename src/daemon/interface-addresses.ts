import { networkInterfaces } from 'node:os';
import { type Address, parseAddress } from '../address/address.ts';

/** The addresses that interfaces which are up have now, as far as they are known outside the link. */
export function readInterfaceAddresses(): ReadonlyMap<string, readonly Address[]> {
  return new Map(
    Object.entries(networkInterfaces()).map(([name, addresses = []]) => [
      name,
      addresses
        .filter(({ scopeid }) => scopeid === undefined || scopeid === 0)
        .flatMap(({ address }) => parseAddress(address) ?? []),
    ]),
  );
}
