import type { Buffer } from 'node:buffer';
import {
  agreesWith,
  dropAll,
  dropBetween,
  endOfRun,
  PAGE_COST,
  type Pages,
  pagesNeeded,
  readRun,
  startOfRun,
  writeOnce,
} from './pages.ts';
import { createQueue, type Link, newLink } from './queue.ts';

/** The bytes of one direction of a connection. Positions count them from 0. */
export interface Sequence {
  /** The sequence number of position 0. */
  readonly origin: number;
  /** The position of the next byte to deliver. */
  next: number;
  /** Every byte from here to `next` is in `pages`. */
  kept: number;
  /** The end of what is kept beyond a hole; not above `next` when nothing is. */
  aheadEnd: number;
  /** What the receiver has acknowledged; may be above `next` when packets passed unseen. */
  acked: number;
  finAt: number | null;
  holeSince: number | null;
  /** Bytes beyond a hole were given up: the next segment is delivered wherever it stands. */
  lost: boolean;
  /** Copies of a byte differed, or could not be compared. */
  conflict: boolean;
  /** Bytes were lost. */
  gap: boolean;
  readonly pages: Pages;
  /** When its last segment came, in ms. */
  lastAt: number;
  readonly inBuffered: Link<Sequence>;
}

/** What one segment brought: see `StreamDelivery`. */
interface Delivered {
  readonly bytes: Buffer | null;
  readonly gap: boolean;
}

interface SequencerOptions {
  /** Bytes, as in `StreamOptions`. */
  readonly windowBytes: number;
  readonly maxBytes: () => number;
  /** ms, as in `StreamOptions`. */
  readonly bufferIdleMs: () => number;
}

/** Puts the bytes of many sequences in order, and keeps what it needs for that within one bound. */
interface Sequencer {
  /** Takes a segment whose first byte stands at this position. */
  take(sequence: Sequence, position: number, segment: Buffer, now: number): Delivered;
  /** The receiver has everything before this sequence number. */
  acknowledge(sequence: Sequence, ack: number): void;
  /** A segment of it came at `now`. */
  touch(sequence: Sequence, now: number): void;
  /** Gives up what is kept of it. What lies beyond a hole is lost. */
  drop(sequence: Sequence): void;
  /** Gives up what was kept too long. */
  expire(now: number): void;
  /** Bytes kept at the moment, book-keeping included. */
  readonly bytes: number;
}

const NOTHING: Delivered = { bytes: null, gap: false };

export function newSequence(origin: number): Sequence {
  return {
    origin,
    next: 0,
    kept: 0,
    aheadEnd: 0,
    acked: 0,
    finAt: null,
    holeSince: null,
    lost: false,
    conflict: false,
    gap: false,
    pages: new Map(),
    lastAt: 0,
    inBuffered: newLink(),
  };
}

/** Sequence numbers are compared modulo 2^32 around what is expected next (RFC 9293 section 3.4). */
export function positionOf({ origin, next }: Sequence, seq: number): number {
  return next + ((seq - ((origin + next) % 0x1_0000_0000)) | 0);
}

