import { openLinux } from '../../src/daemon/platform/linux.ts';
import type { DaemonPlatform } from '../../src/daemon/platform/platform.ts';

/** The port in a session description over which the data path hangs. */
export const FATAL_PORT = 4666;

/** Linux, with a packet filter that never comes back from a certain pinhole. */
export async function openPlatform(): Promise<DaemonPlatform> {
  const linux = await openLinux();
  return {
    ...linux,
    async openDataPath(settings, intake) {
      const ends = await linux.openDataPath(settings, intake);
      return {
        ...ends,
        firewall: {
          ...ends.firewall,
          commit(change) {
            if (change.open.some(({ ports }) => ports[0] === FATAL_PORT)) {
              Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
            }
            return ends.firewall.commit(change);
          },
        },
      };
    },
  };
}
