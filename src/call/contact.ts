import { cachedAddress } from '../address/address-cache.ts';
import type { Call } from './call.ts';
import type { Context } from './context.ts';
import type { Incoming } from './outcome.ts';
import { addAddress } from './transactions.ts';
import type { Side } from './wanted.ts';

/**
 * Where a party wants its requests sent (RFC 3261 12.1.1, 12.2) it is reached, and may send from: it could name that host
 * in its description as well. None outside is reached at an address inside.
 */
export function learnContact(
  { admission }: Context,
  call: Call,
  side: Side,
  { message, arrival }: Incoming,
): void {
  const { contact, status } = message;
  const names = status === 0 ? message.method : status > 100 && status < 300 ? message.cseqMethod : '';
  if (contact === '' || contact === call.parties[side] || (names !== 'INVITE' && names !== 'UPDATE')) return;
  const address = cachedAddress(contact);
  if (address === null || address === call.parties[side]) return;
  if (!admission.isInside(arrival.source.address) && admission.isOpenable(address)) return;
  addAddress(call, side, address);
}
