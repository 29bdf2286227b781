import { type Address, familyOf, isUnspecified } from '../address/address.ts';
import { networkSet } from '../address/network.ts';
import type { Refusal } from '../call/refusal.ts';
import type { Mirrored } from '../packet/mirrored.ts';
import { createRateLimit } from '../policy/rate-limit.ts';
import { derived, type MirrorSettings } from './settings.ts';

/** Whether what a host mirrors is taken. */
interface MirrorGate {
  /** Before a copy is looked at; null: it may be. */
  admit(sender: Address): Refusal | null;
  /** Whether it is from who it says, and not too much: what others send in a host's name takes nothing of its rate. */
  authenticate(sender: Address, key: Mirrored['key'], now: number): Refusal | null;
  /**
   * The copy as it is to be read, or why it is not. `wall`: ms since the epoch. `as` is the copy with the mirroring host's
   * own address where it names none (0.0.0.0: a socket that is bound to all of them), or one that stands for it outside.
   */
  examine(sender: Address, copy: Mirrored, wall: number): Refusal | { readonly as: Mirrored['packet'] };
}

/** Hosts whose rate is remembered. */
const MOST_SENDERS = 1024;
/** What proxies write for a party that they do not know (`SIPTRACE_ANYADDR` of kamailio, `set_columns_to_any` of OpenSIPS). */
const ANYBODY: Address = '255.255.255.255';

/**
 * A copy opens what the message itself would have opened, had it crossed the firewall: it is taken from hosts that are
 * named, that know the key, of messages that were sent or received just now by a host that they speak for. `reachedAt`: the
 * addresses that a host is reached at from outside, which some write for their own (the tracer of OpenSIPS from 3.5 on).
 */
export function createMirrorGate(
  settings: () => MirrorSettings,
  key: Uint8Array | null,
  isInside: (address: Address) => boolean,
  reachedAt: (host: Address) => readonly Address[],
): MirrorGate {
  const sets = derived(settings, ({ from, speaksFor }) => ({
    isSender: networkSet(from),
    isSpokenFor: networkSet(speaksFor),
  }));
  const isWithin = createRateLimit(MOST_SENDERS);

  function admit(sender: Address): Refusal | null {
    if (sets().isSender(sender)) return null;
    return { reason: 'hep-unknown-sender', detail: `${sender} is not in hep.from` };
  }

  function authenticate(sender: Address, found: Mirrored['key'], now: number): Refusal | null {
    if (key !== null && !isSameKey(key, found)) {
      const what = found === null ? 'no key' : 'another key';
      return { reason: 'hep-wrong-key', detail: `${sender} sent ${what}` };
    }
    const { messagesPerSecond: rate } = settings();
    if (isWithin(sender, rate, now)) return null;
    return { reason: 'hep-rate-limit', detail: `${sender} mirrors more than ${rate} messages a second` };
  }

  function examine(sender: Address, copy: Mirrored, wall: number): ReturnType<MirrorGate['examine']> {
    const { maxAge } = settings();
    if (copy.seenAt === null) return { reason: 'hep-too-old', detail: `${sender} tells no time` };
    const age = wall - copy.seenAt;
    if (Math.abs(age) > maxAge) {
      const text = `${Math.round(Math.abs(age))} ms ${age > 0 ? 'old' : 'ahead of our clock'}`;
      return { reason: 'hep-too-old', detail: `a copy of ${sender} is ${text}` };
    }
    const speaksFor = (address: Address) => address === sender || sets().isSpokenFor(address);
    const { source: from, destination: to } = copy.packet;
    const isOwn = (address: Address, other: Address) =>
      isUnspecified(address) || (!speaksFor(other) && reachedAt(sender).includes(address));
    const [isOwnFrom, isOwnTo] = [isOwn(from, to), isOwn(to, from)];
    if ((isOwnFrom && isOwnTo) || from === ANYBODY || to === ANYBODY) {
      const detail = `${sender} mirrors what ${from} sent to ${to}, which does not say who the other party is`;
      return { reason: 'hep-unreadable', detail };
    }
    const [source, destination] = [isOwnFrom ? sender : from, isOwnTo ? sender : to];
    const family = familyOf(source);
    if (family !== familyOf(destination)) {
      return {
        reason: 'hep-unreadable',
        detail: `${sender} mirrors what ${source} sent to ${destination}, addresses of two families`,
      };
    }
    const foreign = [source, destination].find((address) => isInside(address) && !speaksFor(address));
    if (foreign !== undefined || !(speaksFor(source) || speaksFor(destination))) {
      const detail = `${sender} mirrors what ${source} sent to ${destination}`;
      return { reason: 'hep-not-spoken-for', detail };
    }
    return { as: { ...copy.packet, family, source, destination } };
  }

  return { admit, authenticate, examine };
}

/** Takes as long for every key of that length. */
function isSameKey(key: Uint8Array, found: Uint8Array | null): boolean {
  if (found === null || found.length !== key.length) return false;
  let differs = 0;
  for (let at = 0; at < key.length; at++) differs |= key[at]! ^ found[at]!;
  return differs === 0;
}
