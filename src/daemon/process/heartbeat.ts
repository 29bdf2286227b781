import { writeSync } from 'node:fs';

/** What the data path writes into the pipe to its supervisor: one byte when it takes packets, one for each beat. */
export const READY_BYTE = 0x52;
const BEAT_BYTE = 0x2e;
/** The descriptor that the supervisor gives its child. */
export const HEARTBEAT_DESCRIPTOR = 3;

const READY = Uint8Array.of(READY_BYTE);
const BEAT = Uint8Array.of(BEAT_BYTE);

interface Heartbeat {
  ready(): void;
  /** False once the supervisor is gone. */
  beat(): boolean;
}

/** Beats into a non-blocking descriptor: a supervisor that is stopped and does not read holds up nothing. */
export function createHeartbeat(descriptor: number): Heartbeat {
  function put(byte: Uint8Array): boolean {
    try {
      writeSync(descriptor, byte);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EAGAIN';
    }
  }
  return { ready: () => void put(READY), beat: () => put(BEAT) };
}
