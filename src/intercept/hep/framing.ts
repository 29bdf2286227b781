import { Buffer } from 'node:buffer';
import { HEAD, isHep3 } from './chunks.ts';
import type { HepFault } from './copy.ts';

/** Messages of HEP version 3 out of a stream of bytes. */
export interface HepFramer {
  /** Takes what came next. Calls `each` for every message that is whole now; its bytes last until the next `push`. */
  push(bytes: Uint8Array, each: (message: Buffer) => void): HepFault | null;
}

const SMALLEST = 4096;

/**
 * Keeps at most one message that is not whole: 64 KiB. After a fault nobody knows where the next message begins, and the
 * stream is of no more use. However the stream is cut, each byte is copied at most three times.
 */
export function createHepFramer(): HepFramer {
  let kept = Buffer.alloc(SMALLEST);
  let length = 0;
  let fault: HepFault | null = null;

  function append(bytes: Uint8Array): void {
    if (length + bytes.length > kept.length) {
      const larger = Buffer.alloc(Math.max(2 * kept.length, length + bytes.length));
      kept.copy(larger, 0, 0, length);
      kept = larger;
    }
    kept.set(bytes, length);
    length += bytes.length;
  }

  return {
    push(bytes, each) {
      if (fault !== null) return fault;
      append(bytes);
      let at = 0;
      while (length - at >= HEAD) {
        const size = isHep3(kept.subarray(at, at + HEAD)) ? kept.readUInt16BE(at + 4) : 0;
        if (size < HEAD) {
          fault = { fault: 'no message of HEP version 3 where one should begin' };
          kept = Buffer.alloc(0);
          return fault;
        }
        if (length - at < size) break;
        each(kept.subarray(at, at + size));
        at += size;
      }
      if (at > 0) kept.copyWithin(0, at, length);
      length -= at;
      return null;
    },
  };
}
