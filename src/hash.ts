/** The offset basis of FNV-1a in 32 bits (draft-eastlake-fnv, 5). */
export const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * FNV-1a over the characters of latin1 text, in 32 bits with a sign. Quick, and nothing that a sender could not aim at: what
 * must not be mistaken for something else needs more than this. What was hashed so far as `basis` goes on.
 */
export function fnv1a(text: string, basis: number = FNV_BASIS): number {
  let hash = basis | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash;
}

/** The same over bytes[start] up to bytes[end - 1]. */
export function fnv1aOfBytes(bytes: Uint8Array, start: number, end: number, basis: number): number {
  let hash = basis | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, FNV_PRIME);
  return hash;
}

/** One step more, over a number of any size. */
export function fnv1aStep(hash: number, value: number): number {
  return Math.imul(hash ^ value, FNV_PRIME);
}

/** The finalizer of MurmurHash3: the lower bits, which say the slot of a table, hang on all others. */
export function mixed(hash: number): number {
  let mixing = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixing = Math.imul(mixing ^ (mixing >>> 13), 0xc2b2ae35);
  return mixing ^ (mixing >>> 16);
}

const BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The eight hexadecimal digits of 32 bits. `toString(16)` takes four times as long where the first of them is set. */
export function hexadecimal(value: number): string {
  return (
    BYTES[value >>> 24]! + BYTES[(value >>> 16) & 0xff]! + BYTES[(value >>> 8) & 0xff]! + BYTES[value & 0xff]!
  );
}
