import { Buffer } from 'node:buffer';

/** A line that was longer than it may be. */
export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
}

const NEWLINE = 0x0a;

/**
 * The lines of a stream of bytes, without their ends; what follows the last end is a line, too, when `lastToo`.
 * Throws LineTooLong as soon as one has more than `longest` bytes: never more than that, and one chunk, is kept.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  longest: number,
  lastToo = false,
): AsyncGenerator<string> {
  let waiting: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (size + end - from > longest) throw new LineTooLong(`a line of more than ${longest} bytes`);
      const line = Buffer.concat([...waiting, chunk.subarray(from, end)]).toString('utf8');
      waiting = [];
      size = 0;
      from = end + 1;
      yield line;
    }
    size += chunk.length - from;
    if (size > longest) throw new LineTooLong(`a line of more than ${longest} bytes`);
    if (from < chunk.length) waiting.push(chunk.subarray(from));
  }
  if (lastToo && size > 0) yield Buffer.concat(waiting).toString('utf8');
}
