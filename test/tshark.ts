import { spawnSync } from 'node:child_process';

/** False, or the reason to skip: for node:test's `skip` option. */
export const withoutTshark: string | false =
  spawnSync('tshark', ['--version']).status === 0 ? false : 'needs tshark (Debian package tshark)';

/**
 * The values of these fields in each frame of a capture, '' for those that a frame does not have. Throws what tshark
 * complains of.
 */
export function tsharkFields(
  file: string,
  fields: readonly string[],
  options: readonly string[] = [],
): string[][] {
  const wanted = fields.flatMap((field) => ['-e', field]);
  const { status, stdout, stderr } = spawnSync(
    'tshark',
    ['-r', file, ...options, '-T', 'fields', '-E', 'separator=/t', ...wanted],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t'));
}
