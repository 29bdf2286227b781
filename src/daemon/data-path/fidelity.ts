import { Buffer } from 'node:buffer';

/** Whether packets leave as they came, looked at in the packets themselves. */
export interface Fidelity {
  /** Packets that were compared. */
  compared: number;
  /** Bytes of them that were not as received; they were put back as they were. */
  modified: number;
}

interface FidelityCheck {
  /** To be called before anybody reads the packet. */
  before(packet: Buffer): void;
  /** To be called before it is released. */
  after(packet: Buffer): void;
  readonly counts: Readonly<Fidelity>;
}

const LARGEST = 65_575;

/** Compares one packet in `every` with a copy of it made on its arrival. */
export function createFidelityCheck(every = 64): FidelityCheck {
  const copy = Buffer.alloc(LARGEST);
  const counts: Fidelity = { compared: 0, modified: 0 };
  let seen = 0;
  let copied = -1;

  return {
    before(packet) {
      copied = -1;
      if (seen++ % every !== 0 || packet.length > LARGEST) return;
      copied = packet.length;
      copy.set(packet);
    },
    after(packet) {
      if (copied !== packet.length) return;
      counts.compared++;
      const original = copy.subarray(0, copied);
      if (original.equals(packet)) return;
      for (let at = 0; at < copied; at++) if (original[at] !== packet[at]) counts.modified++;
      packet.set(original);
    },
    counts,
  };
}
