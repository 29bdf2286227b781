import { Buffer } from 'node:buffer';

/** One direction of a WebSocket connection behind its handshake (RFC 6455 section 5). */
export interface WebSocketReader {
  /**
   * Takes the next bytes. Calls `each` with every message of data that is whole now; its bytes last until the next `push`.
   * A phrase once the direction cannot be read any further, and from then on. Never throws; work is linear in the bytes.
   */
  push(bytes: Uint8Array, each: (message: Buffer) => void): string | null;
  /** Bytes of memory that this takes. */
  readonly memory: number;
}

const CONTINUATION = 0;
const BINARY = 2;
const CLOSE = 8;
const PONG = 10;
/** A control frame's payload. */
const MOST_CONTROL = 125;
const LONGEST_HEAD = 14;
const EMPTY = Buffer.alloc(0);

interface Frame {
  readonly opcode: number;
  readonly isLast: boolean;
  readonly mask: Uint8Array | null;
  /** Bytes of its payload that are still to come, and those that came. */
  left: number;
  taken: number;
}

/** `isMasked`: as all frames of a client are, and none of a server. `maxBytes`: of one message. */
export function createWebSocketReader(isMasked: boolean, maxBytes: number): WebSocketReader {
  const head = Buffer.alloc(LONGEST_HEAD);
  let headLength = 0;
  let frame: Frame | null = null;
  let message = EMPTY;
  let length = 0;
  /** A message began and has not ended: the next frame of data continues it. */
  let isOpen = false;
  /** Its sender has ended it: whatever follows, its receiver passes over (RFC 6455 5.5.1). */
  let isClosed = false;
  let fault: string | null = null;

  function take(payload: Uint8Array, of: Frame): void {
    if (of.opcode < CLOSE) {
      if (length + payload.length > message.length) {
        const larger = Buffer.alloc(
          Math.min(maxBytes, Math.max(2 * message.length, length + payload.length)),
        );
        message.copy(larger, 0, 0, length);
        message = larger;
      }
      message.set(payload, length);
      if (of.mask !== null) {
        for (let at = 0; at < payload.length; at++) message[length + at]! ^= of.mask[(of.taken + at) & 3]!;
      }
      length += payload.length;
    }
    of.left -= payload.length;
    of.taken += payload.length;
  }

  /** A frame whose head is whole; a phrase where it may not be. */
  function begin(): Frame | string {
    const [first, second] = [head[0]!, head[1]!];
    const opcode = first & 0x0f;
    const isLast = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0) return 'frames are compressed (permessage-deflate) or otherwise extended';
    if (((second & 0x80) !== 0) !== isMasked) return isMasked ? 'a frame is not masked' : 'a frame is masked';
    const short = second & 0x7f;
    const left = short < 126 ? short : short === 126 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2));
    const mask = isMasked ? Uint8Array.from(head.subarray(headLength - 4, headLength)) : null;
    if (opcode >= CLOSE) {
      if (opcode > PONG || !isLast || left > MOST_CONTROL) return 'a control frame is malformed';
    } else {
      if (opcode > BINARY) return 'a frame is of an unknown kind';
      if ((opcode === CONTINUATION) !== isOpen) return 'fragments of messages are mixed up';
      if (left > maxBytes - length) return `a message of more than ${maxBytes} bytes`;
      isOpen = !isLast;
    }
    return { opcode, isLast, mask, left, taken: 0 };
  }

  return {
    push(bytes, each) {
      if (fault !== null || isClosed) return fault;
      for (let at = 0; at < bytes.length || (frame !== null && frame.left === 0); ) {
        if (frame === null) {
          head[headLength++] = bytes[at++]!;
          if (headLength < 2 || headLength < headSize(head[1]!)) continue;
          const begun = begin();
          headLength = 0;
          if (typeof begun === 'string') {
            fault = begun;
            message = EMPTY;
            return fault;
          }
          frame = begun;
        }
        const payload = bytes.subarray(at, at + frame.left);
        take(payload, frame);
        at += payload.length;
        if (frame.left > 0) break;
        if (frame.opcode === CLOSE) {
          isClosed = true;
          message = EMPTY;
          return null;
        }
        if (frame.opcode < CLOSE && frame.isLast) {
          each(message.subarray(0, length));
          length = 0;
        }
        frame = null;
      }
      return null;
    },
    get memory() {
      return message.length;
    },
  };
}

function headSize(second: number): number {
  const short = second & 0x7f;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4);
}

/** Which side of an opening handshake (RFC 6455 section 4) a head is. */
export type Handshake = 'request' | 'response';

/**
 * Whether the head of an HTTP message, up to its empty line, opens a WebSocket that carries `protocol` in clear text:
 * asked for by a client, or granted by a server. Its length is for the caller to bound.
 */
export function opensWebSocket(head: Buffer, which: Handshake, protocol: string): boolean {
  const [first = '', ...lines] = head.toString('latin1').split('\r\n');
  if (!(which === 'request' ? first.startsWith('GET ') : first.startsWith('HTTP/1.1 101'))) return false;
  const fields = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, Math.max(0, colon)).toLowerCase(), line.slice(colon + 1)] as const;
  });
  const tokens = (name: string) =>
    fields.flatMap(([key, value]) =>
      key === name ? value.split(',').map((token) => token.trim().toLowerCase()) : [],
    );
  return tokens('upgrade').includes('websocket') && tokens('sec-websocket-protocol').includes(protocol);
}
