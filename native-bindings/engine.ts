import { errnoSymbol, SystemError } from './errno.ts';
import type { Engine, EngineName } from './ffi.ts';
import { currentPlatform, type OperatingSystem, type Platform } from './platform.ts';
import { type Bound, type FunctionName, type Functions, type Signature, signatures } from './signatures.ts';

export type { EngineName } from './ffi.ts';

/**
 * libc, bound. The functions return what C returns; a failed call returns -1 and `check` or `failure` says why.
 * Calling a function the running system's libc does not have throws.
 */
export interface Libc extends Functions {
  readonly platform: Platform;
  readonly engine: EngineName;
  /** errno's symbol as the last call left it (EAGAIN): the way to look at a failure without an exception. */
  failure(): string;
  /**
   * Gives `result` back, or throws SystemError when it is negative. `call` is the name to report, `subject` what
   * the call was about. To be called right after the call itself.
   */
  check(call: string, result: number, subject?: string): number;
  /** The error of the call just made, not thrown. */
  error(call: string, subject?: string): SystemError;
  /** The address of the first byte. Valid as long as the caller holds on to `bytes`. */
  address(bytes: Uint8Array): bigint;
}

/** By libc's own name where there is one, then whatever libc the process is linked with (musl). */
const libcPaths: Readonly<Record<OperatingSystem, readonly (string | null)[]>> = {
  freebsd: ['libc.so.7', null],
  linux: ['libc.so.6', null],
};

/** The engine that the environment asks for: `PINHOLED_FFI=ffi-napi`, or koffi. Throws on any other name. */
export function engineFromEnvironment(value: string | undefined = process.env['PINHOLED_FFI']): EngineName {
  if (value === undefined || value === '' || value === 'koffi') return 'koffi';
  if (value === 'ffi-napi') return value;
  throw new Error(`PINHOLED_FFI is ${JSON.stringify(value)}: expected koffi or ffi-napi`);
}

async function loadEngine(name: EngineName, system: OperatingSystem): Promise<Engine> {
  if (name === 'koffi') return (await import('./engine-koffi.ts')).openKoffi(libcPaths[system]);
  return (await import('./engine-ffi-napi.ts')).openFfiNapi(libcPaths[system]);
}

/**
 * Binds the table of signatures with one FFI engine; only that engine's packages are loaded. Works in the main
 * thread and in workers, each of which loads its own. Throws PlatformError where the ABI is not known.
 */
export async function loadLibc(name: EngineName = engineFromEnvironment()): Promise<Libc> {
  const platform = currentPlatform();
  const engine = await loadEngine(name, platform.system);
  const functions = Object.fromEntries(
    Object.entries<Signature>(signatures).map(([function_, signature]) => [
      function_,
      signature.only === undefined || signature.only === platform.system
        ? engine.bind(function_, signature)
        : absent(function_, platform.system),
    ]),
  ) as Record<FunctionName, Bound> as Functions;
  const error = (call: string, subject?: string): SystemError =>
    new SystemError(platform.system, call, engine.errno(), subject);
  return {
    ...functions,
    platform,
    engine: engine.name,
    failure: () => errnoSymbol(platform.system, engine.errno()),
    check(call, result, subject) {
      if (result < 0) throw error(call, subject);
      return result;
    },
    error,
    address: engine.address,
  };
}

function absent(name: string, system: OperatingSystem): Bound {
  return () => {
    throw new Error(`${name}() is not in the libc of ${system}`);
  };
}
