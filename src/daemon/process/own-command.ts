/**
 * The program and arguments that start this program once more with `args`: the runtime with its options and the
 * script, or the executable alone where everything is packed into one (Bun's `--compile`).
 */
export function ownCommand(
  args: readonly string[],
  { execPath, execArgv, argv }: Pick<NodeJS.Process, 'execPath' | 'execArgv' | 'argv'> = process,
): readonly [string, ...string[]] {
  const script = argv[1];
  const packed = script === undefined || script.startsWith('/$bunfs/');
  return packed ? [execPath, ...args] : [execPath, ...execArgv, script, ...args];
}
