import type { Buffer } from 'node:buffer';

/** Two bytes in network order; a byte behind the end counts as 0, and nothing throws. */
export function uint16(bytes: Buffer, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
