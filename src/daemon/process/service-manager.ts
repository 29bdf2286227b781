import type { Libc } from '../../../native-bindings/engine.ts';
import { connectUnixDatagram } from '../../../native-bindings/unix-datagram.ts';

/**
 * Tells the service manager that started us of our state: sd_notify(3), spoken directly. Does nothing where
 * there is none to tell.
 */
export function notifyServiceManager(libc: Libc, state: string): void {
  const path = process.env['NOTIFY_SOCKET'];
  if (path === undefined || !/^[/@]./.test(path)) return;
  try {
    const socket = connectUnixDatagram(libc, path);
    socket.send(Buffer.from(state));
    socket.close();
  } catch {}
}
