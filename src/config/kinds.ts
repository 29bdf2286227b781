import { type Address, familyOf, parseAddress, type TransportAddress } from '../address/address.ts';
import { type Network, parseNetwork } from '../address/network.ts';
import { type PortRange, portsOverlap } from '../address/ports.ts';

/** A scalar as the file has it: what YAML resolves it to, and its text (a plain scalar's source, a string's content). */
export interface Scalar {
  readonly value: string | number | boolean | null;
  readonly text: string;
}

/** A value read, or what was expected in its place: a noun phrase that follows the word "expected". */
type ReadScalar<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly expected: string };

const taken = <T>(value: T): ReadScalar<T> => ({ ok: true, value });
const refused = (expected: string): ReadScalar<never> => ({ ok: false, expected });

/** A kind of scalar: how it is read, how it is written back, and what people are told to write. */
export interface Kind<T> {
  /** Noun phrase for errors and documents, with the range and the unit: "a duration between 8s and 180s". */
  readonly expected: string;
  read(scalar: Scalar): ReadScalar<T>;
  /** The value as it is written in a file, in its canonical notation. */
  write(value: T): Written;
}

/** What a setting looks like in a file. */
export type Written = string | number | boolean;

/** A list of one kind, of `least` to `most` items. */
export interface ListKind<T> {
  readonly expected: string;
  readonly item: Kind<T>;
  readonly least: number;
  readonly most: number;
  /** What was expected in place of two items that must not stand in one list; null when they may. */
  collide(one: T, other: T): string | null;
}

type Unit = 'ms' | 's' | 'm' | 'h' | 'd';
const UNITS: Readonly<Record<Unit, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function kind<T>(
  expected: string,
  accept: (scalar: Scalar) => T | undefined,
  write: (value: T) => Written,
): Kind<T> {
  const read = (scalar: Scalar): ReadScalar<T> => {
    const value = accept(scalar);
    return value === undefined ? refused(expected) : taken(value);
  };
  return { expected, read, write };
}

/** `true` or `false`. */
export const flag: Kind<boolean> = kind(
  'true or false',
  ({ value }) => (typeof value === 'boolean' ? value : undefined),
  (value) => value,
);

/** A whole number in a range; `unit` is words for people. */
export function integer(least: number, most: number, unit = 'a whole number'): Kind<number> {
  return kind(
    `${unit} between ${least} and ${most}`,
    ({ value }) =>
      typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
        ? value
        : undefined,
    (value) => value,
  );
}

/** A packet mark: 32 bits, not 0, in hexadecimal or decimal; JSON has to quote hexadecimal. */
export const mark: Kind<number> = kind(
  'a packet mark between 0x1 and 0xffffffff',
  ({ text }) => {
    if (!/^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text)) return undefined;
    const value = Number(text);
    return value >= 1 && value <= 0xffff_ffff ? value : undefined;
  },
  (value) => `0x${value.toString(16)}`,
);

/**
 * A time span to milliseconds: `500ms`, `32s`, `3m`, `12h`, `1d`, or a bare number of seconds.
 * With `zero`, 0 is taken as well and means what `zero` says.
 */
export function duration(least: string, most: string, zero?: string): Kind<number> {
  const [low, high] = [milliseconds(least), milliseconds(most)];
  if (low === undefined || high === undefined)
    throw new RangeError(`not a duration range: ${least}, ${most}`);
  const orZero = zero === undefined ? '' : `, or 0 for ${zero}`;
  return kind(
    `a duration between ${least} and ${most}${orZero}`,
    ({ text }) => {
      const value = milliseconds(text);
      if (value === undefined) return undefined;
      return (value >= low && value <= high) || (value === 0 && zero !== undefined) ? value : undefined;
    },
    formatDuration,
  );
}

function milliseconds(text: string): number | undefined {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)?$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * UNITS[(match[2] ?? 's') as Unit];
}

/** Milliseconds in the largest unit that leaves no fraction: 90000 is `90s`, 180000 is `3m`. */
export function formatDuration(value: number): string {
  if (value === 0) return '0s';
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => value % UNITS[name] === 0) ?? 'ms';
  return `${value / UNITS[unit]}${unit}`;
}

/** A number of bytes: a whole number, or one with `k`, `m` or `g` behind it (powers of 1024). */
export function size(least: string, most: string): Kind<number> {
  const [low, high] = [bytes(least), bytes(most)];
  if (low === undefined || high === undefined) throw new RangeError(`not a size range: ${least}, ${most}`);
  return kind(
    `a size between ${least} and ${most} (bytes, or with k, m, g)`,
    ({ text }) => {
      const value = bytes(text);
      return value !== undefined && value >= low && value <= high ? value : undefined;
    },
    formatSize,
  );
}

