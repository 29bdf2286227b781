/** Why a file cannot be read, for people. `error` is what node:fs threw. */
export function fileReason(error: unknown): string {
  return reasonOf(error, {
    ENOENT: 'there is no such file',
    EACCES: 'no permission to read it',
    EISDIR: 'expected a file, found a directory',
    ENXIO: 'expected a file, found a socket',
  });
}

/** Why a file cannot be made or written. */
export function writeReason(error: unknown): string {
  return reasonOf(error, {
    EEXIST: 'it is there already, and nothing is written over',
    ENOENT: 'there is no such directory',
    EACCES: 'no permission to make it',
    EISDIR: 'expected a file, found a directory',
    EROFS: 'what it is on cannot be written',
    ENOSPC: 'there is no space left',
  });
}

const OF_THE_PATH: Readonly<Record<string, string>> = {
  ENOTDIR: 'a part of its path is no directory',
  ELOOP: 'its symbolic links go round in a circle',
  ENAMETOOLONG: 'its name is too long',
};

function reasonOf(error: unknown, reasons: Readonly<Record<string, string>>): string {
  if (!(error instanceof Error)) return String(error);
  const { code = '', message } = error as NodeJS.ErrnoException;
  return reasons[code] ?? OF_THE_PATH[code] ?? message;
}
