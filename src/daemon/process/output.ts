import { closeSync, fstatSync, openSync, type Stats } from 'node:fs';

/** Above this no runtime keeps a copy of standard output. */
const HIGHEST = 64;

/**
 * Lets go of standard output and error where they are pipes. daemon(8) reads both through one, and when the process
 * that it started is gone it waits for the end of that pipe before it does anything else: whoever outlives that
 * process must not hold it. Bun keeps copies of the two. Does nothing where there is no /dev/null to put in their
 * place, in a changed root.
 */
export function abandonOutput(): void {
  const pipes = [1, 2].flatMap((fd) => statOf(fd) ?? []).filter((stat) => stat.isFIFO());
  const holds = (fd: number) => {
    const stat = statOf(fd);
    return stat?.isFIFO() && pipes.some(({ dev, ino }) => dev === stat.dev && ino === stat.ino);
  };
  for (let fd = 1; fd <= HIGHEST; fd++) if (holds(fd) && !replace(fd)) return;
}

function statOf(fd: number): Stats | null {
  try {
    return fstatSync(fd);
  } catch {
    return null;
  }
}

/** Puts /dev/null in the place of a descriptor. False where there is none. */
function replace(fd: number): boolean {
  try {
    closeSync(openSync('/dev/null', 'r+'));
  } catch {
    return false;
  }
  closeSync(fd);
  // The lowest free descriptor is what is given; those below stay taken.
  while (openSync('/dev/null', 'r+') !== fd);
  return true;
}
