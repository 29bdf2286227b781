/** What is given behind the name of a benchmark. */

/** A whole number from `least` on, or `fallback` where none is given. Throws an Error that says which are taken. */
export function wholeNumber(
  what: string,
  text: string | undefined,
  { least, fallback }: { readonly least: number; readonly fallback: number },
): number {
  if (text === undefined) return fallback;
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least) return value;
  throw new Error(`${what}: expected a whole number from ${least} on, found ${JSON.stringify(text)}`);
}
