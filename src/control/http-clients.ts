import type { Server } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';

/** ms within which an answer is made and taken. */
const ANSWERED_WITHIN = 10_000;

/**
 * Holds at most `most` connections of a server. Past that the one goes which has waited longest without asking for
 * anything, so that clients that say nothing keep nobody away; the new one goes where all are being answered. Who asks and
 * does not read the answer within `answeredWithin` ms goes as well.
 */
export function keepRoom(server: Server, most: number, answeredWithin = ANSWERED_WITHIN): void {
  /** Connections that nobody works for, longest first. */
  const waiting = new Set<Socket>();
  let open = 0;
  server.on('connection', (socket) => {
    open++;
    waiting.add(socket);
    socket.once('close', () => {
      open--;
      waiting.delete(socket);
    });
    if (open <= most) return;
    const [longest = socket] = waiting;
    longest.destroy();
  });
  server.on('request', ({ socket }, response) => {
    waiting.delete(socket);
    const timer = setTimeout(() => socket.destroy(), answeredWithin);
    response.once('close', () => {
      clearTimeout(timer);
      if (!socket.destroyed) waiting.add(socket);
    });
  });
}

/**
 * Whether a Host header (RFC 9110 section 7.2) names this machine as itself: an address, `localhost`, the machine's own
 * name with or without a domain, or one of `names`. What another site's page reaches through a name of its own, pointed
 * here, it reaches under that name (DNS rebinding).
 */
export function namesThisMachine(host: string | undefined, names: readonly string[] = []): boolean {
  const written = hostOf(host ?? '').toLowerCase();
  if (isIP(written) !== 0 || written === 'localhost') return true;
  const own = hostname().toLowerCase();
  return written !== '' && [own, own.split('.', 1)[0]!, ...names].includes(written);
}

/** The host of `host[:port]`, without the brackets of an IPv6 address. */
function hostOf(header: string): string {
  if (header.startsWith('[')) return header.slice(1, header.indexOf(']'));
  const colon = header.indexOf(':');
  return colon < 0 ? header : header.slice(0, colon);
}
