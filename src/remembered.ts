/**
 * `make` with one result for all who ask for the same: at most `most` of them are remembered, those of lately. For what is made of a
 * key alone, and never changed.
 */
export function remembered<Key, Value extends object | null>(
  most: number,
  make: (key: Key) => Value,
): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const before = known.get(key);
    if (before !== undefined) return before;
    const value = make(key);
    if (known.size >= most) known.clear();
    known.set(key, value);
    return value;
  };
}
