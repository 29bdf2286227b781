/**
 * A pinhole's direction and translation in the label of its rule. The rule itself does not show them: it has the addresses
 * from between the two halves of translation. By the label a daemon that starts again, and the thread that counts, know
 * which pinhole a rule is of.
 *
 * `pinholed:<call>:<slot> ptwUTBQ%em0`: `i` or `o` for the direction, `p` or `r` for who translates, then in base64url the
 * external address and, where it is another, the one it arrives at.
 */
import { PF_RULE_LABEL_SIZE } from '../../../native-bindings/freebsd/constants.ts';
import { addressBytes, formatIPv4, formatIPv6 } from '../../address/address.ts';
import type { Opening } from '../../pinhole/opening.ts';

export type Way = Pick<Opening, 'direction' | 'translation'>;

const STRAIGHT: Way = { direction: 'in', translation: null };

/** The label with the way in it. What does not fit, two IPv6 addresses, is left out. */
export function labelWith(label: string, way: Way): string {
  const code = codeOf(way);
  const whole = code === '' ? label : `${label} ${code}`;
  return whole.length < PF_RULE_LABEL_SIZE ? whole : label;
}

function codeOf({ direction, translation }: Way): string {
  const first = direction === 'in' ? 'i' : 'o';
  if (translation === null) return direction === 'in' ? '' : first;
  const { external, arrivesAt, by } = translation;
  const addresses = arrivesAt === external ? [external] : [external, arrivesAt];
  const bytes = Buffer.concat(addresses.map((address) => Buffer.from(addressBytes(address))));
  const place = translation.interface === null ? '' : `%${translation.interface}`;
  return `${first}${by === 'pinhole' ? 'p' : 'r'}${bytes.toString('base64url')}${place}`;
}

/** What `labelWith` put together; null when this is no such label. */
export function parseLabel(text: string): { readonly label: string; readonly way: Way } | null {
  const blank = text.indexOf(' ');
  if (blank < 0) return { label: text, way: STRAIGHT };
  const label = text.slice(0, blank);
  const found = /^([io])(?:([pr])([\w-]{6,43})(?:%([^\s%]{1,15}))?)?$/.exec(text.slice(blank + 1));
  if (found === null) return null;
  const [, first, by, code, place] = found;
  const direction = first === 'i' ? 'in' : 'out';
  if (code === undefined) return { label, way: { direction, translation: null } };
  const bytes = Buffer.from(code, 'base64url');
  const size = SIZES[bytes.length];
  if (size === undefined) return null;
  const address = (offset: number) => (size === 4 ? formatIPv4(bytes, offset) : formatIPv6(bytes, offset));
  const external = address(0);
  const arrivesAt = bytes.length === size ? external : address(size);
  return {
    label,
    way: {
      direction,
      translation: { external, arrivesAt, interface: place ?? null, by: by === 'p' ? 'pinhole' : 'ruleset' },
    },
  };
}

/** Bytes of one address, by the bytes of one or two of them. */
const SIZES: Readonly<Record<number, 4 | 16>> = { 4: 4, 8: 4, 16: 16, 32: 16 };
