/** Lists as they grow and shrink, for what is made with every message, or kept as long as a call. */

/**
 * Adds to a list, made with its first item. While it is short, as most stay, it is another one each time: a list that grows has
 * room for sixteen more.
 */
export function appended<Item>(list: Item[] | null, item: Item): Item[] {
  if (list === null) return [item];
  if (list.length === 1) return [list[0]!, item];
  if (list.length === 2) return [list[0]!, list[1]!, item];
  list.push(item);
  return list;
}

/**
 * The list with one item more, for what is kept as long as a call: exactly as long as it has to be, which what was pushed to,
 * filtered or spread is not.
 */
export function extended<Item>(list: readonly Item[], item: Item): Item[] {
  if (list.length === 0) return [item];
  return list.length === 1 ? [list[0]!, item] : list.concat([item]);
}

/** The list in parts of `size`, of which the last may be shorter. */
export function inParts<Item>(list: readonly Item[], size: number): Item[][] {
  const parts: Item[][] = [];
  for (let at = 0; at < list.length; at += size) parts.push(list.slice(at, at + size));
  return parts;
}

/** The list without this item, as long as it has to be. */
export function without<Item>(list: readonly Item[], item: Item): Item[] {
  const at = list.indexOf(item);
  return at < 0 ? list.slice() : list.slice(0, at).concat(list.slice(at + 1));
}
