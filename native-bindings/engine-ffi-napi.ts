import { createRequire } from 'node:module';
import type { Engine } from './ffi.ts';
import type { ArgumentType, Bound, ResultType } from './signatures.ts';

/** As much of `ffi-napi` as is used; the package has no types of its own. */
interface FfiNapi {
  DynamicLibrary: new (path: string | null, mode?: number) => { get(name: string): Uint8Array };
  ForeignFunction: (address: Uint8Array, result: unknown, args: readonly unknown[]) => Bound;
  errno(): number;
}

interface RefNapi {
  refType(type: string): unknown;
  address(buffer: Uint8Array): number;
}

/**
 * The same table through `ffi-napi` and `ref-napi`. They are no dependency of this package: they are resolved
 * from here, or from the folder that `PINHOLED_FFI_MODULES` names (the one that holds their `node_modules`).
 */
export function openFfiNapi(paths: readonly (string | null)[]): Engine {
  const { ffi, ref } = load(process.env['PINHOLED_FFI_MODULES']);
  const library = open(ffi, paths);
  const types: Readonly<Record<ArgumentType | ResultType, unknown>> = {
    int: 'int',
    uint: 'uint',
    ulong: 'ulong',
    size: 'size_t',
    ssize: 'int64',
    bytes: ref.refType('void'),
    cstring: 'string',
  };
  return {
    name: 'ffi-napi',
    // The ABIs in question (System V amd64, AAPCS64) pass integers and pointers to `...` as to any parameter.
    bind: (name, { result, args }) =>
      ffi.ForeignFunction(
        library.get(name),
        types[result],
        args.map((type) => types[type]),
      ),
    errno: () => ffi.errno(),
    address: (bytes) => BigInt(ref.address(bytes)),
  };
}

function load(folder: string | undefined): { ffi: FfiNapi; ref: RefNapi } {
  const require = createRequire(folder === undefined ? import.meta.url : `${folder}/`);
  try {
    return { ffi: require('ffi-napi') as FfiNapi, ref: require('ref-napi') as RefNapi };
  } catch (cause) {
    throw new Error(
      'PINHOLED_FFI=ffi-napi needs the packages ffi-napi and ref-napi, here or in the folder PINHOLED_FFI_MODULES names',
      { cause },
    );
  }
}

function open(ffi: FfiNapi, paths: readonly (string | null)[]): { get(name: string): Uint8Array } {
  const failures: unknown[] = [];
  for (const path of paths) {
    try {
      return new ffi.DynamicLibrary(path);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `no libc found: tried ${paths.join(', ')}`);
}
