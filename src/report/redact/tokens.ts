import { type Address, parseAddress } from '../../address/address.ts';
import { isPrivate } from '../../address/private.ts';

/** What stands in the place of what nobody else may read; the same for the same, as long as the tokens are the same object. */
export interface Tokens {
  /** An address of documentation (RFC 5737, 3849, 2544), or of a private network where it is private (RFC 1918, 4193). */
  address(address: Address): Address;
  /** Of a host by its name or its address, with brackets or without. */
  host(host: string): string;
  /** The user of a URI: a number where it is one, with its `+`. */
  user(user: string): string;
  /** Anything else, by the kind of thing that it is: `name`, `call`, `tag`. */
  word(kind: string, word: string): string;
  /** The token of what was met before as it stands; null where it was not. */
  known(text: string): string | null;
}

/** Addresses that say nothing of anybody. */
const SAID: ReadonlySet<string> = new Set(['0.0.0.0', '127.0.0.1', '::', '::1']);

export function createTokens(): Tokens {
  const tokens = new Map<string, string>();
  const all = new Map<string, string>();
  const counts = new Map<string, number>();

  function tokenOf(kind: string, value: string, make: (count: number) => string): string {
    const key = `${kind} ${value}`;
    const known = tokens.get(key);
    if (known !== undefined) return known;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const token = make(count);
    tokens.set(key, token);
    all.set(value, token);
    return token;
  }

  function address(one: Address): Address {
    if (SAID.has(one)) return one;
    const kind = `${one.includes(':') ? 'IPv6' : 'IPv4'}${isPrivate(one) ? ' private' : ''}`;
    return tokenOf(kind, one, (count) => parseAddress(addressText(kind, count))!);
  }

  function host(one: string): string {
    const bare = one.startsWith('[') && one.endsWith(']') ? one.slice(1, -1) : one;
    const parsed = parseAddress(bare);
    if (parsed === null) return tokenOf('host', one.toLowerCase(), (count) => `host${count}.invalid`);
    const shown = address(parsed);
    return bare === one ? shown : `[${shown}]`;
  }

  return {
    address,
    host,
    user(user) {
      const plus = user.startsWith('+') ? '+' : '';
      const digits = user.slice(plus.length);
      const isNumber = digits.length > 0 && digits.length <= 32 && isDigits(digits);
      if (!isNumber) return tokenOf('user', user, (count) => `user${count}`);
      return `${plus}${tokenOf('number', digits, (count) => `999${String(count).padStart(7, '0')}`)}`;
    },
    word: (kind, word) => (word === '' ? '' : tokenOf(kind, word, (count) => `${kind}${count}`)),
    known: (text) => all.get(text) ?? null,
  };
}

const BLOCKS = ['198.51.100', '203.0.113', '192.0.2'];
const PER_BLOCK = 254;

function addressText(kind: string, count: number): string {
  if (kind === 'IPv6') return `2001:db8::${count.toString(16)}`;
  if (kind === 'IPv6 private') return `fd00::${count.toString(16)}`;
  const [high, low] = [Math.floor(count / 256) % 256, count % 256];
  if (kind === 'IPv4 private') return `10.0.${high}.${low}`;
  const block = BLOCKS[Math.floor((count - 1) / PER_BLOCK)];
  if (block !== undefined) return `${block}.${((count - 1) % PER_BLOCK) + 1}`;
  return `198.${18 + (Math.floor(count / 65_536) % 2)}.${high}.${low}`;
}

export function isDigits(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text[at]! < '0' || text[at]! > '9') return false;
  return true;
}
