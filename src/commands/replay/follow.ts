import { writeSync } from 'node:fs';
import type { Captures } from '../../intercept/capture.ts';
import { printableJson } from '../../printable.ts';
import { createFollow, type FollowOptions } from '../../report/replay/follow.ts';

const STDOUT = 1;
/** ms to wait for a reader that is slower. */
const PAUSE = 5;

/**
 * `pinholed replay --follow`: reads until the capture ends and writes each line at once. It waits for the next frame inside
 * the read, so that there is nothing else that could run meanwhile; an interrupt ends it. Exit status 0, or 2 where the
 * capture was damaged.
 */
export function follow(captures: Captures, options: FollowOptions): number {
  const frame = createFollow(options);
  let isRead = true;
  for (const one of captures) {
    for (const line of frame(one)) isRead &&= write(`${options.json ? printableJson(line) : line}\n`);
    if (!isRead) break;
  }
  captures.close();
  const { damage } = captures;
  for (const { message } of damage) console.error(`pinholed: ${message}`);
  return damage.length > 0 ? 2 : 0;
}

/** False when nobody reads any more (a pipe into `head`). */
function write(text: string): boolean {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (code === 'EPIPE') return false;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    }
  }
  return true;
}
