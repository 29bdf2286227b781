/** Memory that several processes share, by a descriptor: memfd_create(2), mmap(2). */
import { ftruncateSync } from 'node:fs';
import type { Libc } from './engine.ts';

/** sys/mman.h, the same on both systems. */
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MFD_CLOEXEC = 1;

/**
 * A descriptor of `size` bytes of memory, all zero, that is gone with its last holder. Memory is used for what was
 * written only. To be read with read(2). Throws SystemError.
 */
export function createSharedMemory(libc: Libc, name: string, size: number): number {
  const descriptor = libc.check('memfd_create', libc.memfd_create(name, MFD_CLOEXEC), name);
  ftruncateSync(descriptor, size);
  return descriptor;
}

/**
 * Maps the first `size` bytes of such a descriptor for good. What the result is given is seen by every holder as
 * soon as it returns, and stays when this process dies. It throws RangeError outside of the memory. Throws SystemError.
 */
export function mapSharedMemory(
  libc: Libc,
  descriptor: number,
  size: number,
): (offset: number, bytes: Uint8Array) => void {
  const address = libc.check(
    'mmap',
    libc.mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
    `${size} bytes`,
  );
  return (offset, bytes) => {
    if (offset < 0 || offset + bytes.length > size) {
      throw new RangeError(`${bytes.length} bytes at ${offset}: expected at most ${size}`);
    }
    if (bytes.length > 0) libc.memcpy(address + offset, bytes, bytes.length);
  };
}
