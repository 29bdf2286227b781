import type { History, RememberedCall } from '../history/history.ts';
import { LEAST_CHARACTERS } from '../history/named.ts';
import { RequestError } from './protocol.ts';

/** Legs that were found by a name, all of one call. Throws RequestError where they are of several. */
export function ofOneCall<L extends { readonly callId: string }>(
  found: readonly L[],
  name: string,
): readonly L[] {
  const several = new Set(found.map(({ callId }) => callId)).size;
  if (several <= 1) return found;
  throw new RequestError(
    'ambiguous-call',
    `${several} calls have names or Call-IDs that begin with ${name.slice(0, 256)}`,
  );
}

/** The legs of the one call that has this name, or whose name begins so; none where there is none. Throws RequestError. */
export function rememberedLegs(
  name: string,
  history: Pick<History, 'find' | 'get'>,
): readonly RememberedCall[] {
  const found = history.find(name).flatMap((legId) => history.get(legId) ?? []);
  ofOneCall(
    found.map(({ report }) => report),
    name,
  );
  return found;
}

/** The error for a name that belongs to no call. */
export function unknownCall(name: string): RequestError {
  const isShort = name.length < LEAST_CHARACTERS && /^[0-9a-f]+$/.test(name);
  const hint = isShort ? ` (of the name of a leg, give ${LEAST_CHARACTERS} digits at least)` : '';
  return new RequestError('unknown-call', `there is no call ${JSON.stringify(name.slice(0, 256))}${hint}`);
}
