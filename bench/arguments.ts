/** What is given behind the name of a benchmark. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const MAIN = '--main=';

/** What is given as `--main=PATH`, compiled code of another version: its URL, or null where it is not given. */
export function mainOption(words: readonly string[]): string | null {
  const path = words.find((word) => word.startsWith(MAIN))?.slice(MAIN.length);
  return path === undefined ? null : pathToFileURL(resolve(path)).href;
}

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
