import { closeSync } from 'node:fs';
import type { Libc } from '../../../native-bindings/engine.ts';
import { createSharedMemory } from '../../../native-bindings/shared-memory.ts';
import { AT_HAND_SIZE, blamePacket, forgetPackets, packetInWork } from '../data-path/at-hand.ts';

/** Descriptors that a data path has from its supervisor, beside that of the heartbeat; null where there is none. */
export interface HandedDown {
  /** Memory for the packets at hand. */
  readonly atHand: number | null;
  /** Where packets come from: bound, and with those that came while nobody read. */
  readonly intake: number | null;
}

export const NOTHING_HANDED_DOWN: HandedDown = { atHand: null, intake: null };

/** Where they are in the data path. */
const AT_HAND_DESCRIPTOR = 4;
const INTAKE_DESCRIPTOR = 5;
/** The environment variable that says which of them there are. */
const VARIABLE = 'PINHOLED_DESCRIPTORS';

/** What the environment says was handed down. */
export function handedDown(environment: NodeJS.ProcessEnv = process.env): HandedDown {
  const names = (environment[VARIABLE] ?? '').split(',');
  return {
    atHand: names.includes('at-hand') ? AT_HAND_DESCRIPTOR : null,
    intake: names.includes('intake') ? INTAKE_DESCRIPTOR : null,
  };
}

/** What becomes of the packet that a data path had in work at its end. */
export type PacketInWork = 'none' | 'read again' | 'unread';

/** What the supervisor holds on to so that it outlives a data path. */
export interface Heirloom {
  /** What a data path that is started now is given: descriptors 4 and 5, and what goes into its environment. */
  give(): {
    readonly descriptors: readonly (number | null)[];
    readonly env: Readonly<Record<string, string>>;
  };
  /**
   * A data path has ended. What becomes of the packet that it had in work, if any: the next does not read it where the data
   * path crashed (`itself`), or where it is the second in a row that was ended over this packet. It reads it once more where
   * it is the first that was killed, from outside or for its silence: a machine that gives it no time makes it silent as well.
   */
  ended(itself: boolean): PacketInWork;
  /** There will be none for a while: packets are not to wait for it. */
  letGo(): void;
  close(): void;
}

/**
 * `bind` makes the intake's descriptor and throws where it cannot be had. `waits` says that packets are to wait even
 * when no data path comes soon.
 */
export function createHeirloom(
  libc: Libc,
  bind: () => number,
  waits: boolean,
  complain: (text: string) => void,
): Heirloom {
  let atHand: number | null = null;
  try {
    atHand = createSharedMemory(libc, 'pinholed-at-hand', AT_HAND_SIZE);
  } catch (error) {
    complain(`no memory for the packets at hand, a data path that dies loses them: ${String(error)}`);
  }
  let intake: number | null = bind();
  /** The fingerprint of the packet over which the last data path was killed. */
  let suspected: string | null = null;

  function rebind(): number | null {
    try {
      return bind();
    } catch (error) {
      complain(`the data path has to bind for itself: ${String(error)}`);
      return null;
    }
  }

  function release(): void {
    if (intake !== null) closeSync(intake);
    intake = null;
  }

  return {
    give() {
      intake ??= rebind();
      const names = [atHand === null ? [] : ['at-hand'], intake === null ? [] : ['intake']].flat();
      return { descriptors: [atHand, intake], env: { [VARIABLE]: names.join(',') } };
    },
    ended(itself) {
      const inWork = atHand === null ? null : packetInWork(atHand);
      const guilty = inWork !== null && (itself || inWork === suspected);
      suspected = guilty ? null : inWork;
      if (guilty) blamePacket(atHand!);
      if (inWork === null) return 'none';
      return guilty ? 'unread' : 'read again';
    },
    letGo() {
      if (waits) return;
      release();
      // Their handles mean nothing to another socket.
      if (atHand !== null) forgetPackets(atHand);
    },
    close() {
      release();
      if (atHand !== null) closeSync(atHand);
      atHand = null;
    },
  };
}
