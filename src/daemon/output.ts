import { closeSync, openSync } from 'node:fs';

/**
 * Lets go of standard output and error. daemon(8) reads both through a pipe, and when the process that it started is
 * gone it waits for the end of that pipe before it does anything else: whoever outlives that process must not hold it.
 * Does nothing where there is no /dev/null to put in their place, in a changed root.
 */
export function abandonOutput(): void {
  for (const fd of [1, 2]) {
    let spare: number;
    try {
      spare = openSync('/dev/null', 'r+');
    } catch {
      return;
    }
    closeSync(fd);
    // The lowest descriptor that is free is the one just closed.
    openSync('/dev/null', 'r+');
    closeSync(spare);
  }
}
