type Runtime = Pick<NodeJS.Process, 'execPath' | 'execArgv' | 'argv'>;

/**
 * The program and arguments that start this program once more with `args`: the runtime with its options and the
 * script, or the executable alone where everything is packed into one (Bun's `--compile`).
 */
export function ownCommand(
  args: readonly string[],
  { execPath, execArgv, argv }: Runtime = process,
): readonly [string, ...string[]] {
  const script = argv[1];
  const packed = script === undefined || script.startsWith('/$bunfs/');
  return packed ? [execPath, ...args] : [execPath, ...execArgv, script, ...args];
}

/** As V8 takes them: MiB of one of the three halves of the young generation of a process's main thread. */
const CONTROL_HALF = 4;

/**
 * The same for the process that reads packets. Its main thread is the control thread, which lives on what calls leave
 * behind: with V8's 16 MiB what is over is kept there for long. The packets' own thread has its own bound. A young
 * generation of a few MiB is collected sooner by one thread than by five that wait for each other.
 */
export function dataPathCommand(
  args: readonly string[],
  { execPath, execArgv, argv, versions }: Runtime & Pick<NodeJS.Process, 'versions'> = process,
): readonly [string, ...string[]] {
  const options =
    versions['bun'] === undefined ? [`--max-semi-space-size=${CONTROL_HALF}`, '--no-parallel-scavenge'] : [];
  return ownCommand(args, { execPath, execArgv: [...options, ...execArgv], argv });
}
