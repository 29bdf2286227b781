import type { Buffer } from 'node:buffer';
import type { Libc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { openLogGroup } from '../../native-bindings/linux/nflog.ts';
import { type BlockedSource, InterceptError } from './interceptor.ts';

/**
 * Packets that a rule `log group` hands over before another drops them. Has to be opened with CAP_NET_ADMIN. Throws
 * InterceptError.
 */
export function openNflog(libc: Libc, group: number): BlockedSource {
  try {
    const log = openLogGroup(libc, group);
    return {
      take(most) {
        const packets: Buffer[] = [];
        while (packets.length < most && log.receive((packet) => packets.push(packet)));
        return packets;
      },
      close: log.close,
    };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const why = error.code === 'EBUSY' ? ' (another process has this group)' : '';
    throw new InterceptError(`NFLOG group ${group}: ${error.message}${why}`, error.code);
  }
}
