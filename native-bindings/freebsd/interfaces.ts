/** Network interfaces by name, asked of the kernel through a datagram socket: netintro(4), no privilege needed. */
import type { Libc } from '../engine.ts';
import { at, cstring, i32, pointer, struct } from '../struct.ts';
import { AF_INET, IFNAMSIZ, SOCK_CLOEXEC, SOCK_DGRAM } from './constants.ts';
import { iowr } from './ioctls.ts';

/** struct ifconf (net/if.h): `ifc_buf` points to `ifc_len` bytes. */
const ifconf = struct('ifconf', 16, {
  ifc_len: at(0, i32),
  ifc_buf: at(8, pointer),
});

/** struct ifreq (net/if.h), with the member that SIOCGIFMTU fills. */
const ifreq = struct('ifreq', 32, {
  ifr_name: at(0, cstring(IFNAMSIZ)),
  ifr_mtu: at(16, i32),
});

const SIOCGIFCONF = iowr('i', 36, ifconf.size);
const SIOCGIFMTU = iowr('i', 51, ifreq.size);
const ROOM = 64 * 1024;
/** Bytes of a sockaddr that a struct ifreq has room for; a longer one reaches past its end. */
const SOCKADDR = ifreq.size - IFNAMSIZ;

export interface Interfaces {
  /** Every interface, also one that is down or has no address. Throws SystemError. */
  names(): string[];
  /** Bytes of the largest packet it takes whole; null where there is no such interface. */
  mtu(name: string): number | null;
  close(): void;
}

export function openInterfaces(libc: Libc): Interfaces {
  const fd = libc.check('socket', libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'interfaces');
  return {
    names() {
      const list = Buffer.alloc(ROOM);
      const request = ifconf.encode({ ifc_len: list.length, ifc_buf: libc.address(list) });
      libc.check('SIOCGIFCONF', libc.ioctl(fd, SIOCGIFCONF, request));
      return namesIn(list.subarray(0, ifconf.get('ifc_len', request)));
    },
    mtu(name) {
      const request = ifreq.encode({ ifr_name: name });
      return libc.ioctl(fd, SIOCGIFMTU, request) < 0 ? null : ifreq.get('ifr_mtu', request);
    },
    close() {
      libc.close(fd);
    },
  };
}

/** Names of SIOCGIFCONF's answer: one entry for each address of an interface, or one when it has none. */
export function namesIn(list: Buffer): string[] {
  const names = new Set<string>();
  let offset = 0;
  while (offset + ifreq.size <= list.length) {
    names.add(ifreq.get('ifr_name', list, offset));
    offset += IFNAMSIZ + Math.max(SOCKADDR, list[offset + IFNAMSIZ]!);
  }
  return [...names];
}
