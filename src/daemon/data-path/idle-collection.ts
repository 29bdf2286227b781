import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The collection of garbage at moments at which no packet waits for it. */
export interface IdleCollection {
  /** So many packets have passed, the last of them at `now`. */
  passed(packets: number, now: number): void;
  /** Whether the young generation should be collected as soon as no packet comes for a moment. */
  readonly isDue: boolean;
  /** No packet waits: collects what is worth while. */
  rest(now: number): void;
}

/** Packets between two looks at the young generation, which take some µs each. */
const LOOK_AFTER = 32;
/** Of the half that is in use, the share past which it is collected: in a millisecond or two. */
const SHARE = 0.5;
/** ms without a packet after which there is time for all of the heap, of which calls that are over have left most. */
const LONG_REST = 2000;
/** How far the heap may have grown since it was collected last: so many times, and so many bytes. */
const GROWTH = 1.5;
const GROWN = 16 * 1024 * 1024;
/** Bytes past which it is left to V8, which does it in steps: the supervisor takes a second's silence for death. */
const MOST = 192 * 1024 * 1024;

/** V8's own function: of the young generation where it is asked for that, else of all of the heap. */
type Collect = (options?: { readonly type: 'minor' }) => void;

/**
 * V8 collects its young generation when that is full, which is in the midst of a packet's way, and all of the heap when it
 * has grown for long, or from an event loop, to which the thread that carries packets does not return. Null where the
 * runtime is another, or lets nobody ask for a collection.
 */
export function openIdleCollection(): IdleCollection | null {
  if (process.versions['bun'] !== undefined) return null;
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('typeof gc === "function" ? gc : null') as Collect | null;
  setFlagsFromString('--no-expose-gc');
  return gc === null ? null : createIdleCollection(gc);
}

function createIdleCollection(gc: Collect): IdleCollection {
  let sinceLook = 0;
  let isDue = false;
  let lastPacketAt = Number.NEGATIVE_INFINITY;
  let hasRested = false;
  let usedAfterLast = getHeapStatistics().used_heap_size;

  function collectAll(): void {
    const { used_heap_size } = getHeapStatistics();
    usedAfterLast = Math.min(usedAfterLast, used_heap_size);
    if (used_heap_size < GROWTH * usedAfterLast + GROWN || used_heap_size > MOST) return;
    gc();
    usedAfterLast = getHeapStatistics().used_heap_size;
  }

  return {
    passed(packets, now) {
      if (packets === 0) return;
      lastPacketAt = now;
      hasRested = false;
      sinceLook += packets;
      if (isDue || sinceLook < LOOK_AFTER) return;
      sinceLook = 0;
      const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
      isDue = young !== undefined && young.space_used_size > (SHARE * young.space_size) / 2;
    },
    get isDue() {
      return isDue;
    },
    rest(now) {
      if (isDue) {
        isDue = false;
        gc({ type: 'minor' });
      } else if (!hasRested && now - lastPacketAt > LONG_REST) {
        hasRested = true;
        collectAll();
      }
    },
  };
}
