/** Names that are meant for the program, its runtime or the C library. */
const NAMES = new Set(['PATH', 'LANG', 'TZ', 'TMPDIR', 'UV_THREADPOOL_SIZE']);
const PREFIXES = ['PINHOLED_', 'NODE_', 'BUN_', 'LC_', 'LD_', 'MALLOC_'];

/**
 * The environment that a process which reads packets has of its parent's: what root's shell had besides, which any
 * process of the same user could read (/proc/PID/environ), is nothing to it.
 */
export function handedEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix)),
    ),
  );
}
