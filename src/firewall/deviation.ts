/** What the packet filter holds, beside what it should. A rule of pf, or an element of nftables, is a line of text. */
export interface Deviation {
  /** How many there are. */
  readonly held: number;
  /** Those that should be there and are not. */
  readonly missing: readonly string[];
  /** Those that are there and should not be, or are there twice. */
  readonly strange: readonly string[];
}

/** The difference between what was read from the kernel and what should be there. */
export function deviationOf(held: readonly string[], wanted: Iterable<string>): Deviation {
  const left = new Set(wanted);
  const strange = held.filter((line) => !left.delete(line));
  return { held: held.length, missing: [...left], strange };
}

/** What is in both: a difference that lasted while pinholes came and went. */
export function lasting(before: Deviation, after: Deviation): Deviation {
  const both = (name: 'missing' | 'strange') => {
    const known = new Set(before[name]);
    return after[name].filter((line) => known.has(line));
  };
  return { held: after.held, missing: both('missing'), strange: both('strange') };
}
