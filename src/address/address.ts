/**
 * IP addresses and networks as text.
 *
 * An `Address` is always in canonical form: dotted decimal for IPv4, RFC 5952 for IPv6, and an IPv4-mapped
 * IPv6 address (::ffff:a.b.c.d) is the IPv4 address. Two equal addresses are therefore equal strings, and
 * strings are what Maps, logs and firewalls want.
 */
export type Address = string;

/** An IP address with a port, as RFC 3264 uses the term. */
export interface TransportAddress {
  readonly address: Address;
  readonly port: number;
}

export type Family = 4 | 6;

export function familyOf(address: Address): Family {
  return address.includes(':') ? 6 : 4;
}

const OCTETS = Array.from({ length: 256 }, (_, octet) => String(octet));

/** Four bytes in network order at `offset` to canonical text. */
export function formatIPv4(bytes: Uint8Array, offset: number): Address {
  return `${OCTETS[bytes[offset]!]}.${OCTETS[bytes[offset + 1]!]}.${OCTETS[bytes[offset + 2]!]}.${OCTETS[bytes[offset + 3]!]}`;
}

/** Sixteen bytes in network order at `offset` to canonical text (RFC 5952 section 4; IPv4-mapped becomes IPv4). */
export function formatIPv6(bytes: Uint8Array, offset: number): Address {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[offset + i]! << 8) | bytes[offset + i + 1]!);
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return formatIPv4(bytes, offset + 12);
  }
  const zeros = longestZeroRun(groups);
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return zeros.length < 2
    ? hex(0, 8)
    : `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length, groups.length)}`;
}

/** What a socket has that is bound to all addresses of its machine: it names none. */
export function isUnspecified(address: Address): boolean {
  return address === '0.0.0.0' || address === '::';
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}

/**
 * Text to a canonical address, or null when it is not an IP address. Zone identifiers (`%em0`), brackets and
 * IPv4 octets with leading zeros are refused: what one reader takes as octal another takes as decimal.
 */
export function parseAddress(text: string): Address | null {
  const bytes = text.includes(':') ? parseIPv6(text) : parseIPv4(text);
  if (bytes === null) return null;
  return bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0);
}

/** The 4 or 16 bytes of a canonical address, in network order. Throws RangeError on text that is none. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = address.includes(':') ? parseIPv6(address) : parseIPv4(address);
  if (bytes === null) throw new RangeError(`not an IP address: ${JSON.stringify(address)}`);
  return bytes;
}

function parseIPv4(text: string): Uint8Array | null {
  const bytes = new Uint8Array(4);
  return readIPv4(text, bytes) ? bytes : null;
}

/** Writes the octets of dotted decimal to the first four bytes; false where the text is none, whatever was written. */
export function readIPv4(text: string, bytes: Uint8Array): boolean {
  const length = text.length;
  if (length < 7 || length > 15 || text.charCodeAt(0) > 57) return false;
  let octet = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= length; i++) {
    const code = i === length ? 46 : text.charCodeAt(i);
    if (code === 46) {
      if (digits === 0 || octet === 4) return false;
      bytes[octet++] = value;
      digits = 0;
      value = 0;
    } else if (code >= 48 && code <= 57) {
      if (digits > 0 && value === 0) return false;
      value = value * 10 + code - 48;
      digits++;
      if (value > 255) return false;
    } else {
      return false;
    }
  }
  return octet === 4;
}

function parseIPv6(text: string): Uint8Array | null {
  if (text.length > 45) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return null;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

function parseGroups(text: string, mayEndInIPv4: boolean): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (mayEndInIPv4 && index === groups.length - 1 && group.includes('.')) {
      const last = parseIPv4(group);
      if (last === null) return null;
      bytes.push(...last);
    } else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      return null;
    }
  }
  return bytes;
}
