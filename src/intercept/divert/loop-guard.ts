import { FNV_BASIS, fnv1aOfBytes } from '../../hash.ts';

/** The same packet as often as this, each time within so many ms of the one before, is a kernel that loops. */
const REPEATS = 8;
const WITHIN = 20;
/** Packets remembered at a time; a power of two. */
const SLOTS = 512;
/** Bytes from the IP header on that nearly always tell two packets apart: identification, ports, checksums. */
const HEAD = 48;

interface Slot {
  key: number;
  seenAt: number;
  count: number;
  /** The packet as it was when it came the second time. */
  copy: Buffer | null;
}

/**
 * Knows packets that come round again. Before FreeBSD 14.1 pf diverts a packet once more that was just put back,
 * and so on without end (FreeBSD bug 272770).
 */
interface LoopGuard {
  /** Whether this packet, diverted in this direction, goes round in circles. `now` is in ms. */
  loops(packet: Buffer, direction: number, now: number): boolean;
}

/**
 * A retransmission is no loop: it comes after T1 (500 ms), in a packet of its own. Costs a look at the first 48
 * bytes; a packet seen twice in a moment is kept and compared whole.
 */
export function createLoopGuard(): LoopGuard {
  const slots: Slot[] = Array.from({ length: SLOTS }, () => ({
    key: 0,
    seenAt: Number.NEGATIVE_INFINITY,
    count: 0,
    copy: null,
  }));
  return {
    loops(packet, direction, now) {
      const key = hash(packet, direction);
      const slot = slots[key & (SLOTS - 1)]!;
      const again = slot.key === key && now - slot.seenAt <= WITHIN;
      slot.key = key;
      slot.seenAt = now;
      if (!again) {
        slot.count = 1;
        slot.copy = null;
        return false;
      }
      if (slot.copy === null || !slot.copy.equals(packet)) {
        slot.copy = Buffer.from(packet);
        slot.count = 2;
        return false;
      }
      return ++slot.count >= REPEATS;
    },
  };
}

/** Over length, direction and the head. */
function hash(packet: Buffer, direction: number): number {
  const basis = FNV_BASIS ^ packet.length ^ (direction << 16);
  return fnv1aOfBytes(packet, 0, Math.min(HEAD, packet.length), basis) >>> 0;
}
