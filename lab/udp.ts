import type { Libc } from '../native-bindings/engine.ts';
import { AF_INET, AF_INET6, MSG_DONTWAIT } from '../native-bindings/linux/constants.ts';
import { type Address, addressBytes } from '../src/address/address.ts';

/** A UDP socket in the namespace of the test's own thread. */
export interface UdpSocket {
  readonly address: Address;
  readonly port: number;
  send(to: { readonly address: Address; readonly port: number }, text: string): void;
  /** What has arrived, or null. Loopback delivers before the sender's call returns. */
  received(): string | null;
  close(): void;
}

const SOCK_DGRAM = 2;

/** struct sockaddr_in or sockaddr_in6. */
export function sockaddr(address: Address, port: number): Buffer {
  const bytes = addressBytes(address);
  const ipv4 = bytes.length === 4;
  const encoded = Buffer.alloc(ipv4 ? 16 : 28);
  encoded.writeUInt16LE(ipv4 ? AF_INET : AF_INET6);
  encoded.writeUInt16BE(port, 2);
  encoded.set(bytes, ipv4 ? 4 : 8);
  return encoded;
}

/** Binds a socket to `address`, which the namespace must have; port 0 lets the kernel choose. */
export function openUdp(libc: Libc, address: Address, port = 0): UdpSocket {
  const own = sockaddr(address, port);
  const fd = libc.check('socket', libc.socket(own.readUInt16LE(), SOCK_DGRAM, 0));
  libc.check('bind', libc.bind(fd, own, own.length), `${address} ${port}`);
  libc.check('getsockname', libc.getsockname(fd, own, Buffer.from([own.length, 0, 0, 0])));
  const buffer = Buffer.alloc(65536);
  return {
    address,
    port: own.readUInt16BE(2),
    send(to, text) {
      const target = sockaddr(to.address, to.port);
      const bytes = Buffer.from(text, 'latin1');
      // EPERM is the output hook's way to say that the packet was dropped.
      if (libc.sendto(fd, bytes, bytes.length, 0, target, target.length) < 0 && libc.failure() !== 'EPERM')
        throw libc.error('sendto', `${to.address} ${to.port}`);
    },
    received() {
      const length = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
      return length < 0 ? null : buffer.toString('latin1', 0, length);
    },
    close: () => libc.close(fd),
  };
}