function bytes(text: string): number | undefined {
  const match = /^([0-9]{1,12})([kmg])?$/i.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * 1024 ** ['', 'k', 'm', 'g'].indexOf((match[2] ?? '').toLowerCase());
}

function formatSize(value: number): string | number {
  const power = [3, 2, 1].find((exponent) => value % 1024 ** exponent === 0 && value > 0);
  return power === undefined ? value : `${value / 1024 ** power}${['', 'k', 'm', 'g'][power]}`;
}

/** One of a few words. */
export function choice<const T extends string>(...words: readonly T[]): Kind<T> {
  return kind(
    oneOf(words),
    ({ text }) => words.find((word) => word === text),
    (value) => value,
  );
}

function oneOf(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A network in CIDR form or a single address. Host bits are refused: it is not known which of the two was meant. */
export const network: Kind<Network> = {
  expected: 'a network such as 192.0.2.0/24 or 2001:db8::/32, or an address',
  read: ({ text }) => {
    const value = parseNetwork(text);
    if (value === null) return refused(network.expected);
    const address = parseAddress(text.split('/', 1)[0]!);
    if (address !== value.text.split('/', 1)[0]) {
      return refused(`a network without host bits (${value.text}) or a single address (${address})`);
    }
    return taken(value);
  },
  write: (value) => value.text,
};

/** One address, not that of everybody or nobody. */
export const address: Kind<Address> = kind<string>(
  'an address such as 192.0.2.1 or 2001:db8::1',
  ({ text }) => {
    const value = parseAddress(text);
    return value === null || wildcard(value) ? undefined : value;
  },
  (value) => value,
);

/** One port or `first-last`, inclusive. */
export const portRange: Kind<PortRange> = {
  expected: 'a port between 1 and 65535, or a range such as 10000-20000',
  read: ({ text }) => {
    const match = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
    if (match === null) return refused(portRange.expected);
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (first < 1 || first > 65535 || last < 1 || last > 65535) return refused(portRange.expected);
    if (first > last) return refused(`a range that is not empty, such as ${last}-${first}`);
    return taken([first, last]);
  },
  write: ([first, last]) => (first === last ? first : `${first}-${last}`),
};

export const port = integer(1, 65535, 'a port');

/** A name as pf anchors, nft tables, users and groups are named: a letter or _, then letters, digits, _ or -. */
export function name(what: string, longest: number): Kind<string> {
  return kind(
    `${what} of at most ${longest} letters, digits, _ or -, not beginning with a digit or -`,
    ({ value }) =>
      typeof value === 'string' && value.length <= longest && /^[A-Za-z_][A-Za-z0-9_-]*$/.test(value)
        ? value
        : undefined,
    (value) => value,
  );
}

/** The path of a pf anchor: names with `/` between them, such as `userrules/pinholed`. */
export const anchorPath: Kind<string> = kind(
  'an anchor name, or a path of them such as userrules/pinholed, of at most 63 letters, digits, _, - and / in all',
  ({ value }) =>
    typeof value === 'string' &&
    value.length <= 63 &&
    /^[A-Za-z_][A-Za-z0-9_-]*(?:\/[A-Za-z_][A-Za-z0-9_-]*)*$/.test(value)
      ? value
      : undefined,
  (value) => value,
);

/** `kind`, or the word `off`, which is null. */
export function orOff<T>(inner: Kind<T>): Kind<T | null> {
  const expected = `${inner.expected}, or off`;
  return {
    expected,
    read: (scalar) => {
      if (scalar.text === 'off') return taken(null);
      const reading = inner.read(scalar);
      return reading.ok || reading.expected !== inner.expected ? reading : refused(expected);
    },
    write: (value) => (value === null ? 'off' : inner.write(value)),
  };
}

/** An interface's name as the system has it: `igb0.100`, `vtnet2`; 15 bytes is IFNAMSIZ - 1 on FreeBSD and Linux. */
export const interfaceName: Kind<string> = kind(
  'an interface name of at most 15 letters, digits and . _ : -',
  ({ text }) => (/^[A-Za-z][A-Za-z0-9._:-]{0,14}$/.test(text) ? text : undefined),
  (value) => value,
);

/** A host name (RFC 1123 section 2.1), in lower case. */
export const hostName: Kind<string> = kind(
  'a host name',
  ({ text }) =>
    text.length <= 253 &&
    /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i.test(text)
      ? text.toLowerCase()
      : undefined,
  (value) => value,
);

/** An absolute path. Refuses control characters and what sun_path (104 bytes on FreeBSD) would cut off. */
export const path: Kind<string> = kind<string>(
  'an absolute path of at most 103 bytes',
  ({ value }) =>
    typeof value === 'string' && isPath(value) && Buffer.byteLength(value) <= 103 ? value : undefined,
  (value) => value,
);

/** The lock that a firewall takes while it loads its ruleset. */
export type ReloadLock = 'auto' | 'off' | `/${string}`;

/** Where a Valkey or Redis store is. A password stands in a file of its own, which is not read by everybody. */
export const storeUrl: Kind<string> = kind(
  'a URL such as redis://10.9.0.1:6379 or rediss://fw@store.example:6380/2, without a password',
  ({ text }) => {
    if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return undefined;
    const { hostname, password, pathname, search, hash } = new URL(text);
    const isWhole = hostname !== '' && password === '' && search === '' && hash === '';
    return isWhole && /^(?:\/[0-9]{0,4})?$/.test(pathname) ? text : undefined;
  },
  (value) => value,
);

export const reloadLock: Kind<ReloadLock> = kind(
  'auto, off or the absolute path of a file',
  ({ value }): ReloadLock | undefined => {
    if (value === 'auto' || value === 'off') return value;
    return typeof value === 'string' && isPath(value) ? value : undefined;
  },
  (value) => value,
);

function isPath(text: string): text is `/${string}` {
  return text.startsWith('/') && !/[\x00-\x1f\x7f]/.test(text);
}

export type LogDestination = 'stderr' | 'syslog' | `/${string}`;

export const logDestination: Kind<LogDestination> = kind(
  'stderr, syslog or the absolute path of a file',
  ({ value }): LogDestination | undefined => {
    if (value === 'stderr' || value === 'syslog') return value;
    return typeof value === 'string' && isPath(value) ? value : undefined;
  },
  (value) => value,
);

/** Permission bits in octal. Never for others: whoever may write the control socket may close calls. */
export const fileMode: Kind<number> = kind(
  'an octal mode without permissions for others, such as 0600 or 0660',
  ({ text }) => (/^(0o?)?6[0246]0$/.test(text) ? Number.parseInt(text.slice(-3), 8) : undefined),
  (value) => value.toString(8).padStart(4, '0'),
);

const loopback = (address: Address) => address === '::1' || address.startsWith('127.');
const wildcard = (address: Address) => address === '::' || address === '0.0.0.0';

/** `127.0.0.1:9477` or `[::1]:9477`: one address of this machine, never all of them. */
export const listenAddress: Kind<TransportAddress> = endpoint(
  'one address and port such as 127.0.0.1:9477 or [::1]:9477',
  (address) => !wildcard(address),
);

/** As `listenAddress`, loopback only. */
export const loopbackAddress: Kind<TransportAddress> = endpoint(
  'a loopback address and port such as 127.0.0.1:8480 or [::1]:8480',
  loopback,
);

/** Whether only this machine can reach the address. */
export function isLoopback({ address }: TransportAddress): boolean {
  return loopback(address);
}

function endpoint(expected: string, allowed: (address: Address) => boolean): Kind<TransportAddress> {
  return kind(
    expected,
    ({ text }) => {
      const match = /^(?:\[([0-9a-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})$/i.exec(text);
      if (match === null) return undefined;
      const written = match[1] ?? match[2]!;
      const address = parseAddress(written);
      const value = Number(match[3]);
      if (address === null || value < 1 || value > 65535 || !allowed(address)) return undefined;
      return { address, port: value };
    },
    formatTransportAddress,
  );
}

/** `address:port`, with brackets around IPv6 (RFC 5952 section 6). */
export function formatTransportAddress({ address, port: number }: TransportAddress): string {
  return familyOf(address) === 6 ? `[${address}]:${number}` : `${address}:${number}`;
}

/** A list; two equal items are an error, and so is whatever `collide` objects to. */
export function listOf<T>(
  item: Kind<T>,
  expected: string,
  least = 0,
  collide: (one: T, other: T) => string | null = (one, other) =>
    item.write(one) === item.write(other) ? 'each item once' : null,
): ListKind<T> {
  return { expected, item, least, most: 256, collide };
}

/** For `collide` of mappings with a name. */
export function nameOnce(text: string): string {
  return `each name once (${text} is listed too)`;
}

/** `collide` for port ranges: a port may be in one range only. */
export function overlap(one: PortRange, other: PortRange): string | null {
  return portsOverlap(one, other)
    ? `ranges that do not overlap (${portRange.write(other)} is listed too)`
    : null;
}
