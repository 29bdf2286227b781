/** Why a file cannot be read, for people. `error` is what node:fs threw. */
export function fileReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'no permission to read it';
  if (code === 'EISDIR') return 'expected a file, found a directory';
  return message;
}
