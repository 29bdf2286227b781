import type { Bound, Signature } from './signatures.ts';

/** What an FFI library must do. `engine-koffi.ts` and `engine-ffi-napi.ts` implement it over the same table. */
export interface Engine {
  readonly name: EngineName;
  /** Binds one function of libc. Throws when libc has none of that name. */
  bind(name: string, signature: Signature): Bound;
  /** errno as the last bound call left it. Must be read before any other call is made. */
  errno(): number;
  /** The address of the first byte. Valid as long as the caller holds on to `bytes`. */
  address(bytes: Uint8Array): bigint;
}

export type EngineName = 'koffi' | 'ffi-napi';
