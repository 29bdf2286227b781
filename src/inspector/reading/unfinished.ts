import { createQueue, type Link, newLink } from '../../packet/queue.ts';
import type { SipFramer } from '../../sip/stream.ts';

/** A stream of SIP that may be in the middle of a message. */
export interface Unfinished {
  /** For people. */
  readonly name: string;
  readonly framer: SipFramer;
  /** When its last segment came, in ms. */
  lastAt: number;
  /** What of its framer's memory is in the sum. */
  counted: number;
  readonly inQueue: Link<Unfinished>;
  /** That something of it was lost was told. */
  isTold: boolean;
}

export function newUnfinished(name: string, framer: SipFramer): Unfinished {
  return { name, framer, lastAt: Number.POSITIVE_INFINITY, counted: 0, inQueue: newLink(), isTold: false };
}

interface UnfinishedBounds {
  /** Bytes, of all streams together. */
  readonly maxBytes: number;
  /** ms without a segment after which a message that is not complete is given up. */
  readonly partialIdleMs: number;
}

/** The streams in the middle of a message, and what they may keep for it. */
interface UnfinishedList {
  /** What this stream's framer keeps has changed. */
  count(stream: Unfinished): void;
  /** Over the bound the stream idle longest loses its own, but never the one that is `latest`. */
  makeRoom(latest: Unfinished): void;
  /** Gives up what did not go on. */
  expire(now: number): void;
}

/** `onLoss` is told of each message that is given up, with a text for people. */
export function createUnfinishedList(
  bounds: () => UnfinishedBounds,
  onLoss: (stream: Unfinished, why: string) => void,
): UnfinishedList {
  /** In order of `lastAt`. */
  const waiting = createQueue<Unfinished>((stream) => stream.inQueue);
  let held = 0;

  function count(stream: Unfinished): void {
    const { memory } = stream.framer;
    held += memory - stream.counted;
    stream.counted = memory;
    if (memory > 0) waiting.toBack(stream);
    else waiting.remove(stream);
  }

  function giveUp(stream: Unfinished, why: string): void {
    stream.framer.lose();
    count(stream);
    onLoss(stream, why);
  }

  return {
    count,
    makeRoom(latest) {
      const { maxBytes } = bounds();
      while (held > maxBytes && waiting.first !== null && waiting.first !== latest) {
        giveUp(waiting.first, 'too many messages are not complete');
      }
    },
    expire(now) {
      const { partialIdleMs } = bounds();
      while (waiting.first !== null && now - waiting.first.lastAt >= partialIdleMs) {
        giveUp(waiting.first, 'a message did not go on');
      }
    },
  };
}
