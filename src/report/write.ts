import { once } from 'node:events';

const CHUNK = 64 * 1024;

/**
 * Writes the pieces in turn, waiting when the reader is slower, so that a report of any size needs little
 * memory. Ends early when nobody reads any more (a pipe into `head`).
 */
export async function writeAll(stream: NodeJS.WriteStream, pieces: Iterable<string>): Promise<void> {
  let waiting = '';
  for (const piece of pieces) {
    waiting += piece;
    if (waiting.length < CHUNK) continue;
    if (!stream.writable) return;
    if (!stream.write(waiting)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
    waiting = '';
  }
  if (waiting !== '' && stream.writable) stream.write(waiting);
}