/** The first copy of a byte wins. Work is linear in the bytes taken, whatever their order. */
export function createSequencer({ windowBytes, maxBytes, bufferIdleMs }: SequencerOptions): Sequencer {
  /** Those that have pages, in order of `lastAt`. */
  const buffered = createQueue<Sequence>((sequence) => sequence.inBuffered);
  let pageCount = 0;

  function drop(sequence: Sequence): void {
    if (sequence.aheadEnd > sequence.next) {
      sequence.lost = true;
      sequence.gap = true;
    }
    freePages(sequence, null);
    sequence.kept = sequence.next;
    sequence.aheadEnd = sequence.next;
    sequence.holeSince = null;
  }

  /** Gives back the pages before position `to`, or all of them. */
  function freePages(sequence: Sequence, to: number | null): void {
    const before = sequence.pages.size;
    if (before === 0) return;
    if (to === null) dropAll(sequence.pages);
    else dropBetween(sequence.pages, sequence.kept, to);
    pageCount -= before - sequence.pages.size;
    if (sequence.pages.size === 0) buffered.remove(sequence);
  }

  /** `position` is not above `next`. */
  function dropHistory(sequence: Sequence, position: number): void {
    if (position <= sequence.kept) return;
    const nothingLeft = position === sequence.next && sequence.aheadEnd <= sequence.next;
    freePages(sequence, nothingLeft ? null : position);
    sequence.kept = position;
  }

  function makeRoom(sequence: Sequence, position: number, length: number): boolean {
    const needed = pagesNeeded(sequence.pages, position, length);
    while ((pageCount + needed) * PAGE_COST > maxBytes()) {
      const oldest = buffered.first;
      if (oldest === null || oldest === sequence) return false;
      drop(oldest);
    }
    return true;
  }

  /** False when there is no room. A byte that is known with another value sets `conflict`. */
  function store(sequence: Sequence, position: number, bytes: Buffer): boolean {
    if (bytes.length === 0) return true;
    if (!makeRoom(sequence, position, bytes.length)) return false;
    const before = sequence.pages.size;
    if (!writeOnce(sequence.pages, position, bytes)) sequence.conflict = true;
    pageCount += sequence.pages.size - before;
    if (before === 0) buffered.toBack(sequence);
    return true;
  }

  function acknowledge(sequence: Sequence, ack: number): void {
    const position = positionOf(sequence, ack);
    if (position <= sequence.acked) return;
    sequence.acked = position;
    dropHistory(sequence, Math.min(position, sequence.next));
  }

  /** Compares a copy of bytes before `next` with those delivered. */
  function compareAgain(sequence: Sequence, position: number, bytes: Buffer): void {
    if (bytes.length === 1 && position === sequence.next - 1 && bytes[0] === 0) return;
    const end = position + bytes.length;
    const from = Math.max(position, sequence.acked, 0);
    if (from >= end) return;
    if (from < sequence.kept) sequence.conflict = true;
    else if (!agreesWith(sequence.pages, from, bytes.subarray(from - position))) sequence.conflict = true;
  }

  function advance(sequence: Sequence, to: number, now: number): void {
    sequence.next = to;
    sequence.lost = false;
    sequence.holeSince = sequence.aheadEnd > to ? now : null;
    dropHistory(sequence, Math.min(Math.max(sequence.acked, to - windowBytes), to));
  }

  /** Gives up the hole at `next` and goes on at `position` or at what is kept before it. */
  function skipHole(sequence: Sequence, position: number): void {
    const run = sequence.aheadEnd > sequence.next ? startOfRun(sequence.pages, sequence.next) : null;
    const target = run === null ? position : Math.min(run, position);
    freePages(sequence, run === null ? null : target);
    sequence.next = target;
    sequence.kept = target;
    sequence.gap = true;
    sequence.lost = false;
  }

  function holeIsFinal(sequence: Sequence, now: number): boolean {
    return (
      sequence.lost ||
      sequence.acked > sequence.next ||
      (sequence.holeSince !== null && now - sequence.holeSince >= bufferIdleMs())
    );
  }

  function take(sequence: Sequence, at: number, segment: Buffer, now: number): Delivered {
    let position = at;
    let bytes = segment;
    if (sequence.finAt !== null && position + bytes.length > sequence.finAt) {
      bytes = bytes.subarray(0, Math.max(0, sequence.finAt - position));
    }
    if (position < sequence.next) {
      const known = Math.min(bytes.length, sequence.next - position);
      compareAgain(sequence, position, bytes.subarray(0, known));
      bytes = bytes.subarray(known);
      position += known;
    }
    if (bytes.length === 0) return NOTHING;

    let gap = false;
    if (position > sequence.next) {
      if (holeIsFinal(sequence, now)) {
        skipHole(sequence, position);
        gap = true;
      } else {
        sequence.holeSince ??= now;
        if (position + bytes.length <= sequence.next + windowBytes && store(sequence, position, bytes)) {
          sequence.aheadEnd = Math.max(sequence.aheadEnd, position + bytes.length);
        }
        return NOTHING;
      }
    }
    return { bytes: deliver(sequence, position, bytes, now), gap };
  }

  function deliver(sequence: Sequence, position: number, bytes: Buffer, now: number): Buffer | null {
    const stored = store(sequence, position, bytes);
    const end = position + bytes.length;
    if (sequence.aheadEnd <= sequence.next || !stored) {
      if (!stored) drop(sequence);
      advance(sequence, end, now);
      if (!stored) sequence.kept = end;
      return bytes;
    }
    sequence.aheadEnd = Math.max(sequence.aheadEnd, end);
    const runEnd = endOfRun(sequence.pages, sequence.next);
    const run = readRun(sequence.pages, sequence.next, runEnd);
    advance(sequence, runEnd, now);
    return run;
  }

  return {
    take,
    acknowledge,
    touch(sequence, now) {
      sequence.lastAt = now;
      if (sequence.pages.size > 0) buffered.toBack(sequence);
    },
    drop,
    expire(now) {
      while (buffered.first !== null && now - buffered.first.lastAt >= bufferIdleMs()) drop(buffered.first);
    },
    get bytes() {
      return pageCount * PAGE_COST;
    },
  };
}
