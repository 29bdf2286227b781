import { SystemError } from '../../../native-bindings/errno.ts';
import { FirewallError } from '../firewall.ts';

/** How often something is tried that another program got in the way of. */
export const TRIES = 8;

/** Another program changed rules, or took the ticket of the address pool, at the same moment. */
export function isBusy(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EBUSY';
}

/** pf's answer to a ticket that is not the rules' any more, and to an anchor that is not there. */
export function isInvalid(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EINVAL';
}

const NOT_KNOWN = new Set(['ENOTTY', 'EOPNOTSUPP', 'ENODEV', 'ENOSYS']);

/** What a kernel says that does not know a request, or not for this. */
export function isNotKnown(error: unknown): boolean {
  return error instanceof SystemError && NOT_KNOWN.has(error.code);
}

/** Does `act`, again and again while pf is busy, at most eight times. */
export function persist<T>(act: () => T): T {
  for (let tries = 1; ; tries++) {
    try {
      return act();
    } catch (error) {
      if (!isBusy(error) || tries === TRIES) throw error;
    }
  }
}

/** Does `act`; a SystemError it throws becomes a FirewallError. */
export function guarded<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new FirewallError(error.message, error.code, error.code === 'EBUSY');
  }
}
