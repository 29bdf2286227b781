import type { Libc } from '../../native-bindings/engine.ts';
import { freebsdErrno, SystemError } from '../../native-bindings/errno.ts';
import { type Bound, type FunctionName, signatures } from '../../native-bindings/signatures.ts';

type Handlers = Partial<Record<FunctionName, Bound>>;

/** A FreeBSD libc that is not there: the calls under test are answered by `handlers`, any other is an error. */
export interface FakeLibc extends Libc {
  /** What the next failing call leaves in errno. */
  setErrno(symbol: string): void;
  /** The buffer at an address that `address` gave out, from that byte on. */
  at(address: bigint): Buffer;
}

export function fakeFreebsd(handlers: Handlers): FakeLibc {
  let errno = 'EINVAL';
  let next = 0x1000_0000_0000n;
  const given = new Map<bigint, Buffer>();
  const fail = (call: string): Bound => {
    return () => {
      throw new Error(`unexpected call of ${call}`);
    };
  };
  const functions = Object.fromEntries(
    (Object.keys(signatures) as FunctionName[]).map((name) => [name, handlers[name] ?? fail(name)]),
  ) as unknown as Libc;
  return {
    ...functions,
    platform: { system: 'freebsd', architecture: 'x64' },
    engine: 'koffi',
    failure: () => errno,
    check(call, result, subject) {
      if (result < 0) throw new SystemError('freebsd', call, freebsdErrno[errno]!, subject);
      return result;
    },
    error: (call, subject) => new SystemError('freebsd', call, freebsdErrno[errno]!, subject),
    address(bytes) {
      next += 0x1000_0000n;
      given.set(next, bytes as Buffer);
      return next;
    },
    setErrno(symbol) {
      errno = symbol;
    },
    at(address) {
      for (const [start, bytes] of given) {
        if (address >= start && address < start + BigInt(bytes.length))
          return bytes.subarray(Number(address - start));
      }
      throw new Error(`no buffer at ${address}`);
    },
  };
}
