import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

/** A transport address; `address` without brackets. */
export type Endpoint = { readonly address: string; readonly port: number };

/** Reads `192.0.2.10:5060` or `2001:db8::1#5060` (sipp would take brackets for a keyword); throws an Error that names the text. */
export function parseEndpoint(text: string): Endpoint {
  const mark = text.includes('#') ? text.lastIndexOf('#') : text.lastIndexOf(':');
  const address = text.slice(0, mark);
  const port = Number(text.slice(mark + 1));
  if (mark < 1 || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error(`${text}: expected address:port or address#port`);
  }
  return { address, port };
}

const bound = new Map<string, Promise<Socket>>();

/** The UDP socket bound to `from`, made at its first use and kept, so that the same port goes on sending and receiving. */
export function socketOf(from: Endpoint): Promise<Socket> {
  const key = `${from.address} ${from.port}`;
  let socket = bound.get(key);
  if (socket === undefined) {
    socket = new Promise((resolve, reject) => {
      const fresh = createSocket(isIPv6(from.address) ? 'udp6' : 'udp4');
      fresh.once('error', reject);
      fresh.on('message', () => {});
      fresh.bind(from.port, from.address, () => resolve(fresh));
    });
    bound.set(key, socket);
  }
  return socket;
}

/** Sends `count` datagrams, the n-th made by `make(n)`, one each `everyMs` milliseconds by the clock, not by the last one's delay. */
export async function sendPaced(
  from: Endpoint,
  to: Endpoint,
  count: number,
  everyMs: number,
  make: (n: number) => Buffer,
): Promise<void> {
  const socket = await socketOf(from);
  const start = performance.now();
  for (let n = 0; n < count; n++) {
    const wait = start + n * everyMs - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    socket.send(make(n), to.port, to.address);
  }
}
