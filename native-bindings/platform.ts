import { endianness } from 'node:os';

export type OperatingSystem = 'freebsd' | 'linux';

/** A platform whose struct layouts and constants are known: LP64, little endian. */
export interface Platform {
  readonly system: OperatingSystem;
  readonly architecture: 'x64' | 'arm64';
}

/** What the runtime says of the machine, in the words of Node's `process` and `os`. */
interface Machine {
  readonly platform: string;
  readonly arch: string;
  readonly endianness: string;
}

/** The platform is one whose ABI this program does not know; the message is the line to print. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError';
}

/**
 * The platform of `machine`, or PlatformError. All struct tables are those of 64-bit little-endian machines
 * (the pf and divert ABI is byte-identical on FreeBSD amd64 and arm64), so nothing else is let through.
 */
export function platformOf(machine: Machine): Platform {
  const { platform, arch } = machine;
  const known =
    (platform === 'freebsd' || platform === 'linux') &&
    (arch === 'x64' || arch === 'arm64') &&
    machine.endianness === 'LE';
  if (!known) {
    throw new PlatformError(
      `pinholed: platform ${platform}/${arch} is not supported: expected freebsd or linux on x64 or arm64`,
    );
  }
  return { system: platform, architecture: arch };
}

/** The platform this process runs on, or PlatformError. */
export function currentPlatform(): Platform {
  return platformOf({ platform: process.platform, arch: process.arch, endianness: endianness() });
}
