/** Fewer characters name no call by its beginning. */
export const LEAST_CHARACTERS = 4;

/** The legs whose Call-ID or name this is; where there is none, those whose Call-ID or name begins so. */
export function legsNamed<L extends { readonly legId: string; readonly callId: string }>(
  legs: Iterable<L>,
  name: string,
): L[] {
  const similar: L[] = [];
  const exact: L[] = [];
  for (const leg of legs) {
    const { legId, callId } = leg;
    if (callId === name || legId === name) exact.push(leg);
    else if (legId.startsWith(name) || callId.startsWith(name)) similar.push(leg);
  }
  return exact.length > 0 || name.length < LEAST_CHARACTERS ? exact : similar;
}
