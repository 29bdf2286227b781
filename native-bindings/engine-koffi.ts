import { address, errno, type LibraryHandle, load } from 'koffi';
import type { Engine } from './ffi.ts';
import type { ArgumentType, Bound, ResultType, Signature } from './signatures.ts';

const types: Readonly<Record<ArgumentType | ResultType, string>> = {
  int: 'int',
  uint: 'unsigned int',
  ulong: 'unsigned long',
  size: 'size_t',
  ssize: 'intptr_t',
  bytes: 'void *',
  cstring: 'str',
};

/** Opens the first libc of `paths` that there is; null is the process itself. */
export function openKoffi(paths: readonly (string | null)[]): Engine {
  const library = open(paths);
  return {
    name: 'koffi',
    bind: (name, signature) => bind(library, name, signature),
    errno: () => errno(),
    address: (bytes) => address(bytes),
  };
}

function open(paths: readonly (string | null)[]): LibraryHandle {
  const failures: unknown[] = [];
  for (const path of paths) {
    try {
      return load(path);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `no libc found: tried ${paths.join(', ')}`);
}

function bind(library: LibraryHandle, name: string, signature: Signature): Bound {
  const { args, fixed } = signature;
  if (fixed === undefined) {
    return library.func(
      name,
      types[signature.result],
      args.map((type) => types[type]),
    );
  }
  const variadic: Bound = library.func(name, types[signature.result], [
    ...args.slice(0, fixed).map((type) => types[type]),
    '...',
  ]);
  return spread(
    variadic,
    args.slice(fixed).map((type) => types[type]),
    fixed,
  );
}

/** koffi wants a type before each variadic argument. The shapes in use are written out: no array on each call. */
function spread(call: Bound, tail: readonly string[], fixed: number): Bound {
  const type = tail[0]!;
  if (tail.length === 1 && fixed === 2) return (a = 0, b = 0, c = 0) => call(a, b, type, c);
  return (...args) =>
    call(...args.slice(0, fixed), ...tail.flatMap((each, index) => [each, args[fixed + index] ?? 0]));
}
