/** What is remembered of one kind at most. */
export const MOST_REMEMBERED = 20_000;

/** Puts a value at the end of a key's list. */
export function addTo<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Where SIP is expected without a word about it (RFC 3261 19.1.2). */
export function isSipPort(port: number): boolean {
  return port === 5060 || port === 5061;
}
