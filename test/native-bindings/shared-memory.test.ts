import assert from 'node:assert/strict';
import { closeSync, readSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { createSharedMemory, mapSharedMemory } from '../../native-bindings/shared-memory.ts';

const libc = await loadLibc();
const SIZE = 100_000;

describe(`shared memory by ${libc.engine}`, () => {
  it('is zero at first, and what is written to it is read from its descriptor', () => {
    const descriptor = createSharedMemory(libc, 'pinholed-test', SIZE);
    const write = mapSharedMemory(libc, descriptor, SIZE);
    const bytes = Buffer.alloc(6, 0xff);
    assert.equal(readSync(descriptor, bytes, 0, 6, SIZE - 6), 6);
    assert.deepEqual(bytes, Buffer.alloc(6));
    write(SIZE - 5, Buffer.from('hello'));
    write(0, Buffer.alloc(0));
    assert.equal(readSync(descriptor, bytes, 0, 6, SIZE - 6), 6);
    assert.equal(bytes.toString('latin1'), '\0hello');
    closeSync(descriptor);
    write(0, Buffer.from('the mapping stays'));
  });

  it('is one for all that map it', () => {
    const descriptor = createSharedMemory(libc, 'pinholed-test', SIZE);
    const one = mapSharedMemory(libc, descriptor, SIZE);
    const other = mapSharedMemory(libc, descriptor, SIZE);
    one(10, Buffer.from('aaaa'));
    other(12, Buffer.from('bb'));
    writeSync(descriptor, 'c', 13);
    const bytes = Buffer.alloc(4);
    readSync(descriptor, bytes, 0, 4, 10);
    assert.equal(bytes.toString(), 'aabc');
    closeSync(descriptor);
  });

  it('refuses to write outside of it', () => {
    const descriptor = createSharedMemory(libc, 'pinholed-test', SIZE);
    const write = mapSharedMemory(libc, descriptor, SIZE);
    assert.throws(() => write(SIZE - 1, Buffer.alloc(2)), RangeError);
    assert.throws(() => write(-1, Buffer.alloc(1)), RangeError);
    closeSync(descriptor);
    assert.throws(() => mapSharedMemory(libc, descriptor, SIZE), /mmap .*EBADF/);
  });
});
