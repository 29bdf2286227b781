import { loadLibc } from '../../native-bindings/engine.ts';
import type { ConfiguredMachine } from '../config/load.ts';

/** This machine, for a configuration that is to be used on it. */
export async function thisMachine(): Promise<ConfiguredMachine> {
  const libc = await loadLibc();
  return { hasInterface: (name) => libc.if_nametoindex(name) !== 0 };
}
