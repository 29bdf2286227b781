import { statSync } from 'node:fs';

interface Progress {
  /** To be called often; `bytes` were read so far. */
  update(frames: number, bytes: number): void;
  /** Takes the bar away. */
  clear(): void;
}

const FRAMES_BETWEEN = 4096;
const FIRST_AFTER_MS = 500;
const REDRAW_MS = 100;
const BAR = 30;

const NONE: Progress = { update: () => {}, clear: () => {} };

/**
 * A bar on `stream` that comes up when reading takes longer than half a second; none where that is no terminal.
 * `files` are what is read, for their size.
 */
export function createProgress(stream: NodeJS.WriteStream, files: readonly string[]): Progress {
  if (!stream.isTTY) return NONE;
  const total = files.reduce((sum, file) => sum + sizeOf(file), 0);
  const start = performance.now();
  let next = start + FIRST_AFTER_MS;
  let shown = false;

  function update(frames: number, bytes: number): void {
    if (frames % FRAMES_BETWEEN !== 0) return;
    const now = performance.now();
    if (now < next) return;
    next = now + REDRAW_MS;
    shown = true;
    // Compressed files are read beyond their size on disk.
    const share = total > 0 && bytes <= total ? bytes / total : null;
    const done = Math.round((share ?? 0) * BAR);
    const bar =
      share === null ? '' : `[${'#'.repeat(done)}${'-'.repeat(BAR - done)}] ${Math.round(share * 100)}% `;
    stream.write(`\r${bar}${frames} frames\x1b[K`);
  }

  function clear(): void {
    if (shown) stream.write('\r\x1b[K');
  }

  return { update, clear };
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
}
