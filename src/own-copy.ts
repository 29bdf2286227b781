import { Buffer } from 'node:buffer';

/** What V8 copies when it cuts it from a longer text, rather than pointing into that: 12 characters. */
const ALWAYS_OWN = 12;
const scratch = Buffer.alloc(1024);

/**
 * A text that was put together of parts, in one piece, so that the parts can go: V8 lays it out where a character is asked for,
 * and drops the joint at its next collection. A third of what a copy takes; of text that was cut from a longer one it frees nothing.
 */
export function inOnePiece(text: string): string {
  // Stored, as a character that nobody wants would not be looked for.
  scratch[0] = text.charCodeAt(0);
  return text;
}

/** One text for all who have these words, and `ownCopy` of any other: what nearly every message says is kept once. */
export function sharedWords(words: Iterable<string>): <Text extends string>(text: Text) => Text {
  const shared = new Map(Array.from(words, (word) => [word, word]));
  return <Text extends string>(text: Text) => (shared.get(text) ?? ownCopy(text)) as Text;
}

/**
 * A copy of latin1 text in one piece: it shares no memory with the text it was cut from or the parts that it was put
 * together of. For what is kept as long as a call.
 */
export function ownCopy(text: string): string {
  const { length } = text;
  if (length <= ALWAYS_OWN) return text;
  if (length > scratch.length) return Buffer.from(text, 'latin1').toString('latin1');
  scratch.write(text, 0, 'latin1');
  return scratch.toString('latin1', 0, length);
}
