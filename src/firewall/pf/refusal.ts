/** What pf answers, told apart. */
import { SystemError } from '../../../native-bindings/errno.ts';

/** To a ticket that is not the rules' any more, and to an anchor that is not there. */
export function isInvalid(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EINVAL';
}

/** To a rule that is there already. */
export function isExisting(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EEXIST';
}

const NOT_KNOWN = new Set(['ENOTTY', 'EOPNOTSUPP', 'ENODEV', 'ENOSYS']);

/** Of a kernel that does not know a request, or not for this. */
export function isNotKnown(error: unknown): boolean {
  return error instanceof SystemError && NOT_KNOWN.has(error.code);
}
