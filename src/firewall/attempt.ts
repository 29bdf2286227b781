/** Calls to a kernel that other programs talk to as well. */
import { SystemError } from '../../native-bindings/errno.ts';
import { FirewallError } from './firewall.ts';

/** How often something is tried that another program got in the way of. */
const TRIES = 8;

/**
 * What a kernel says when another program was at it in the same moment: pf, when rules or the ticket of the address pool
 * have changed (EBUSY); nf_tables, when a table changed while it was read (EINTR).
 */
const IN_THE_WAY = new Set(['EBUSY', 'EINTR']);
/** To those come what wants for room for a moment. */
const TRANSIENT = new Set([...IN_THE_WAY, 'EAGAIN', 'ENOBUFS']);

export function isInTheWay(error: unknown): boolean {
  return error instanceof SystemError && IN_THE_WAY.has(error.code);
}

/** Does `act`, again and again while others get in its way, at most eight times. */
export function persist<T>(act: () => T, tries = TRIES): T {
  for (let left = tries; ; left--) {
    try {
      return act();
    } catch (error) {
      if (!isInTheWay(error) || left <= 1) throw error;
    }
  }
}

/** Does `act`; a SystemError it throws becomes a FirewallError. */
export function guarded<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new FirewallError(error.message, error.code, TRANSIENT.has(error.code));
  }
}
