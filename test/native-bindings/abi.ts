import { existsSync, readFileSync } from 'node:fs';
import { sharedDir, withoutShared } from '../shared.ts';

/** FreeBSD's ABI as its own headers compiled to (sizes, offsets, numbers, filled structs), for amd64 and arm64. */
export interface Abi {
  readonly structs: Record<
    string,
    { size: number; members: Record<string, { offset: number; size: number }> }
  >;
  readonly ioctls: Record<string, string>;
  readonly constants: Record<string, number>;
  readonly test_vectors: Record<string, { size: number; nonzero: Record<string, string> }>;
  readonly nvlist_vectors: Record<string, { len: number; hex: string }>;
}

const path = `${sharedDir}/freebsd/abi.json`;

/** False, or the reason to skip. */
export const withoutAbi: string | false = existsSync(path) ? false : withoutShared || `needs ${path}`;

const nothing: Abi = { structs: {}, ioctls: {}, constants: {}, test_vectors: {}, nvlist_vectors: {} };
export const abi: Abi = withoutAbi ? nothing : (JSON.parse(readFileSync(path, 'utf8')) as Abi);

/** The bytes of a test vector: `nonzero` maps offsets to hex. */
export function vectorBytes(name: string): Buffer {
  const vector = abi.test_vectors[name];
  if (vector === undefined) throw new Error(`no test vector ${name} in ${path}`);
  const bytes = Buffer.alloc(vector.size);
  for (const [offset, hex] of Object.entries(vector.nonzero))
    bytes.set(Buffer.from(hex, 'hex'), Number(offset));
  return bytes;
}

/** The bytes of an nvlist vector. */
export function nvlistBytes(name: string): Buffer {
  const vector = abi.nvlist_vectors[name];
  if (vector === undefined) throw new Error(`no nvlist vector ${name} in ${path}`);
  return Buffer.from(vector.hex, 'hex');
}
