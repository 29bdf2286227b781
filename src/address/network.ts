import { type Address, addressBytes, type Family, familyOf, parseAddress } from './address.ts';

/** A network in CIDR form. `text` is canonical: the address with its host bits cleared. */
export interface Network {
  readonly text: string;
  readonly family: Family;
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

/** `192.0.2.0/24`, `2001:db8::/32` or a bare address (its own network) to a Network; null when it is neither. */
export function parseNetwork(text: string): Network | null {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const bytes = addressBytes(address);
  const widest = bytes.length * 8;
  const prefixText = slash < 0 ? String(widest) : text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(prefixText)) return null;
  const prefix = Number(prefixText);
  if (prefix > widest) return null;
  return networkOf(bytes, prefix);
}

/** The network of the first `prefix` bits of an address' four or sixteen bytes. */
export function networkOf(bytes: Uint8Array, prefix: number): Network {
  const masked = Uint8Array.from(bytes, (byte, index) => byte & maskByte(prefix, index));
  const family = bytes.length === 4 ? 4 : 6;
  return { text: `${formatMasked(masked)}/${prefix}`, family, bytes: masked, prefix };
}

export function networkHas(network: Network, address: Address): boolean {
  if (familyOf(address) !== network.family) return false;
  return hasBytes(network, addressBytes(address));
}

/** Whether two networks have an address in common. */
export function networksOverlap(one: Network, other: Network): boolean {
  const [wide, narrow] = one.prefix <= other.prefix ? [one, other] : [other, one];
  return hasBytes(wide, narrow.bytes);
}

/** Whether every address of the network is in one of the others. */
export function isCovered(network: Network, others: readonly Network[]): boolean {
  const near = others.filter((other) => networksOverlap(other, network));
  if (near.some(({ prefix }) => prefix <= network.prefix)) return true;
  if (near.length === 0) return false;
  return halves(network).every((half) => isCovered(half, near));
}

/** The networks that are exactly the addresses from `first` to `last`. None where they are no range. */
export function networksBetween(first: Address, last: Address): Network[] {
  const [low, high] = [addressBytes(first), addressBytes(last)];
  if (low.length !== high.length || Buffer.compare(low, high) > 0) return [];
  const found: Network[] = [];
  const visit = (network: Network): void => {
    const end = network.bytes.map((byte, index) => byte | (0xff & ~maskByte(network.prefix, index)));
    if (Buffer.compare(end, low) < 0 || Buffer.compare(network.bytes, high) > 0) return;
    if (Buffer.compare(network.bytes, low) >= 0 && Buffer.compare(end, high) <= 0) found.push(network);
    else for (const half of halves(network)) visit(half);
  };
  visit(networkOf(new Uint8Array(low.length), 0));
  return found;
}

function halves({ bytes, prefix }: Network): [Network, Network] {
  const upper = Uint8Array.from(bytes);
  upper[prefix >> 3]! |= 0x80 >> (prefix & 7);
  return [networkOf(bytes, prefix + 1), networkOf(upper, prefix + 1)];
}

/** A membership test over many networks that remembers its answers for the addresses it has seen lately. */
export function networkSet(networks: readonly Network[]): (address: Address) => boolean {
  const seen = new Map<Address, boolean>();
  return (address) => {
    const known = seen.get(address);
    if (known !== undefined) return known;
    const bytes = addressBytes(address);
    const answer = networks.some((network) => hasBytes(network, bytes));
    if (seen.size >= 4096) seen.clear();
    seen.set(address, answer);
    return answer;
  };
}

function hasBytes(network: Network, bytes: Uint8Array): boolean {
  return (
    bytes.length === network.bytes.length &&
    network.bytes.every((byte, index) => byte === (bytes[index]! & maskByte(network.prefix, index)))
  );
}

function maskByte(prefix: number, index: number): number {
  const bits = Math.min(8, Math.max(0, prefix - index * 8));
  return (0xff << (8 - bits)) & 0xff;
}

function formatMasked(bytes: Uint8Array): Address {
  const text = bytes.length === 4 ? bytes.join('.') : hexGroups(bytes).join(':');
  return parseAddress(text)!;
}

function hexGroups(bytes: Uint8Array): string[] {
  const groups: string[] = [];
  for (let i = 0; i < bytes.length; i += 2) groups.push(((bytes[i]! << 8) | bytes[i + 1]!).toString(16));
  return groups;
}
